"""`POST /api/plan` and `POST /api/apply`: what would be changed, and changing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import StrictBool

from shared.amlfs.statement import IntentStatement
from shared.amlfs.summary import NAMED, listed, summarize
from shared.applying.applying import ApplyRun, apply
from shared.applying.live import read_live
from shared.applying.planned import about_plan, plan_live
from shared.applying.refusals import ApplyOptions, check_scopes, no_place
from shared.documents import Document, read_document
from shared.errors import Conflict, FieldError
from shared.guards.guard import ForeignRulesField, GuardName, GuardStatement, Mode, ModeField
from shared.http.answers import answered, json_answer
from shared.http.callers import caller_of, log_write
from shared.http.guard_answers import guard_json
from shared.http.operations import accept_operation, is_asynchronous
from shared.http.registration import check_free, register
from shared.http.requests import network_for, read_json
from shared.http.verdicts import (
    association_json,
    verdict_json,
    violation_json,
)
from shared.http.verify import RulesStatement, read_both, read_given_rules
from shared.planning.documents import read_documents
from shared.planning.plan import ForeignRules, make_plan
from shared.pools import compute
from shared.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import azure.functions as func

    from shared.amlfs.advice import Notice
    from shared.amlfs.verification import Verification
    from shared.applying.applying import ApplyResult
    from shared.applying.live import Live
    from shared.applying.planned import LivePlan
    from shared.applying.writes import WriteJournal
    from shared.planning.changes import Change
    from shared.planning.documents import StandingRule
    from shared.planning.plan import Plan
    from shared.planning.rows import Blocked


NOTHING_TO_DO = "Nothing is to be changed."


class PlanRequest(RulesStatement):
    """The body of `POST /api/plan`."""

    foreign_rules: ForeignRulesField = ForeignRules.KEEP


class GuardRequest(Document):
    """What an apply says of the guard that it registers too."""

    name: GuardName
    mode: ModeField = Mode.ENFORCE


class ApplyRequest(Document):
    """The body of `POST /api/apply`."""

    intent: IntentStatement
    guard: GuardRequest | None = None
    foreign_rules: ForeignRulesField = ForeignRules.KEEP
    reassociate: StrictBool = False
    allow_shared: StrictBool = False

    def contradictions(self, at: str) -> Iterable[FieldError]:
        """Everything that is wrong between the fields."""
        yield from self.intent.contradictions(f"{at}/intent")
        if self.intent.network_security_group_id is None:
            yield FieldError(
                f"{at}/intent/networkSecurityGroupId",
                "Name the NSG that must honour the intent; it is made where there is none.",
            )

    @property
    def guard_statement(self) -> GuardStatement:
        """The guard that keeps what was applied."""
        return GuardStatement(
            intent=self.intent,
            mode=self.guard.mode if self.guard else Mode.ENFORCE,
            foreignRules=self.foreign_rules,
            reassociate=self.reassociate,
            allowShared=self.allow_shared,
        )

    @property
    def options(self) -> ApplyOptions:
        """What the caller permits."""
        return ApplyOptions(self.foreign_rules, self.reassociate, self.allow_shared)


@answered()
async def plan_rules(request: func.HttpRequest) -> func.HttpResponse:
    """Answer `POST /api/plan`: the changes that would make an NSG honour an intent."""
    asked = await compute(read_plan, request)
    is_live = asked.security_rules is None
    live = await read_live(asked.intent, network_for(asked.intent, live=is_live), with_nsg=is_live)
    if is_live:
        planned = await compute(plan_live, live, asked.foreign_rules)
        if planned.plan.blocked:
            raise shown_conflict(no_place(planned.plan.blocked))
        return await json_answer(live_plan_json, planned)
    plan = await compute(plan_given, asked, live)
    if plan.blocked:
        raise shown_conflict(no_place(plan.blocked))
    return await json_answer(given_plan_json, live, plan)


def read_plan(request: func.HttpRequest) -> PlanRequest:
    """Read the body; raises `Problem` or `InvalidInput`."""
    body = read_json(request)
    return read_both(PlanRequest, body, read_given_rules(body).errors)


def plan_given(asked: PlanRequest, live: Live) -> Plan:
    """Plan for the rules that a caller gave."""
    standing, _ = read_documents(asked.security_rules or [])
    return make_plan(live.question(asked.foreign_rules, asked.extent(live)), standing)


@answered()
async def apply_rules(
    request: func.HttpRequest, *, queue: func.Out[str] | None = None
) -> func.HttpResponse:
    """Answer `POST /api/apply`: plan, write with one guarded call, prove what came of it."""
    body = await compute(read_json, request)
    asked = await compute(read_document, ApplyRequest, body)
    check_scopes(asked.intent, read_settings())
    by = caller_of(request)
    if queue is not None and is_asynchronous(request):
        accepted = await accept_operation(request, body, queue, by)
        accepted.headers["Preference-Applied"] = "respond-async"
        return accepted
    answer = await apply_now(asked, by)
    return await json_answer(lambda: answer)


async def apply_now(
    asked: ApplyRequest, by: str, journal: WriteJournal | None = None
) -> dict[str, Any]:
    """Apply an intent and return the contract's answer.

    Args:
        asked: what the caller sent.
        by: who asks.
        journal: where writes are recorded.

    Raises:
        Conflict: the guard to be registered cannot be; nothing is written then. Else as `apply` does.
    """
    settings = read_settings()
    network = network_for(asked.intent, live=True)
    if network is None:
        raise AssertionError
    run = ApplyRun(asked.intent, asked.options, settings, network, journal)
    if asked.guard is not None:
        await check_free(asked.guard.name, asked.guard_statement)
    try:
        result = await apply(run, settings)
    except Conflict as conflict:
        raise shown_conflict(conflict) from conflict
    finally:
        if run.has_written:
            names = [str(change["name"]) for change in run.changes]
            log_write(by, "apply", asked.intent.network_security_group_id, names)
    answer = await compute(applied_json, result)
    if asked.guard is not None:
        guard, _ = await register(asked.guard.name, asked.guard_statement, by)
        answer["guard"] = guard_json(guard)
    return answer


# -- the contract's answers -----------------------------------------------------------------------


def live_plan_json(planned: LivePlan) -> dict[str, Any]:
    """Return the plan for live state, with its proofs."""
    live = planned.live
    body = plan_json(live, planned.changes, planned.plan.rules, planned.notices)
    before = proof_json(live, planned.plan.before, is_associated=live.is_associated)
    is_associated = None if live.subnet is None else True
    after = proof_json(live, planned.plan.after, is_associated=is_associated)
    summary = summarize_plan(planned.changes, planned.plan.before, live.is_associated)
    return {"summary": summary, **body, **verdicts("Before", before), **verdicts("After", after)}


def given_plan_json(live: Live, plan: Plan) -> dict[str, Any]:
    """Return the plan for given rules, with its proofs."""
    body = plan_json(live, plan.changes, plan.rules, [*live.notices, *about_plan(plan)])
    summary = summarize_plan(plan.changes, plan.before, None)
    before, after = verdict_json(plan.before), verdict_json(plan.after)
    return {"summary": summary, **body, **verdicts("Before", before), **verdicts("After", after)}


def applied_json(result: ApplyResult) -> dict[str, Any]:
    """Return what an apply did: its plan, and whether it changed something."""
    planned, live = result.planned, result.planned.live
    body = plan_json(live, planned.changes, planned.plan.rules, planned.notices)
    before = proof_json(live, planned.plan.before, is_associated=live.is_associated)
    after = proof_json(live, result.after, is_associated=result.is_associated)
    names = [str(change["name"]) for change in result.changes]
    did = (
        f"{count_of(names)} applied: {listed(names[:NAMED], len(names))}."
        if names
        else NOTHING_TO_DO
    )
    now = summarize(result.after, is_associated=result.is_associated)
    return {
        "applied": result.applied,
        "summary": f"{did} {now}",
        **body,
        "changes": list(result.changes),
        "etag": result.etag,
        **verdicts("Before", before),
        **verdicts("After", after),
    }


def summarize_plan(
    changes: Sequence[Change], before: Verification, is_associated: bool | None
) -> str:
    """Return a plan in two sentences: what is wrong, and what it would change."""
    found = summarize(before, is_associated=is_associated)
    names = [change.name for change in changes]
    if not names:
        return f"{found} {NOTHING_TO_DO}"
    return f"{found} {count_of(names)} planned: {listed(names[:NAMED], len(names))}."


def count_of(names: Sequence[str]) -> str:
    """Return how many changes there are, in words."""
    return "1 change is" if len(names) == 1 else f"{len(names)} changes are"


def plan_json(
    live: Live,
    changes: Sequence[Change],
    rules: Sequence[StandingRule],
    notices: Iterable[Notice],
) -> dict[str, Any]:
    """Spell a plan as the contract does, but for its verdicts."""
    return {
        "networkSecurityGroupId": live.nsg_id or None,
        "etag": live.nsg.etag if live.nsg else None,
        "changes": [change.to_json() for change in changes],
        "securityRulesAfter": [rule.document for rule in rules],
        "notices": [notice.to_json() for notice in notices],
    }


def proof_json(
    live: Live, verification: Verification, *, is_associated: bool | None
) -> dict[str, Any]:
    """Spell a proof, with the association as it is, or will be."""
    association = None
    if live.subnet is not None and is_associated is not None:
        nsg_id = live.nsg_id if is_associated else live.subnet.nsg_id
        association = association_json(live.subnet.id, nsg_id, is_associated=is_associated)
    return verdict_json(verification, (), association)


def verdicts(when: str, proof: dict[str, Any]) -> dict[str, Any]:
    """Return the word of a verdict, and the proof behind it."""
    return {f"verdict{when}": proof["verdict"], f"proof{when}": proof}


def shown_conflict(conflict: Conflict) -> Conflict:
    """Return a conflict whose facts can be written as JSON."""
    blocked: Sequence[Blocked] = conflict.facts.get("blocked", ())
    if not blocked:
        return conflict
    shown = [
        {
            "name": one.row.name,
            "why": one.row.why,
            "violations": [violation_json(by, with_cut_off=False) for by in one.by],
        }
        for one in blocked
    ]
    return Conflict(conflict.kind, str(conflict), {"blocked": shown}, conflict.arm)
