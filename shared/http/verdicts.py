"""The contract's verdict: how proofs read over HTTP."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, summarize_address_range
from itertools import islice
from typing import TYPE_CHECKING, Any

from shared.amlfs.verification import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shared.amlfs.advice import Notice
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


def association_json(subnet_id: str, nsg_id: str | None, *, is_associated: bool) -> dict[str, Any]:
    """Spell whether the NSG filters the subnet, and which one does."""
    return {
        "verdict": "satisfied" if is_associated else "violated",
        "subnetId": subnet_id,
        "networkSecurityGroupId": nsg_id,
    }


def overall(verification: Verification, is_associated: bool | None) -> str:
    """Return the verdict on rules and association together."""
    if is_associated is False:
        return Verdict.NONCOMPLIANT.value
    return verification.verdict.value


def verdict_json(
    verification: Verification,
    notices: Iterable[Notice] = (),
    association: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Spell a verification as the contract does; the association where it was looked at."""
    tags = verification.tags
    is_associated = association["verdict"] == "satisfied" if association else None
    return {
        "verdict": overall(verification, is_associated),
        "requirements": [requirement_json(*proved) for proved in verification.requirements],
        "excess": [
            {"rule": rule_json(one.decided_by), "witness": witness_json(one.witness)}
            for one in verification.excess
        ],
        "deadRules": [
            {"rule": rule_json(dead.rule), "coveredBy": list(dead.covered_by)}
            for dead in verification.dead_rules
        ],
        **({"association": association} if association else {}),
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
