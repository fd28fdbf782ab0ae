"""The policy of guards, case by case: this table is its specification."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from shared.applying.writes import Write, WriteState
from shared.errors import ArmAnswer, ArmRefused, Conflict, NotFound, Transient
from shared.guards.actions import give_up, publish_all_writes, restate, resume, suspend
from shared.guards.circuit import Circuit
from shared.guards.declared import new_guard
from shared.guards.guard import (
    ClaimConflict,
    Failure,
    Guard,
    GuardStatement,
    PendingWrite,
    Suspension,
    iso,
)
from shared.guards.observation import Cause, Observation
from shared.guards.policy import (
    DAY,
    TRANSIENT_SECONDS,
    Applied,
    ApplyFailure,
    conclude,
    decide,
    needs_work,
)
from shared.settings import CircuitLimits
from tests.azure import INTENT, LUSTRE

NOW = 1_000_000.0
LIMITS = CircuitLimits(same=2, any=4, window_seconds=100)
EVENT, REGISTRATION = Cause("event", principal="network-team"), Cause("registration")
RUN = "this run"

CHANGE = {"action": "create", "name": "AMLFS-Out-Ntp", "after": {"name": "x"}, "reason": "why"}
EXCESS = {"kind": "excess", "rule": {"name": "ssh", "priority": 100, "direction": "Inbound"}}

RIGHT = Observation("compliant", "All right.", subnet_id=LUSTRE, state="right", run=RUN)
BROKEN = replace(RIGHT, verdict="noncompliant", changes=(CHANGE,), state="broken")
LEAKING = replace(RIGHT, verdict="noncompliant", remaining=(EXCESS,), state="leaking")
BOTH = replace(BROKEN, remaining=(EXCESS,))
REFUSED = replace(
    BROKEN, remaining=({"kind": "shared", "message": "It is shared."},), is_refused=True
)
UNKNOWN = replace(RIGHT, verdict="undecided")

SUSPENDED = Suspension(NOW - 10)


def guard(mode: str = "enforce", **fields: Any) -> Guard:
    """A guard that found everything right when it was looked at last."""
    statement = GuardStatement.model_validate({"intent": INTENT, "mode": mode})
    known = new_guard(statement, "fs").with_verdict("compliant", NOW - 50).found_in(LUSTRE)
    return replace(known, **fields)


def drifted(mode: str = "enforce", **fields: Any) -> Guard:
    """A guard that has announced what `BROKEN` shows and may not write."""
    before = guard(mode, **fields)
    return replace(before, announced=f"{BROKEN.changes_digest}{BROKEN.remaining_digest}")


OPEN = Circuit(((NOW - 5, "a"), (NOW - 3, "a")), NOW - 60, NOW - 60, "broken")
TWICE = Circuit(tuple((NOW - n, BROKEN.changes_digest) for n in (5, 3)))


def pending(
    state: str, run: str = "another run", at: float = NOW - 30, **cause: Any
) -> PendingWrite:
    write = Write("w1", INTENT["networkSecurityGroupId"], "e1", (CHANGE,), WriteState(state), at)
    return PendingWrite(write, run, {"kind": "event", **cause}, "c-1", "noncompliant")


@dataclass(frozen=True)
class Case:
    """A guard, what a look found, and what follows."""

    before: Guard
    seen: Observation
    outcomes: list[str] = field(default_factory=list)
    may_write: bool = False
    cause: Cause = EVENT
    after: dict[str, Any] = field(default_factory=dict)


DECISIONS = {
    "all is right": Case(guard(), RIGHT),
    "drift is restored": Case(guard(), BROKEN, may_write=True),
    "drift is restored, what remains is announced afterwards": Case(guard(), BOTH, may_write=True),
    "what may not be restored is announced": Case(guard(), REFUSED, ["blocked"]),
    "a leak that may not be closed is announced": Case(guard(), LEAKING, ["blocked"]),
    "it is announced once": Case(guard(announced=LEAKING.remaining_digest), LEAKING),
    "and again when it is another one": Case(guard(announced="another"), LEAKING, ["blocked"]),
    "right again without our write": Case(guard(announced="d"), RIGHT, ["resolved"]),
    "right again after a failure": Case(
        guard(failure=Failure("k", "r", NOW, announced=True)), RIGHT, ["resolved"]
    ),
    "a failure that nobody heard of ends silently": Case(
        guard(failure=Failure("k", "r", NOW)), RIGHT, after={"failure": None}
    ),
    "what is undecided is not right again": Case(guard(announced="d"), UNKNOWN),
    "an auditing guard announces": Case(guard("audit"), BROKEN, ["driftDetected"]),
    "it does so once": Case(drifted("audit"), BROKEN),
    "a suspended guard announces": Case(guard(suspension=SUSPENDED), BROKEN, ["driftDetected"]),
    "a guard in conflict announces": Case(
        guard(conflict=ClaimConflict("other", "nsg")), BROKEN, ["driftDetected"]
    ),
    "a suspension that is over ends, and it restores": Case(
        guard(suspension=Suspension(NOW - 10, until=NOW - 1)),
        BROKEN,
        ["resumed"],
        may_write=True,
        after={"suspension": None},
    ),
    "the same restoration once too often opens the circuit": Case(
        guard(circuit=TWICE), BROKEN, ["suspended"]
    ),
    "a registration does not": Case(
        guard(circuit=TWICE), BROKEN, may_write=True, cause=REGISTRATION
    ),
    "an open circuit announces other drift": Case(
        drifted(circuit=OPEN), replace(BOTH, state="otherwise"), ["driftDetected"]
    ),
    "an open circuit closes after a window in which nobody changed anything": Case(
        drifted(circuit=replace(OPEN, changed_at=NOW - 100)), BROKEN, ["resumed"], may_write=True
    ),
    "not before": Case(drifted(circuit=replace(OPEN, changed_at=NOW - 99)), BROKEN),
    "not where somebody changed something": Case(
        drifted(circuit=replace(OPEN, changed_at=NOW - 100)), replace(BROKEN, state="otherwise")
    ),
    "a clock that was ahead begins the window anew": Case(
        drifted(circuit=replace(OPEN, changed_at=NOW + 9_999)),
        BROKEN,
        after={"circuit": replace(OPEN, changed_at=NOW)},
    ),
    "an accepted write of a run that did not end is published": Case(
        guard(pending=(pending("accepted"),)), RIGHT, ["restored"], after={"pending": ()}
    ),
    "also where it drifted again": Case(
        guard(pending=(pending("accepted"),)), BROKEN, ["restored"], may_write=True
    ),
    "also where the guard only looks by now": Case(
        guard("audit", pending=(pending("accepted"),)), BROKEN, ["restored", "driftDetected"]
    ),
    "a write without an answer is published where the look shows it": Case(
        guard(pending=(pending("sent"),)), replace(RIGHT, accepted=frozenset({"w1"})), ["restored"]
    ),
    "it is not where the resource is as it was": Case(
        guard(pending=(pending("sent"),)),
        replace(BROKEN, unchanged=frozenset({"w1"})),
        may_write=True,
        after={"pending": (pending("refuted"),)},
    ),
    "nor later, when somebody else repairs it": Case(
        guard(pending=(pending("refuted"),)), replace(RIGHT, accepted=frozenset({"w1"}))
    ),
    "nor where nothing of it shows": Case(guard(pending=(pending("sent"),)), RIGHT),
    "what was refuted long ago is dropped": Case(
        guard(pending=(pending("refuted", at=NOW - 601),)), RIGHT, after={"pending": ()}
    ),
    "clocks of two instances differ a little": Case(
        guard(pending=(pending("sent", at=NOW + 1),)),
        RIGHT,
        after={"pending": (pending("sent", at=NOW + 1),)},
    ),
    "an open circuit closes silently while the guard is suspended": Case(
        drifted(circuit=replace(OPEN, changed_at=NOW - 100), suspension=SUSPENDED), BROKEN
    ),
    "our own writes are published at the end of the run": Case(
        guard(pending=(pending("accepted", RUN),)), RIGHT
    ),
    "no `resolved` beside the `restored` of another run": Case(
        guard(announced="d", pending=(pending("accepted"),)), RIGHT, ["restored"]
    ),
    "a guard that is suspended for a day says so": Case(
        guard(suspension=Suspension(NOW - DAY)), RIGHT, ["reminder"], after={"reminded_at": NOW}
    ),
    "once a day": Case(guard(suspension=Suspension(NOW - 3 * DAY), reminded_at=NOW - 10), RIGHT),
    "and the next day again": Case(
        guard(suspension=Suspension(NOW - 3 * DAY), reminded_at=NOW - DAY), RIGHT, ["reminder"]
    ),
    "an auditing guard that has seen drift for a day says so": Case(
        drifted("audit", drift_since=NOW - DAY), BROKEN, ["reminder"]
    ),
    "an auditing guard without drift does not": Case(guard("audit"), RIGHT),
}


@pytest.mark.parametrize("case", DECISIONS.values(), ids=DECISIONS)
def test_what_follows_from_a_look(case) -> None:
    decision = decide(case.before, case.seen, case.cause, NOW, LIMITS)
    assert [one.kind.value for one in decision.outcomes] == case.outcomes
    assert decision.may_write is case.may_write
    assert decision.guard.status.verdict == case.seen.verdict
    assert decision.guard.status.last_checked == iso(NOW)
    for name, value in case.after.items():
        assert getattr(decision.guard, name) == value
    said = [one for one in case.outcomes if one != "reminder"]
    expected = said[-1] if said else case.before.status.last_outcome
    if not decision.may_write:
        assert decision.guard.status.last_outcome == expected


@pytest.mark.parametrize("case", DECISIONS.values(), ids=DECISIONS)
def test_a_second_look_says_nothing_twice(case) -> None:
    """Whatever a decision published, the same look once more publishes nothing; the sweep agrees."""
    first = decide(case.before, case.seen, case.cause, NOW, LIMITS)
    second = decide(first.guard, case.seen, case.cause, NOW, LIMITS)
    assert second.outcomes == ()
    is_waiting = any(one.write.state is not WriteState.REFUTED for one in first.guard.pending)
    assert needs_work(first.guard, second) is (second.may_write or is_waiting)


ARM = ArmAnswer(409, "ScopeLocked", "r-1")
LOCKED = Conflict("locked", "It is locked.", arm=ARM)
THROTTLED = Transient("Throttled.", 30, ArmAnswer(429, "TooManyRequests", None), is_throttled=True)
LONG_AGO = Failure("Transient TooManyRequests", "Throttled.", NOW - TRANSIENT_SECONDS)

CONCLUSIONS = {
    "a restoration": (
        guard(pending=(pending("accepted", RUN),)),
        Applied(RIGHT, RUN),
        ["restored"],
        "compliant",
    ),
    "a restoration that leaves something": (
        guard(pending=(pending("accepted", RUN),)),
        Applied(LEAKING, RUN),
        ["restored", "blocked"],
        "noncompliant",
    ),
    "what remains was announced before": (
        guard(pending=(pending("accepted", RUN),), announced=LEAKING.remaining_digest),
        Applied(LEAKING, RUN),
        ["restored"],
        "noncompliant",
    ),
    "another process was faster": (guard(), Applied(RIGHT, RUN), [], "compliant"),
    "the NSG is written, the association fails": (
        guard(pending=(pending("accepted", RUN),)),
        ApplyFailure(LOCKED, BROKEN, RUN),
        ["restored", "failed"],
        "noncompliant",
    ),
    "a lock does not hide what was read": (
        guard(),
        ApplyFailure(LOCKED, BROKEN, RUN),
        ["failed"],
        "noncompliant",
    ),
    "a failure is announced once": (
        guard(failure=Failure("Conflict ScopeLocked", "It is locked.", NOW, announced=True)),
        ApplyFailure(LOCKED, BROKEN, RUN),
        [],
        "noncompliant",
    ),
    "nothing could be read": (
        guard(),
        ApplyFailure(ArmRefused("No right.", ArmAnswer(403, "AuthorizationFailed", None))),
        ["failed"],
        "undecided",
    ),
    "something is not there": (
        guard(),
        ApplyFailure(NotFound("No subnet.")),
        ["failed"],
        "noncompliant",
    ),
    "a failure that may go away is not announced at once": (
        guard(),
        ApplyFailure(THROTTLED),
        [],
        "compliant",
    ),
    "it is when it lasts": (
        guard(failure=LONG_AGO),
        ApplyFailure(THROTTLED),
        ["failed"],
        "compliant",
    ),
    "and what was read before it counts": (
        guard(failure=LONG_AGO),
        ApplyFailure(THROTTLED, BROKEN, RUN),
        ["failed"],
        "noncompliant",
    ),
}


@pytest.mark.parametrize(
    ("before", "result", "outcomes", "verdict"), CONCLUSIONS.values(), ids=CONCLUSIONS
)
def test_what_follows_from_a_write_or_a_failure(before, result, outcomes, verdict) -> None:
    decision = conclude(before, result, EVENT, NOW, LIMITS)
    assert [one.kind.value for one in decision.outcomes] == outcomes
    assert decision.guard.status.verdict == verdict
    if isinstance(result, ApplyFailure):
        failure = decision.guard.failure
        assert failure is not None
        assert failure.reason == str(result.error)
        for one in decision.outcomes:
            if one.kind.value == "failed" and result.seen is not None:
                assert one.data["changes"], "what was read is said"
                assert one.data["arm"]["status"] in (409, 429)


def test_failures_that_take_turns_are_announced_once() -> None:
    before, said = guard(), []
    for n in range(6):
        error = THROTTLED if n % 2 else LOCKED
        now = NOW + 60 * n
        decision = conclude(before, ApplyFailure(error, BROKEN, RUN), EVENT, now, LIMITS)
        said += [one.kind.value for one in decision.outcomes]
        before = decision.guard
    assert said == ["failed"]


def test_another_network_is_another_story_and_the_same_one_is_not() -> None:
    wrong = drifted("audit", failure=Failure("k", "r", NOW, announced=True), circuit=OPEN)
    wrong = replace(wrong, pending=(pending("accepted"),), suspension=SUSPENDED)
    other = {**INTENT, "networkSecurityGroupId": INTENT["networkSecurityGroupId"] + "2"}
    elsewhere = new_guard(GuardStatement.model_validate({"intent": other}), "fs")
    moved = restate(wrong, elsewhere)
    assert (moved.status.verdict, moved.announced, moved.failure) == (None, None, None)
    assert (moved.circuit, moved.former_subnets) == (Circuit(), ())
    assert (moved.pending, moved.suspension, moved.id) == (wrong.pending, SUSPENDED, wrong.id)
    same = restate(wrong, new_guard(GuardStatement.model_validate({"intent": INTENT}), "fs"))
    assert (same.status, same.announced, same.circuit) == (wrong.status, wrong.announced, OPEN)


def test_what_arm_accepted_counts_for_the_circuit_and_registrations_do_not() -> None:
    own = guard(pending=(pending("accepted", RUN),))
    counted = conclude(own, Applied(RIGHT, RUN), EVENT, NOW, LIMITS).guard.circuit
    assert counted.writes == ((NOW - 30, BROKEN.changes_digest),)
    registration = guard(pending=(pending("accepted", RUN, kind="registration"),))
    assert (
        conclude(registration, Applied(RIGHT, RUN), EVENT, NOW, LIMITS).guard.circuit.writes == ()
    )


def test_two_writes_of_one_run_are_one_outcome_with_all_their_changes() -> None:
    second = replace(pending("accepted", RUN), write=replace(pending("accepted").write, id="w2"))
    own = guard(pending=(pending("accepted", RUN), second))
    decision = conclude(own, Applied(RIGHT, RUN), EVENT, NOW, LIMITS)
    (restored,) = decision.outcomes
    assert len(restored.data["changes"]) == 2
    assert (restored.id, restored.data["correlationId"]) == ("w1", "c-1")
    assert decision.guard.pending == ()


def test_suspending_and_resuming() -> None:
    stopped = suspend(guard(), "me", NOW, "a change window", NOW + 60)
    assert [one.kind.value for one in stopped.outcomes] == ["suspended"]
    assert stopped.outcomes[0].data["by"] == "me"
    assert not stopped.guard.may_write(NOW)
    assert stopped.guard.may_write(NOW + 60), "it ends by itself"
    longer = suspend(stopped.guard, "you", NOW + 1)
    assert longer.guard.suspension == Suspension(NOW, "a change window", None, "you")
    assert suspend(longer.guard, "me", NOW + 2).outcomes == (), "it is suspended so already"
    again = resume(replace(stopped.guard, circuit=OPEN), "me")
    assert [one.kind.value for one in again.outcomes] == ["resumed"]
    assert (again.guard.suspension, again.guard.circuit) == (None, Circuit())
    assert resume(guard(), "me").outcomes == ()


def test_giving_up_says_why_the_last_try_failed() -> None:
    decision = give_up(guard(failure=LONG_AGO), EVENT, NOW)
    (failed,) = decision.outcomes
    assert failed.data["poison"] is True
    assert failed.data["reason"].startswith("Throttled. It could not be reconciled")
    assert decision.guard.failure is not None
    assert decision.guard.failure.announced


def test_a_deleted_guard_publishes_what_arm_accepted() -> None:
    other = replace(
        pending("accepted", "third run"), write=replace(pending("accepted").write, id="w2")
    )
    both = guard(pending=(pending("accepted"), other, pending("sent")))
    assert [one.id for one in publish_all_writes(both, NOW, LIMITS).outcomes] == ["w1", "w2"]
