"""The policy of guards: pure functions from what is known to what is done.

`decide` is asked after a look and before a write, `conclude` after a write or a failure. Both return a
`Decision`: the guard to save, the outcomes to publish, and whether a write may follow. They read no
clock and call nothing. Reconcile carries their decisions out; the sweep asks `decide` whether there is
anything to carry out. `tests/guards/test_policy.py` has a table of cases, which is the specification.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from shared.amlfs.verification import Verdict
from shared.applying.writes import WriteState
from shared.errors import GuardError, NotFound, Transient
from shared.guards.circuit import Circuit
from shared.guards.guard import Failure, Guard, Mode, PendingWrite, iso
from shared.guards.observation import Observation, digest_of_changes, shown
from shared.guards.outcome import Outcome, OutcomeType

if TYPE_CHECKING:
    from shared.guards.observation import Cause
    from shared.settings import CircuitLimits

Document = dict[str, Any]

DAY = 86_400.0

TRANSIENT_SECONDS = 20.0
"""A failure that goes away by itself is announced when it has lasted for so long."""

REFUTED_SECONDS = 600.0
"""A pending write that was refuted is dropped after so long; no invocation lasts longer."""

NONCOMPLIANT, COMPLIANT = Verdict.NONCOMPLIANT.value, Verdict.COMPLIANT.value


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a look or a write.

    Attributes:
        guard: to be saved.
        outcomes: to be published, in this order.
        may_write: whether the plan may be carried out.
    """

    guard: Guard
    outcomes: tuple[Outcome, ...] = ()
    may_write: bool = False

    def then(self, guard: Guard, *outcomes: Outcome) -> Decision:
        """Return it with more decided."""
        return replace(self, guard=guard, outcomes=(*self.outcomes, *outcomes))


@dataclass(frozen=True, slots=True)
class ApplyFailure:
    """A look or a write that did not succeed.

    Attributes:
        error: why.
        seen: what was read before it failed; None where nothing was read.
        run: id of the run.
    """

    error: GuardError
    seen: Observation | None = None
    run: str = ""


@dataclass(frozen=True, slots=True)
class Applied:
    """A write that succeeded, or an attempt that found nothing left to do.

    Attributes:
        seen: what is left, by what ARM says it has accepted.
        run: id of the run.
    """

    seen: Observation
    run: str = ""


def decide(
    guard: Guard, seen: Observation, cause: Cause, now: float, limits: CircuitLimits
) -> Decision:
    """Decide what follows from a look.

    Args:
        guard: as it is saved.
        seen: what the look found.
        cause: why it was looked at.
        now: seconds since the epoch.
        limits: of the circuit.
    """
    decision = end_suspension(Decision(guard), cause, now)
    decision = publish_interrupted_writes(decision, seen, now, limits)
    decision = observe_circuit(decision, seen, cause, now, limits)
    guard = note_look(decision.guard, seen, now)
    if guard.may_write(now) and seen.changes and not seen.is_refused:
        is_registration = cause.kind == "registration"
        if is_registration or guard.circuit.allows(seen.changes_digest, now, limits):
            return finish(replace(decision, guard=guard, may_write=True))
        opened = replace(guard, circuit=guard.circuit.opened(seen.state, now))
        opened = replace(opened, announced=announcement(opened, seen, now), drift_since=now)
        return finish(decision.then(opened, circuit_opened(seen, cause, limits)))
    decision = announce(replace(decision, guard=guard), seen, cause, now)
    return finish(remind(decision, seen, cause, now))


def conclude(
    guard: Guard,
    result: Applied | ApplyFailure,
    cause: Cause,
    now: float,
    limits: CircuitLimits,
) -> Decision:
    """Decide what follows from a write that succeeded, or from a look or a write that failed.

    A write that ARM has accepted is published in either case.
    """
    verdict = result.seen.verdict if result.seen else guard.status.verdict
    decision = publish_own_writes(guard, result.run, verdict, now, limits)
    if isinstance(result, Applied):
        decision = replace(decision, guard=note_look(decision.guard, result.seen, now))
        return finish(announce(decision, result.seen, cause, now))
    return finish(fail(decision, result, cause, now))


def publish_own_writes(
    guard: Guard, run: str, verdict: str | None, now: float, limits: CircuitLimits
) -> Decision:
    """Publish what ARM has accepted from a run, and nothing else: its guard is another one by now."""
    mine = [
        one for one in guard.pending if one.run == run and one.write.state is WriteState.ACCEPTED
    ]
    return publish_writes(Decision(guard), mine, verdict, now, limits)


def is_settled(guard: Guard) -> bool:
    """Whether nothing can follow from one more look that finds what the last one found."""
    is_waiting = (
        guard.suspension or guard.conflict or guard.failure or guard.pending or guard.outbox
    )
    is_wrong = guard.announced is not None or guard.drift_since is not None
    return not (is_waiting or is_wrong or guard.circuit.is_open) and (
        guard.status.verdict == COMPLIANT
    )


def needs_work(before: Guard, decision: Decision) -> bool:
    """Whether a decision writes, publishes or saves anything but the time of the look."""
    after = decision.guard
    unchanged = replace(
        after,
        status=replace(after.status, last_checked=before.status.last_checked),
        fingerprint=before.fingerprint,
    )
    is_waiting = bool(before.outbox) or any(
        one.write.state is not WriteState.REFUTED for one in before.pending
    )
    return bool(decision.may_write or decision.outcomes or is_waiting or unchanged != before)


# -- the steps ------------------------------------------------------------------------------------


def end_suspension(decision: Decision, cause: Cause, now: float) -> Decision:
    """End a suspension whose time is over."""
    suspension = decision.guard.suspension
    if suspension is None or suspension.holds(now):
        return decision
    reason = f"The suspension ended at {iso(suspension.until or now)}, as it was asked for."
    outcome = Outcome(OutcomeType.RESUMED, {"reason": reason, "cause": cause.to_json()})
    return decision.then(replace(decision.guard, suspension=None), outcome)


def publish_interrupted_writes(
    decision: Decision, seen: Observation, now: float, limits: CircuitLimits
) -> Decision:
    """Publish accepted writes of runs that did not end; note what this look shows of the others."""
    kept: list[PendingWrite] = []
    runs: dict[str, list[PendingWrite]] = {}
    for entry in decision.guard.pending:
        write = entry.write
        if entry.run == seen.run:
            kept.append(entry)
        elif write.state is WriteState.ACCEPTED or (
            write.state is WriteState.SENT and write.id in seen.accepted
        ):
            runs.setdefault(entry.run, []).append(entry)
        elif abs(now - write.at) < REFUTED_SECONDS:  # clocks differ between instances
            state = WriteState.REFUTED if write.id in seen.unchanged else write.state
            kept.append(replace(entry, write=write.is_now(state)))
    decision = decision.then(replace(decision.guard, pending=tuple(kept)))
    for entries in runs.values():
        decision = publish_writes(decision, entries, seen.verdict, now, limits)
    return decision


def publish_writes(
    decision: Decision,
    entries: list[PendingWrite],
    verdict: str | None,
    now: float,
    limits: CircuitLimits,
) -> Decision:
    """Publish accepted writes of one run as one outcome, and count them."""
    if not entries:
        return decision
    guard, first = decision.guard, entries[0]
    kept = tuple(one for one in guard.pending if one not in entries)
    guard = replace(guard, pending=kept)
    if first.cause.get("kind") != "registration":
        digest = digest_of_changes(change for one in entries for change in one.write.changes)
        circuit = guard.circuit.with_write(digest, first.write.at, now, limits)
        guard = replace(guard, circuit=circuit)
    return decision.then(guard, restored(entries, verdict))


def observe_circuit(
    decision: Decision, seen: Observation, cause: Cause, now: float, limits: CircuitLimits
) -> Decision:
    """Note the state that an open circuit sees, and close it after a window without a change."""
    guard = decision.guard
    if not guard.circuit.is_open:
        return decision
    circuit = guard.circuit.observed(seen.state, now)
    if not circuit.may_close(now, limits):
        return decision.then(replace(guard, circuit=circuit))
    if guard.is_suspended(now):  # it goes on writing nothing
        return decision.then(replace(guard, circuit=Circuit()))
    reason = f"Nobody changed anything for {limits.window_seconds:g} s."
    data = {"reason": reason, "circuit": "closed", "cause": cause.to_json()}
    return decision.then(replace(guard, circuit=Circuit()), Outcome(OutcomeType.RESUMED, data))


def note_look(guard: Guard, seen: Observation, now: float) -> Guard:
    """Return a guard after its state was looked at."""
    looked = guard.with_verdict(seen.verdict, now).found_in(seen.subnet_id)
    return replace(
        looked,
        watched=seen.watched or guard.watched,
        findings=seen.findings,
        fingerprint=seen.fingerprint,
    )


def announce(decision: Decision, seen: Observation, cause: Cause, now: float) -> Decision:
    """Publish drift that stays, once; and that everything is right again after that was said."""
    guard = decision.guard
    digest = announcement(guard, seen, now)
    is_wrong = digest is not None
    drift_since = (guard.drift_since or now) if is_wrong and not guard.may_write(now) else None
    was_announced = guard.announced is not None or (
        guard.failure is not None and guard.failure.announced
    )
    after = replace(guard, failure=None, drift_since=drift_since)
    if is_wrong:
        after = replace(after, announced=digest)
        if digest == guard.announced:
            return decision.then(after)
        kind = OutcomeType.BLOCKED if guard.may_write(now) else OutcomeType.DRIFT_DETECTED
        return decision.then(after, Outcome(kind, data_of(seen, cause)))
    if seen.verdict != COMPLIANT:
        return decision.then(after)
    after = replace(after, announced=None)
    was_restored = any(one.kind is OutcomeType.RESTORED for one in decision.outcomes)
    if was_restored or not was_announced:
        return decision.then(after)
    return decision.then(after, Outcome(OutcomeType.RESOLVED, data_of(seen, cause)))


def announcement(guard: Guard, seen: Observation, now: float) -> str | None:
    """Return a digest of the drift that stays under a guard's policy; None where nothing does."""
    if guard.may_write(now):
        return seen.remaining_digest if seen.remaining else None
    if seen.changes or seen.remaining or seen.verdict == NONCOMPLIANT:
        return f"{seen.changes_digest}{seen.remaining_digest}"
    return None


def remind(decision: Decision, seen: Observation, cause: Cause, now: float) -> Decision:
    """Say once a day that a guard has been suspended, or auditing with drift, for a day."""
    guard = decision.guard
    if guard.is_suspended(now) and guard.suspension is not None:
        since, what = guard.suspension.since, "suspended"
    elif guard.statement.mode is Mode.AUDIT and guard.drift_since is not None:
        since, what = guard.drift_since, "auditing, and has seen drift,"
    else:
        return decision.then(replace(guard, reminded_at=None))
    last = max(since, guard.reminded_at or since)
    if last > now:  # the clock was set back: the day begins again
        return decision.then(replace(guard, reminded_at=now))
    if now - last < DAY:
        return decision
    reason = f"The guard has been {what} since {iso(since)}. It restores nothing."
    outcome = Outcome(OutcomeType.REMINDER, data_of(seen, cause) | {"reason": reason})
    return decision.then(replace(guard, reminded_at=now), outcome)


def fail(decision: Decision, result: ApplyFailure, cause: Cause, now: float) -> Decision:
    """Note a failure, and announce it once.

    A verdict that was proved stays: before the failure the state was read, or it goes away by itself.
    """
    guard, error, seen = decision.guard, result.error, result.seen
    is_transient = isinstance(error, Transient)
    if seen is not None:
        guard = note_look(guard, seen, now)
    elif isinstance(error, NotFound):
        guard = guard.with_verdict(NONCOMPLIANT, now)
    elif not is_transient:
        guard = guard.with_verdict(Verdict.UNDECIDED.value, now)
    kind = f"{type(error).__name__} {error.arm.code if error.arm else None}"
    known = guard.failure
    if known is not None and (known.kind == kind or is_transient):  # it lasts
        since, announced, kind = min(known.since, now), known.announced, known.kind
    else:
        since, announced = now, False
    failure = Failure(kind, str(error), since, announced, arm_json(error))
    is_due = not is_transient or now - failure.since >= TRANSIENT_SECONDS
    if failure.announced or not is_due:
        return decision.then(replace(guard, failure=failure))
    guard = replace(guard, failure=replace(failure, announced=True))
    return decision.then(guard, failed(guard, failure, seen, cause))


def finish(decision: Decision) -> Decision:
    """Note the last outcome."""
    last = [one.kind.value for one in decision.outcomes if one.is_last]
    return replace(decision, guard=decision.guard.with_last_outcome(last[-1])) if last else decision


# -- outcomes -------------------------------------------------------------------------------------


def data_of(seen: Observation, cause: Cause) -> Document:
    """Return what an outcome says of a look."""
    return {
        "verdictBefore": seen.verdict,
        "verdictAfter": seen.verdict,
        "changes": list(shown(seen.changes)),
        "remaining": list(seen.remaining),
        "cause": cause.to_json(),
    }


def restored(entries: list[PendingWrite], verdict: str | None) -> Outcome:
    """Return the outcome of writes of one run; its id is the same for everybody who publishes it."""
    first = entries[0]
    data: Document = {
        **({"networkSecurityGroupId": first.nsg_id} if first.nsg_id else {}),
        "verdictBefore": first.verdict_before,
        "verdictAfter": verdict or first.verdict_before,
        "changes": list(shown(change for one in entries for change in one.write.changes)),
        "remaining": [],
        "cause": first.cause,
        "correlationId": first.correlation_id,
    }
    return Outcome(OutcomeType.RESTORED, data, first.write.id, first.write.at)


def circuit_opened(seen: Observation, cause: Cause, limits: CircuitLimits) -> Outcome:
    """Return that the guard stops writing, and who keeps undoing its restorations."""
    reason = (
        f"Restored more than {limits.same} times the same, or {limits.any} times anything, within"
        f" {limits.window_seconds:g} s: somebody else keeps undoing it. The guard writes nothing until"
        " nobody has changed anything for as long, or until it is resumed."
    )
    data = data_of(seen, cause) | {
        "reason": reason,
        "circuit": "open",
        "principal": cause.principal,
    }
    return Outcome(OutcomeType.SUSPENDED, data)


def failed(guard: Guard, failure: Failure, seen: Observation | None, cause: Cause) -> Outcome:
    """Return that a look or a write failed, with what was read before."""
    data: Document = {"reason": failure.reason, "cause": cause.to_json()}
    if seen is not None:
        data = data_of(seen, cause) | data
    elif guard.status.verdict is not None:
        data |= {"verdictAfter": guard.status.verdict}
    if failure.arm is not None:
        data["arm"] = failure.arm
    return Outcome(OutcomeType.FAILED, data)


def arm_json(error: GuardError) -> Document | None:
    """Return what ARM answered, as the contract has it."""
    arm = error.arm
    if arm is None:
        return None
    return {"status": arm.status, "code": arm.code, "requestId": arm.request_id}
