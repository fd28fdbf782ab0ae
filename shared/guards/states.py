"""What is wrong with a guard now, in words: states that begin and end, for alerts and people.

An outcome says what happened once. A state lasts: it is logged when it begins, with every sweep while it
lasts, and when it ends, so that an alert is over when the state is.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from shared.guards.guard import Guard, Mode, iso
from shared.log_events import log_event

if TYPE_CHECKING:
    from shared.guards.repository import AnyGuard

log = logging.getLogger("amlfs.states")

DAY = 86_400.0

FAILED = "failed"
BLOCKED = "blocked"
OPEN_CIRCUIT = "open-circuit"
NOT_RESTORING = "not-restoring"
DEGRADED = "degraded"
STATES = (FAILED, BLOCKED, OPEN_CIRCUIT, NOT_RESTORING, DEGRADED)
"""Each is the name of an alert, too."""


def states_of(guard: AnyGuard, now: float) -> dict[str, str]:
    """Return what is wrong with a guard, by the name of the state, each in a sentence.

    Args:
        guard: as it is saved.
        now: seconds since the epoch.
    """
    if not isinstance(guard, Guard):
        return {DEGRADED: f"The guard cannot be read: {guard.reason}"}
    found: dict[str, str] = {}
    if guard.declaration_error is not None:
        found[DEGRADED] = f"Its declaration is wrong: {guard.declaration_error}"
    elif guard.conflict is not None:
        held = guard.conflict
        found[DEGRADED] = f"The guard {held.guard} holds {held.resource}; this one writes nothing."
    if guard.failure is not None and guard.failure.announced:
        found[FAILED] = guard.failure.reason
    if guard.circuit.is_open:
        found[OPEN_CIRCUIT] = "Somebody keeps undoing restorations; the guard has stopped writing."
    elif guard.announced is not None and guard.may_write(now):
        found[BLOCKED] = guard.findings.summary or "The guard may not restore everything."
    idle_since = not_restoring_since(guard, now)
    if idle_since is not None and now - idle_since >= DAY:
        why = "suspended" if guard.is_suspended(now) else "auditing, with drift,"
        found[NOT_RESTORING] = f"The guard has been {why} since {iso(idle_since)}."
    return found


def not_restoring_since(guard: Guard, now: float) -> float | None:
    """Return since when a guard is suspended, or audits and sees drift; None where it does neither."""
    if guard.suspension is not None and guard.is_suspended(now):
        return guard.suspension.since
    return guard.drift_since if guard.statement.mode is Mode.AUDIT else None


def log_states(guard: AnyGuard, now: float) -> None:
    """Log what is wrong with a guard now, if anything is; a guard that is right has no states."""
    states = states_of(guard, now)
    level = logging.WARNING if states else logging.INFO
    log_event(log, "states", level, guard=guard.name, states=states)


def log_no_states(name: str) -> None:
    """Log that nothing is wrong with a guard any more, because it is gone."""
    log_event(log, "states", guard=name, states={})
