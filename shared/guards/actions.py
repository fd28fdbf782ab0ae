"""What a request, a declaration or a poison message does to a guard; pure, as the policy is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shared.guards.circuit import Circuit
from shared.guards.guard import Failure, Findings, Guard, Mode, Status, Suspension, iso
from shared.guards.outcome import Outcome, OutcomeType
from shared.guards.policy import Decision, failed, finish, publish_own_writes
from shared.planning.plan import ForeignRules

if TYPE_CHECKING:
    from shared.guards.guard import GuardStatement
    from shared.guards.observation import Cause
    from shared.settings import CircuitLimits

GAVE_UP = "It could not be reconciled, however often that was tried; the log has the details."


def suspend(
    guard: Guard, by: str, now: float, reason: str | None = None, until: float | None = None
) -> Decision:
    """Stop a guard's writes by request; a suspended guard gets the new reason and end."""
    known = guard.suspension if guard.is_suspended(now) else None
    if known is not None and (reason or known.reason, until) == (known.reason, known.until):
        return Decision(guard)
    since, why = (known.since, reason or known.reason) if known is not None else (now, reason)
    suspension = Suspension(since, why, until, by)
    text = f"Suspended by request{f': {reason}' if reason else '.'}"
    if until is not None:
        text = f"{text.rstrip('.')}, until {iso(until)}."
    data = {"reason": text, "by": by, "cause": {"kind": "request"}}
    after = replace(guard, suspension=suspension)
    return finish(Decision(after, (Outcome(OutcomeType.SUSPENDED, data),)))


def resume(guard: Guard, by: str) -> Decision:
    """End a suspension and close the circuit by request; its count is emptied."""
    is_stopped = guard.suspension is not None or guard.circuit.is_open
    after = replace(
        guard,
        suspension=None,
        circuit=Circuit(),
        announced=None,
        reminded_at=None,
        drift_since=None,
    )
    if not is_stopped:
        return Decision(after)
    data = {"reason": "Resumed by request.", "by": by, "cause": {"kind": "request"}}
    return finish(Decision(after, (Outcome(OutcomeType.RESUMED, data),)))


def restate(old: Guard, new: Guard) -> Guard:
    """Return a guard with another statement.

    What was known of another NSG or subnet says nothing about this one, and is forgotten. A suspension,
    pending writes and unpublished outcomes stay.
    """
    kept = replace(
        old,
        statement=new.statement,
        catalogue=new.catalogue,
        declared=new.declared,
        conflict=None,
        declaration_error=None,
        fingerprint="",
        watched=new.watched,
    )
    if network_of_statement(old) == network_of_statement(new):
        return replace(kept, watched=tuple(sorted({*old.watched, *new.watched})))
    return replace(
        kept,
        subnet_id=new.subnet_id,
        former_subnets=(),
        status=Status(last_outcome=old.status.last_outcome),
        findings=Findings(),
        circuit=Circuit(),
        announced=None,
        failure=None,
        reminded_at=None,
        drift_since=None,
    )


def weakenings(old: Guard, new: Guard) -> list[str]:
    """Return how a guard protects less than before, each in words; empty where it does not.

    Args:
        old: as it was.
        new: with its new statement.
    """
    before, after = old.statement, new.statement
    found = []
    if (before.mode, after.mode) == (Mode.ENFORCE, Mode.AUDIT):
        found.append("it restores nothing any more (mode: audit)")
    if (before.foreign_rules, after.foreign_rules) == (ForeignRules.REMOVE, ForeignRules.KEEP):
        found.append("it keeps foreign rules (foreignRules: keep)")
    if before.reassociate and not after.reassociate:
        found.append("it leaves the subnet to another NSG (reassociate: false)")
    if network_of_statement(old) != network_of_statement(new):
        found.append(f"it protects {old.nsg_id} or its former subnet no longer")
    added = {str(one) for one in exceptions_of(after)} - {str(one) for one in exceptions_of(before)}
    if added:
        found.append(
            f"it permits {len(added)} more exceptions"
            if len(added) > 1
            else "it permits one more exception"
        )
    return found


def exceptions_of(statement: GuardStatement) -> list[dict[str, object]]:
    """Return the exceptions that a statement declares, as JSON."""
    return [one.model_dump(mode="json") for one in statement.intent.exceptions or ()]


def network_of_statement(guard: Guard) -> tuple[object, ...]:
    """Return what a guard's statement says of where its file system and its NSG are."""
    intent = guard.statement.intent
    subnet = intent.file_system_subnet
    stated = subnet.model_dump(mode="json") if subnet else None
    return guard.nsg_id.lower(), str(stated).lower(), (intent.file_system_id or "").lower()


def give_up(guard: Guard, cause: Cause, now: float) -> Decision:
    """Announce that a guard could not be reconciled, however often that was tried."""
    known = guard.failure or Failure("poison", GAVE_UP, now)
    reason = known.reason if known.reason == GAVE_UP else f"{known.reason} {GAVE_UP}"
    failure = replace(known, reason=reason)
    found = {"changes": list(guard.findings.changes), "remaining": list(guard.findings.remaining)}
    data = found | failed(guard, failure, None, cause).data | {"poison": True}
    after = replace(guard, failure=replace(failure, reason=known.reason, announced=True))
    return finish(Decision(after, (Outcome(OutcomeType.FAILED, data),)))


def publish_all_writes(guard: Guard, now: float, limits: CircuitLimits) -> Decision:
    """Publish every accepted write of a guard that is deleted."""
    decision = Decision(guard)
    for run in dict.fromkeys(one.run for one in guard.pending):
        decision = decision.then(
            decision.guard,
            *publish_own_writes(guard, run, guard.status.verdict, now, limits).outcomes,
        )
    return decision
