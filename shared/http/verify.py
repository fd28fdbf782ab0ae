"""`POST /api/verify`: the proof of every requirement of an intent, against given rules or a live NSG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import Field

from shared.amlfs.advice import Notice, about_words
from shared.amlfs.prefixes import Prefix
from shared.amlfs.statement import IntentStatement
from shared.amlfs.summary import summarize
from shared.amlfs.verification import extent_of
from shared.applying.live import read_live
from shared.documents import Document, read_document
from shared.errors import FieldError, InvalidInput
from shared.http.answers import answered, json_answer
from shared.http.requests import network_for, read_flag, read_json
from shared.http.verdicts import association_json, verdict_json
from shared.nsg.parsing import ReadRules, read_rules
from shared.pools import compute

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import azure.functions as func

    from shared.amlfs.verification import Verification
    from shared.applying.live import Live
    from shared.packets.axis import Bounds

D = TypeVar("D", bound=Document)


class RulesStatement(Document):
    """A body with an intent and, perhaps, the rules that are asked about."""

    intent: IntentStatement
    security_rules: list[Any] | None = None
    virtual_network_prefixes: Annotated[list[Prefix], Field(min_length=1)] | None = None

    def contradictions(self, at: str) -> Iterable[FieldError]:
        """Everything that is wrong between the fields."""
        return self.intent.contradictions(f"{at}/intent")

    def extent(self, live: Live) -> Bounds:
        """Return the bounds of `VirtualNetwork`: as stated here, else as the live network says."""
        stated = self.virtual_network_prefixes
        return extent_of(live.intent, stated, ()) if stated else live.virtual_network


class VerifyRequest(RulesStatement):
    """The body of `POST /api/verify`."""


@answered("lenient")
async def verify_rules(request: func.HttpRequest) -> func.HttpResponse:
    """Answer `POST /api/verify`; `?lenient=true` takes rules with errors as unknown."""
    lenient = read_flag(request, "lenient")
    asked, given = await compute(read_verify, request, lenient=lenient)
    is_live = asked.security_rules is None
    network = network_for(asked.intent, live=is_live)
    live = await read_live(asked.intent, network, with_nsg=is_live, must_exist=True)
    if live.nsg is not None:
        given = await compute(read_rules, live.nsg.rules, "/properties/securityRules")
    return await json_answer(proved, asked, given, live)


def read_verify(request: func.HttpRequest, *, lenient: bool) -> tuple[VerifyRequest, ReadRules]:
    """Read the body, and its rules; raises `Problem` or `InvalidInput`."""
    body = read_json(request)
    given = read_given_rules(body)
    return read_both(VerifyRequest, body, () if lenient else given.errors), given


def proved(asked: VerifyRequest, given: ReadRules, live: Live) -> dict[str, Any]:
    """Return the answer: the proof, its witnesses and cut-offs are worked out here."""
    question = live.question(virtual_network=asked.extent(live))
    verification = question.about(given.rules)
    notices = [
        *live.notices,
        *(Notice("unreadable-rule", error.message, error.pointer) for error in given.errors),
        *about_words(given.rules, question.tags),
    ]
    return spelled(verification, notices, live)


def spelled(verification: Verification, notices: list[Notice], live: Live) -> dict[str, Any]:
    """Return the contract's verdict."""
    is_associated = live.is_associated if live.nsg is not None else None
    summary = summarize(verification, is_associated=is_associated)
    return {"summary": summary, **verdict_json(verification, notices, association_of(live))}


def association_of(live: Live) -> dict[str, Any] | None:
    """Spell the association, where the live NSG and the subnet by its id were read."""
    if live.nsg is None or live.subnet is None:
        return None
    return association_json(
        live.subnet.id, live.subnet.nsg_id, is_associated=bool(live.is_associated)
    )


def read_given_rules(body: object) -> ReadRules:
    """Read the rules of a body, whatever else is wrong with it."""
    rules = body.get("securityRules") if isinstance(body, dict) else None
    return read_rules(rules if isinstance(rules, list) else ())


def read_both(model: type[D], body: object, errors: tuple[FieldError, ...]) -> D:
    """Read a body whose rules have these errors; raises `InvalidInput` with all that is wrong."""
    errors = (*errors, *no_rules(body))
    try:
        asked = read_document(model, body)
    except InvalidInput as invalid:
        raise InvalidInput([*invalid.errors, *errors]) from None
    if errors:
        raise InvalidInput(errors)
    return asked


def no_rules(body: object) -> Iterator[FieldError]:
    """Yield that a body says neither which NSG it asks about nor which rules."""
    intent = body.get("intent") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(intent, dict):
        return
    if body.get("securityRules") is None and intent.get("networkSecurityGroupId") is None:
        yield FieldError(
            "/intent/networkSecurityGroupId",
            "Name the NSG, or give its rules as securityRules: the output of"
            " 'az network nsg rule list', or the securityRules of its ARM body.",
        )
