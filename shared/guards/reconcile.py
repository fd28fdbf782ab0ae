"""Reconcile one guard: read, decide, save, write, conclude, save, publish. Idempotent.

This module carries out what `policy` decides. A reconcile of a guard whose state is right makes no
write, so our own write comes back as an event and ends there. Two of them at once end with one write,
because the write is guarded by the NSG's etag.

Nothing is lost whenever the process dies: a decision is saved together with its outcomes (`outbox`)
before they are published, and a write is saved (`pending`) before it is sent and when ARM has accepted
it.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shared.applying.applying import ApplyRun
from shared.applying.writes import WriteState
from shared.context import calls_made, calls_throttled, correlation_id, seconds_left, within
from shared.errors import (
    Conflict,
    GuardError,
    InternalFailure,
    NotFound,
    PreconditionFailed,
    Transient,
    Withdrawn,
)
from shared.guards.guard import ClaimConflict, Guard, PendingWrite
from shared.guards.metrics import count_reconcile
from shared.guards.observation import (
    Observation,
    observation_from_plan,
    observation_from_result,
    problem_json,
)
from shared.guards.outcomes import event_of
from shared.guards.policy import (
    Applied,
    ApplyFailure,
    Decision,
    conclude,
    decide,
    publish_own_writes,
)
from shared.guards.repository import ATTEMPTS, pause_briefly
from shared.guards.saving import current_of, publish_outbox, save_decision
from shared.log_events import log_event
from shared.packets.budget import budget

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shared.applying.planned import LivePlan
    from shared.applying.writes import Write
    from shared.cloud.network import Network
    from shared.guards.observation import Cause
    from shared.guards.outcomes import Outcomes
    from shared.guards.repository import GuardRepository
    from shared.settings import Settings

log = logging.getLogger("amlfs.reconcile")

ASSERTING = ("registration", "request", "sweep")
"""Causes for which the guard's claims are put in place again; before each write they are read."""

NOTE_SECONDS = 10.0
"""So often at most it is saved that attempts fail, while a reconcile goes on."""

RESERVE_SECONDS = 3.0
"""So much of an invocation's time is kept for saving what became of it."""


@dataclass(frozen=True, slots=True)
class GuardServices:
    """What reconciling needs.

    Attributes:
        repository: of the guards.
        outcomes: stores and sends them.
        network: how ARM is read and written.
        settings: the service's.
    """

    repository: GuardRepository
    outcomes: Outcomes
    network: Network
    settings: Settings


class Reconciliation:
    """One guard being looked at and, perhaps, restored; it records its own writes."""

    def __init__(self, services: GuardServices, guard: Guard, cause: Cause) -> None:
        self._services = services
        self._guard = guard
        self._cause = cause
        self._started = time.perf_counter()
        self.earlier: Sequence[Write] = ()  # the policy settles them, not the run
        self._seen: Observation | None = None
        self._applied = False
        self._noted: float | None = None
        self._run = ApplyRun(guard.intent, guard.options, services.settings, services.network, self)

    @property
    def changes(self) -> tuple[str, ...]:
        """The names of what ARM has accepted from this reconcile."""
        return tuple(str(change["name"]) for change in self._run.changes)

    async def run(self) -> Guard:
        """Reconcile the guard and return it as it is saved afterwards.

        Raises:
            Transient: it did not get done in the time; the guard's status says why.
        """
        services = self._services
        self._guard = await publish_outbox(services.repository, services.outcomes, self._guard)
        if self._guard.conflict is not None or self._cause.kind in ASSERTING:
            await self._assert_claims()
        try:
            with budget():
                async with within(seconds_left() - reserve()):
                    await self._look_and_restore()
        except Withdrawn as error:
            log.info("guard %s writes nothing: %s", self._guard.name, error)
            await self._look_again()
        except GuardError as error:
            await self._fail(error)
            if isinstance(error, Transient):
                raise
        except Exception:
            log.exception("guard %s failed in an unforeseen way", self._guard.name)
            await self._fail(
                InternalFailure("The service failed in a way that nobody foresaw; see its log.")
            )
        finally:
            self._log()
        return self._guard

    # -- looking and restoring --------------------------------------------------------------------

    async def _look_and_restore(self) -> None:
        """Look, and carry out the plan where the policy permits it."""
        async for attempt in self._run:
            await self._note_trouble()
            with attempt:
                planned = await self._run.plan()
                if self._guard.may_write(time.time()):
                    self._run.check_idle(planned)
                self._seen = await self._observe(planned)
                decision = await self._decide(self._seen)
                if not decision.may_write:
                    return
                result = await self._run.write(planned)
                after = observation_from_result(self._seen, result)
                self._applied = result.applied
                await self._conclude(Applied(after, self._run.id))

    async def _note_trouble(self) -> None:
        """Save now and then why attempts fail, so that the guard's status shows it meanwhile."""
        error, now = self._run.trouble, time.monotonic()
        is_due = self._noted is None or now - self._noted >= NOTE_SECONDS
        if error is not None and is_due:
            self._noted = now
            await self._conclude(ApplyFailure(error, self._seen, self._run.id))

    async def _look_again(self) -> None:
        """Decide once more on what was seen, for a guard that may not write any more."""
        try:
            current = await current_of(self._services.repository, self._guard)
        except NotFound:
            await self._conclude_for_deleted()
            return
        is_same = current.statement.is_same_as(self._guard.statement)
        self._guard = current
        if self._seen is not None and is_same:
            await self._conclude(Applied(self._seen, self._run.id))
        else:
            await self._commit(self._own_writes)

    async def _observe(self, planned: LivePlan) -> Observation:
        """Return what a plan means; a subnet that another guard holds forbids every write."""
        settings = self._services.settings
        seen = observation_from_plan(self._guard, planned, settings, self._run.id)
        there = self._guard.found_in(seen.subnet_id)
        if there is self._guard:
            return seen
        try:
            await self._services.repository.check_claims(there)
        except Conflict as taken:  # what was found there belongs to the other guard
            remaining = (*seen.remaining, problem_json(taken))
            return replace(seen, remaining=remaining, subnet_id=None, watched=(), is_refused=True)
        return seen

    async def _assert_claims(self) -> None:
        """Put the guard's claims in place; it writes nothing while another guard holds one."""
        conflict: ClaimConflict | None = None
        try:
            await self._services.repository.assert_claims(self._guard)
        except Conflict as taken:
            facts = taken.facts
            conflict = ClaimConflict(str(facts.get("guard")), str(facts.get("resource")))
        if conflict != self._guard.conflict:
            await self._commit(lambda guard: Decision(replace(guard, conflict=conflict)))

    # -- deciding and saving ----------------------------------------------------------------------

    async def _decide(self, seen: Observation) -> Decision:
        """Decide on what was seen; raises `PreconditionFailed` where it is out of date.

        Another process may have restored the drift that this look shows. Decided on by now, it would be
        one restoration too many for the circuit.
        """
        limits, now, before = self._services.settings.circuit, time.time(), self._guard.writes

        def decided(guard: Guard) -> Decision:
            if guard.writes != before:
                self._guard = guard
                raise PreconditionFailed("Another process has written since this look.")
            return decide(guard, seen, self._cause, now, limits)

        return await self._commit(decided)

    async def _conclude(self, result: Applied | ApplyFailure) -> Decision:
        limits, now = self._services.settings.circuit, time.time()
        return await self._commit(
            lambda guard: conclude(self._with_accepted(guard), result, self._cause, now, limits)
        )

    def _with_accepted(self, guard: Guard) -> Guard:
        """Return a guard with what this run knows, also where the store did not take it at once."""
        for write_id in self._run.accepted_ids:
            guard = guard.with_write_state(write_id, WriteState.ACCEPTED)
        return guard

    async def _fail(self, error: GuardError) -> None:
        log.warning("guard %s failed: %s", self._guard.name, error)
        try:
            await self._conclude(ApplyFailure(error, self._seen, self._run.id))
        except Withdrawn:
            await self._look_again()

    def _own_writes(self, guard: Guard) -> Decision:
        verdict = self._seen.verdict if self._seen else None
        limits, known = self._services.settings.circuit, self._with_accepted(guard)
        return publish_own_writes(known, self._run.id, verdict, time.time(), limits)

    async def _commit(self, decided: Callable[[Guard], Decision]) -> Decision:
        services = self._services
        try:
            self._guard, decision = await save_decision(
                services.repository, services.outcomes, self._guard, decided
            )
        except NotFound:
            await self._conclude_for_deleted()
            return Decision(self._guard)
        return decision

    async def _conclude_for_deleted(self) -> None:
        """Publish the accepted writes of a guard that was deleted meanwhile."""
        for outcome in self._own_writes(self._guard).outcomes:
            event = event_of(self._guard, outcome)
            await self._services.outcomes.publish(self._guard.id, event)

    # -- the journal of writes --------------------------------------------------------------------

    async def sending(self, write: Write) -> None:
        """Save that a write is about to be sent, if the guard still permits it; raises `Withdrawn`."""
        seen = self._seen
        entry = PendingWrite(
            write,
            self._run.id,
            self._cause.to_json(),
            correlation_id(),
            seen.verdict if seen else "undecided",
            self._guard.nsg_id,
        )
        repository = self._services.repository
        for _ in range(ATTEMPTS):
            try:
                current = await current_of(repository, self._guard)
            except NotFound as gone:
                raise Withdrawn(str(gone)) from gone
            if not current.statement.is_same_as(self._guard.statement):
                raise Withdrawn("It was changed.")
            if not current.may_write(time.time()):
                raise Withdrawn("It may not write any more.")
            try:
                await repository.check_held(current.found_in(seen.subnet_id if seen else None))
                self._guard = await repository.save(current, current.with_pending(entry))
            except Conflict as taken:
                raise Withdrawn(str(taken)) from taken
            except PreconditionFailed:
                await pause_briefly()
            else:
                return
        raise Transient(f"The guard {self._guard.name} keeps being changed.")

    async def accepted(self, write: Write) -> None:
        """Save that ARM has accepted a write."""
        await self._note(write, WriteState.ACCEPTED)

    async def refuted(self, write: Write) -> None:
        """Save that ARM has not accepted a write."""
        await self._note(write, WriteState.REFUTED)

    async def _note(self, write: Write, state: WriteState) -> None:
        """Save what became known of a write; of a guard that is gone it is kept in memory."""
        repository = self._services.repository
        for _ in range(ATTEMPTS):
            wanted = self._guard.with_write_state(write.id, state)
            if wanted == self._guard:
                return
            try:
                self._guard = await repository.save(self._guard, wanted)
            except PreconditionFailed:
                try:
                    self._guard = await current_of(repository, self._guard)
                except NotFound:
                    self._guard = wanted
                    return
                await pause_briefly()
            else:
                return
        log.error("guard %s: it could not be saved that a write is %s", self._guard.name, state)
        self._guard = self._guard.with_write_state(write.id, state)

    def _log(self) -> None:
        """Write the one structured line of this reconcile, and count it."""
        seconds = time.perf_counter() - self._started
        seen = self._seen
        verdict = seen.verdict if seen else None
        count_reconcile(self._cause, verdict, seconds, calls_made(), applied=self._applied)
        log_event(
            log,
            "reconcile",
            guard=self._guard.name,
            cause=self._cause.kind,
            resource=self._cause.resource,
            principal=self._cause.principal,
            verdictBefore=verdict,
            verdictAfter=self._guard.status.verdict,
            changes=len(seen.changes) if seen else None,
            applied=self._applied,
            armCalls=calls_made(),
            throttled=calls_throttled(),
            milliseconds=round(1000 * seconds, 1),
            correlationId=correlation_id(),
        )


def reserve() -> float:
    """Return the seconds of the invocation that are kept for saving."""
    return min(RESERVE_SECONDS, 0.2 * seconds_left())
