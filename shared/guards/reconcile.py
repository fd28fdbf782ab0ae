"""Reconcile: read, plan, write, prove, record, announce, for one guard. Idempotent.

A reconcile of a guard whose state is right makes no write; so our own write comes back as an event and
ends there. Two of them at once end with one write, because the write is guarded by the NSG's etag.
"""

from __future__ import annotations

import logging
import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from shared.applying.applying import Application, refuse
from shared.applying.live import read_live
from shared.applying.planned import plan_live
from shared.context import calls_made, correlation_id
from shared.errors import (
    Conflict,
    GuardError,
    NotFound,
    PreconditionFailed,
    Transient,
)
from shared.guards.findings import (
    Finding,
    change_json,
    remaining_of,
    verdict_of,
    watched_by,
)
from shared.guards.metrics import count_reconcile
from shared.guards.outcomes import OutcomeType, outcome

if TYPE_CHECKING:
    from shared.applying.applying import Applied
    from shared.applying.live import Live
    from shared.applying.planned import LivePlan
    from shared.cloud.network import Network
    from shared.guards.book import GuardBook
    from shared.guards.findings import Cause
    from shared.guards.guard import Guard
    from shared.guards.outcomes import Outcomes
    from shared.settings import CircuitLimits, Settings

log = logging.getLogger("amlfs.reconcile")

NONCOMPLIANT = "noncompliant"

RESTORATIONS = uuid.UUID("6f1d0a5e-4b0c-5d5b-9a8e-0c6c6f2f6a11")
"""The namespace of their ids. Instances that are about to mend the same state give it the same id, and
one outcome is told of it."""


class CircuitOpens(Exception):
    """This restoration would be one too many."""

    def __init__(self, planned: LivePlan) -> None:
        super().__init__()
        self.planned = planned


@dataclass(frozen=True, slots=True)
class Desk:
    """What reconciling needs.

    Attributes:
        book: of the guards.
        outcomes: keeps and sends them.
        network: how ARM is read and written.
        settings: the service's.
    """

    book: GuardBook
    outcomes: Outcomes
    network: Network
    settings: Settings


class Reconciliation:
    """One guard being looked at and, perhaps, restored."""

    def __init__(self, desk: Desk, guard: Guard, cause: Cause) -> None:
        self._desk = desk
        self._guard = guard
        self._cause = cause
        self._started = time.perf_counter()
        self._opened = False

    async def run(self) -> Guard:
        """Reconcile the guard and return it as it is kept afterwards.

        Raises:
            Transient: it did not work out in the time; whoever asked asks again.
        """
        await self._tell_of_the_dead()
        await self._close_if_quiet()
        try:
            finding = await self._look_and_restore()
        except Transient:
            self._log(None)
            raise
        except GuardError as error:
            await self._fail(error)
            self._log(None)
            return self._guard
        await self._record(finding)
        self._log(finding)
        return self._guard

    # -- looking and restoring --------------------------------------------------------------------

    async def _look_and_restore(self) -> Finding:
        guard, desk = self._guard, self._desk
        if not guard.may_write:
            return await self._look()
        application = Application(
            guard.statement.intent,
            guard.terms,
            desk.settings,
            desk.network,
            self._before_write,
        )
        try:
            finding = found(await application.run())
            await self._check_subnet(finding.subnet_id)
        except Transient:
            if not application.may_have_written:
                await self._keep(lambda guard: replace(guard, pending=None))
            raise
        except CircuitOpens as stop:
            await self._open_circuit()
            return seen(stop.planned)
        except Conflict as conflict:
            if conflict.arm is not None:
                raise  # a lock: nothing that a look would tell
            return await self._look()
        return finding

    async def _look(self) -> Finding:
        """Look without writing."""
        live = await read_live(self._guard.statement.intent, self._desk.network)
        finding = look(live, self._guard, self._desk.settings)
        try:
            await self._check_subnet(finding.subnet_id)
        except Conflict as taken:  # by the guard of another NSG: what was found there is not ours
            return replace(
                finding,
                remaining=(*finding.remaining, problem_json(taken)),
                subnet_id=None,
                is_refused=True,
            )
        return finding

    async def _before_write(self, planned: LivePlan) -> None:
        """Ask the circuit, and note what is about to be done, in case nobody lives to tell of it.

        Raises:
            CircuitOpens: it would be one restoration too many.
            Conflict: the subnet is another guard's.
        """
        finding, now = seen(planned), time.time()
        await self._check_subnet(finding.subnet_id)
        is_registration = self._cause.kind == "registration"
        limits = self._desk.settings.circuit
        if not is_registration and not self._guard.circuit.allows(finding.digest, now, limits):
            raise CircuitOpens(planned)
        event = outcome(self._guard, OutcomeType.RESTORED, self._data(finding, "compliant"))
        etag = planned.live.nsg.etag if planned.live.nsg else None
        checked = self._guard.status.last_checked
        event["id"] = str(uuid.uuid5(RESTORATIONS, f"{self._guard.key} {etag} {checked}"))
        await self._keep(lambda guard: replace(guard, pending=same_or(guard.pending, event)))

    async def _check_subnet(self, subnet_id: str | None) -> None:
        """Raise `Conflict` where the file system is in a subnet that is another guard's."""
        there = self._guard.found_in(subnet_id)
        if there is not self._guard:
            await self._desk.book.check_claims(there)

    async def _tell_of_the_dead(self) -> None:
        """Finish the story of a write whose process did not live to tell it."""
        pending = self._guard.pending
        if pending is None:
            return
        live = await read_live(self._guard.statement.intent, self._desk.network)
        if not plan_live(live, self._guard.statement.foreign_rules).changes:
            await self._desk.outcomes.tell(self._guard, pending)
        await self._keep(lambda guard: replace(guard, pending=None))

    # -- recording and announcing -----------------------------------------------------------------

    async def _record(self, finding: Finding) -> None:
        """Keep what was found, and announce what is new about it."""
        now, limits = time.time(), self._desk.settings.circuit
        events = self._events(finding)
        is_drifting = bool(finding.changes or finding.remaining) and not finding.applied
        counts = finding.applied and self._cause.kind != "registration"
        announced = announcement(self._guard, finding)

        def change(guard: Guard) -> Guard:
            circuit = guard.circuit
            if counts:
                circuit = circuit.written(finding.digest, now, limits)
            if circuit.is_open and is_drifting:
                circuit = circuit.drifting(now)
            checked = guard.checked(finding.verdict, now).found_in(finding.subnet_id)
            last = events[-1][0].value if events else checked.status.last_outcome
            return replace(
                checked,
                status=replace(checked.status, last_outcome=last),
                circuit=circuit,
                announced=announced,
                pending=None,
                watched=finding.watched or guard.watched,
            )

        for kind, data in events:
            pending = self._guard.pending
            event = outcome(self._guard, kind, data)
            if kind is OutcomeType.RESTORED and pending is not None:
                event |= {"id": pending["id"], "time": pending["time"]}
            await self._desk.outcomes.tell(self._guard, event)
        await self._keep(change)

    def _events(self, finding: Finding) -> list[tuple[OutcomeType, dict[str, Any]]]:
        """Return the outcomes of a look: what was restored, then what is new and remains."""
        data = self._data(finding, finding.verdict)
        events = []
        if finding.applied:
            events.append((OutcomeType.RESTORED, data))
        is_news = announcement(self._guard, finding) not in (None, self._guard.announced)
        if is_news and not self._opened:
            could_write = self._guard.may_write
            kind = OutcomeType.BLOCKED if could_write else OutcomeType.DRIFT_DETECTED
            events.append((kind, data))
        return events

    async def _fail(self, error: GuardError) -> None:
        """Announce once that a look or a restoration failed for good."""
        kind = type(error).__name__
        code = error.arm.code if error.arm else None
        announced = f"failed {kind} {code}"
        now = time.time()
        if announced != self._guard.announced:
            data: dict[str, Any] = {"reason": str(error), "cause": self._cause.to_json()}
            data |= {"correlationId": correlation_id()}
            if error.arm is not None:
                arm = error.arm
                data["arm"] = {
                    "status": arm.status,
                    "code": arm.code,
                    "requestId": arm.request_id,
                }
            event = outcome(self._guard, OutcomeType.FAILED, data)
            await self._desk.outcomes.tell(self._guard, event)

        def change(guard: Guard) -> Guard:
            verdict = NONCOMPLIANT if isinstance(error, NotFound) else "undecided"
            checked = guard.checked(verdict, now)
            status = replace(checked.status, last_outcome=OutcomeType.FAILED.value)
            return replace(checked, status=status, announced=announced, pending=None)

        await self._keep(change)
        log.warning("guard %s failed: %s", self._guard.name, error)

    # -- the circuit ------------------------------------------------------------------------------

    async def _open_circuit(self) -> None:
        """Stop writing, and say who keeps undoing us."""
        now, limits = time.time(), self._desk.settings.circuit
        self._opened = True
        reason = (
            f"Restored more than {limits.same} times the same, or {limits.any} times anything, within"
            f" {limits.window_seconds:g} s: somebody else keeps undoing it. The guard only looks until"
            " it has been quiet for as long, or is resumed."
        )
        data: dict[str, Any] = {"reason": reason, "circuit": "open"}
        data |= {"cause": self._cause.to_json()}
        data |= {"correlationId": correlation_id(), "principal": self._cause.principal}
        event = outcome(self._guard, OutcomeType.SUSPENDED, data)
        await self._desk.outcomes.tell(self._guard, event)

        def change(guard: Guard) -> Guard:
            status = replace(guard.status, last_outcome=OutcomeType.SUSPENDED.value)
            return replace(guard, circuit=guard.circuit.opened(now), status=status)

        await self._keep(change)

    async def _close_if_quiet(self) -> None:
        """Go on writing where nobody has undone anything for a window's time."""
        now, limits = time.time(), self._desk.settings.circuit
        if not self._guard.circuit.is_quiet(now, limits):
            return
        data = {"reason": f"It was quiet for {limits.window_seconds:g} s.", "circuit": "closed"}
        event = outcome(self._guard, OutcomeType.RESUMED, data | {"cause": self._cause.to_json()})
        await self._desk.outcomes.tell(self._guard, event)
        await self._keep(lambda guard: replace(guard, circuit=type(guard.circuit)()))

    # -- words ------------------------------------------------------------------------------------

    def _data(self, finding: Finding, verdict: str) -> dict[str, Any]:
        return {
            "verdictBefore": finding.verdict_before,
            "verdictAfter": verdict,
            "changes": [
                {key: change[key] for key in ("action", "name", "reason")}
                for change in finding.changes
            ],
            "remaining": list(finding.remaining),
            "cause": self._cause.to_json(),
            "correlationId": correlation_id(),
            "armCalls": calls_made(),
        }

    def _log(self, finding: Finding | None) -> None:
        """Write the one structured line of this reconcile, and count it."""
        seconds = time.perf_counter() - self._started
        count_reconcile(self._cause, finding, seconds, calls_made())
        line = {
            "guard": self._guard.name,
            "cause": self._cause.kind,
            "resource": self._cause.resource,
            "verdictBefore": finding.verdict_before if finding else None,
            "verdictAfter": finding.verdict if finding else None,
            "changes": len(finding.changes) if finding else None,
            "applied": finding.applied if finding else False,
            "armCalls": calls_made(),
            "milliseconds": round(1000 * seconds, 1),
            "correlationId": correlation_id(),
        }
        text = " ".join(f"{key}={value}" for key, value in line.items())
        log.info("reconcile %s", text, extra={"custom_dimensions": line})

    async def _keep(self, change: Any) -> None:
        try:
            self._guard = await self._desk.book.change(self._guard.key, change)
        except NotFound:  # it was deleted meanwhile; what was done is done
            self._guard = change(self._guard)
        except (PreconditionFailed, Conflict) as error:  # Conflict: a claim was lost just now
            raise Transient(str(error)) from error


def same_or(known: dict[str, Any] | None, event: dict[str, Any]) -> dict[str, Any]:
    """Return the outcome that another instance notes of the same restoration, else this one."""
    return known if known and known["id"] == event["id"] else event


def found(applied: Applied) -> Finding:
    """Return what an apply found and did."""
    planned = applied.planned
    finding = seen(planned)
    verdict = verdict_of(applied.after, applied.is_associated)
    remaining = remaining_of(applied.after, planned.plan.blocked)
    return replace(finding, verdict=verdict, applied=applied.applied, remaining=remaining)


def seen(planned: LivePlan, conflict: Conflict | None = None) -> Finding:
    """Return what a look found."""
    live, plan = planned.live, planned.plan
    before = verdict_of(plan.before, live.is_associated)
    problem = problem_json(conflict) if conflict else None
    return Finding(
        verdict=before,
        verdict_before=before,
        changes=tuple(map(change_json, planned.changes)),
        remaining=remaining_of(plan.after, plan.blocked, problem),
        subnet_id=live.subnet.id if live.subnet else None,
        watched=watched_by(live.statement, live),
        is_refused=conflict is not None,
    )


def problem_json(conflict: Conflict) -> dict[str, Any]:
    """Spell what forbids every write."""
    return {"kind": conflict.kind, "message": str(conflict)}


def announcement(guard: Guard, finding: Finding) -> str | None:
    """Return a digest of the drift that stays under a guard's policy; None where nothing does."""
    if guard.may_write or finding.applied:
        return finding.remaining_digest if finding.remaining else None
    if finding.changes or finding.remaining or finding.verdict == NONCOMPLIANT:
        return f"{finding.digest}{finding.remaining_digest}"
    return None


def needs_work(guard: Guard, finding: Finding, now: float, limits: CircuitLimits) -> bool:
    """Whether a reconcile would do or say something about what a look found."""
    return bool(
        guard.pending
        or guard.circuit.is_quiet(now, limits)
        or (guard.may_write and finding.changes and not finding.is_refused)
        or announcement(guard, finding) != guard.announced
        or finding.verdict != guard.status.verdict
    )


def look(live: Live, guard: Guard, settings: Settings) -> Finding:
    """Return what a guard's live state comes to, without writing; raises `TooIntricate`, `Refused`."""
    planned = plan_live(live, guard.statement.foreign_rules)
    try:
        refuse(planned, guard.terms, settings)
    except Conflict as refusal:
        return seen(planned, refusal)
    return seen(planned)
