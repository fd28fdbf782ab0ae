"""`POST /api/verify`: the proof of every requirement of an intent against given rules."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network, summarize_address_range
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import azure.functions as func
from pydantic import Field

from shared.amlfs.advice import Notice, advise
from shared.amlfs.catalogue import load_catalogue
from shared.amlfs.prefixes import Prefix
from shared.amlfs.statement import IntentStatement
from shared.amlfs.verification import extent_of, verify
from shared.documents import Document, read_document
from shared.errors import FieldError, InvalidInput, NotBuilt
from shared.http.answers import answered
from shared.http.requests import read_flag, read_json, refuse_ids
from shared.nsg.parsing import ReadRules, read_rules
from shared.nsg.service_tags import shipped_service_tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shared.amlfs.requirements import Requirement
    from shared.amlfs.verification import Verification
    from shared.nsg.proofs import Proof, Violation
    from shared.nsg.rules import SecurityRule
    from shared.nsg.witness import Witness
    from shared.packets.intervals import Boundaries


CUT_OFFS_SHOWN = 10
"""Of so many rules against one requirement it is said what they cut off."""

PREFIXES_SHOWN = 20
"""Of what a rule cuts off, so many prefixes are listed; the number of addresses is of all."""


class VerifyRequest(Document):
    """The body of `POST /api/verify`."""

    intent: IntentStatement
    security_rules: list[Any] | None = None
    virtual_network_prefixes: Annotated[list[Prefix], Field(min_length=1)] | None = None

    def contradictions(self, at: str) -> Iterable[FieldError]:
        """Everything that is wrong between the intent's fields."""
        return self.intent.contradictions(f"{at}/intent")


@answered
def verify_rules(request: func.HttpRequest) -> func.HttpResponse:
    """Answer `POST /api/verify`; `?lenient=true` takes rules with errors as unknown."""
    lenient = read_flag(request, "lenient")
    body = read_json(request)
    given = read_given_rules(body)
    asked = read_both(body, () if lenient else given.errors)
    refuse_ids(asked.intent)
    if asked.security_rules is None:
        raise NotBuilt(
            "Reading the live NSG from Azure is planned. Give its rules as securityRules: the output"
            " of 'az network nsg rule list', or the securityRules of its ARM body."
        )
    intent, catalogue = asked.intent.resolve(), load_catalogue(asked.intent.catalogue)
    tags = shipped_service_tags(intent.location.cloud)
    network = asked.virtual_network_prefixes
    extent = extent_of(intent, network, ()) if network else extent_of(intent)
    verification = verify(intent, given.rules, catalogue, tags, extent)
    notices = [
        *advise(intent, catalogue, tags),
        *(Notice("unreadable-rule", error.message, error.pointer) for error in given.errors),
    ]
    return func.HttpResponse(
        json.dumps(to_json(verification, notices), indent=2, ensure_ascii=False),
        mimetype="application/json",
    )


def read_given_rules(body: object) -> ReadRules:
    """Read the rules of a body, whatever else is wrong with it."""
    rules = body.get("securityRules") if isinstance(body, dict) else None
    return read_rules(rules if isinstance(rules, list) else ())


def read_both(body: object, errors: tuple[FieldError, ...]) -> VerifyRequest:
    """Read a body whose rules have these errors; raises `InvalidInput` with all that is wrong."""
    try:
        asked = read_document(VerifyRequest, body)
    except InvalidInput as invalid:
        raise InvalidInput([*invalid.errors, *errors]) from None
    if errors:
        raise InvalidInput(errors)
    return asked


# -- the contract's verdict -----------------------------------------------------------------------


def to_json(verification: Verification, notices: Iterable[Notice]) -> dict[str, Any]:
    """Spell a verification as the contract does."""
    tags = verification.tags
    return {
        "verdict": verification.verdict.value,
        "requirements": [requirement_json(*proved) for proved in verification.requirements],
        "excess": [
            {"rule": rule_json(one.decided_by), "witness": witness_json(one.witness)}
            for one in verification.excess
        ],
        "deadRules": [
            {"rule": rule_json(dead.rule), "coveredBy": list(dead.covered_by)}
            for dead in verification.dead_rules
        ],
        "serviceTags": {
            "cloud": tags.cloud.value,
            "changeNumber": tags.change_number,
            "published": tags.published,
            "source": "snapshot",
        },
        "notices": [notice.to_json() for notice in notices],
    }


def requirement_json(requirement: Requirement, proof: Proof) -> dict[str, Any]:
    """Spell one requirement with its proof."""
    return {
        "name": requirement.name,
        "direction": requirement.direction.value,
        "access": requirement.access.value,
        "verdict": proof.verdict.value,
        "why": requirement.why,
        "satisfiedBy": list(proof.satisfied_by),
        "violations": [
            violation_json(violation, with_cut_off=i < CUT_OFFS_SHOWN)
            for i, violation in enumerate(proof.violations)
        ],
        "undecidedBecause": list(proof.undecided_because),
    }


def violation_json(violation: Violation, *, with_cut_off: bool) -> dict[str, Any]:
    """Spell one violation."""
    rule = violation.decided_by
    body: dict[str, Any] = {
        "decidedBy": {"name": rule.name, "priority": rule.priority},
        "witness": witness_json(violation.witness),
    }
    edges = violation.cut_off.boundaries() if violation.cut_off and with_cut_off else ()
    if edges:
        prefixes = islice(prefixes_of(edges), PREFIXES_SHOWN)
        body["cutOff"] = {
            "addresses": sum(edges[1::2]) - sum(edges[::2]),
            "prefixes": [str(prefix) for prefix in prefixes],
        }
    return body


def prefixes_of(edges: Boundaries) -> Iterator[IPv4Network]:
    """Yield the largest CIDRs that make up some addresses."""
    for first, end in zip(edges[::2], edges[1::2], strict=True):
        yield from summarize_address_range(IPv4Address(first), IPv4Address(end - 1))


def rule_json(rule: SecurityRule) -> dict[str, Any]:
    """Name a rule."""
    return {"name": rule.name, "priority": rule.priority, "direction": rule.direction.value}


def witness_json(witness: Witness) -> dict[str, Any]:
    """Spell one packet."""
    return {
        "protocol": witness.protocol.value,
        "source": witness.source,
        "sourcePort": witness.source_port,
        "destination": witness.destination,
        "destinationPort": witness.destination_port,
    }
