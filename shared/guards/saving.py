"""Saving decisions: a guard and its outcomes in one write, then the outcomes are published.

The outcomes are saved with the guard (`outbox`) before they are published, so that none is lost and none
is published twice, even if a process dies or another one saves the guard meanwhile.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.errors import Conflict, NotFound, PreconditionFailed, Transient, Withdrawn
from shared.guards.guard import Guard
from shared.guards.outcome import OutcomeType
from shared.guards.outcomes import event_of
from shared.guards.repository import ATTEMPTS, pause_briefly
from shared.guards.states import log_states, states_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.guards.outcomes import Outcomes
    from shared.guards.policy import Decision
    from shared.guards.repository import GuardRepository


async def save_decision(
    repository: GuardRepository,
    outcomes: Outcomes,
    guard: Guard,
    decided: Callable[[Guard], Decision],
    *,
    for_any_statement: bool = False,
) -> tuple[Guard, Decision]:
    """Save what is decided of a guard as it is by now, and publish its outcomes.

    Args:
        repository: of the guards.
        outcomes: stores and sends them.
        guard: as it was read.
        decided: the policy; it is asked again where somebody else has saved the guard meanwhile.
        for_any_statement: whether the decision holds for another statement, too.

    Raises:
        NotFound: the guard was deleted.
        Withdrawn: it has another statement by now.
        Transient: it keeps being changed, or a claim was lost in this moment.
    """
    for _ in range(ATTEMPTS):
        decision = decided(guard)
        events = tuple(event_of(decision.guard, one) for one in decision.outcomes)
        wanted = replace(decision.guard, outbox=(*decision.guard.outbox, *events))
        if wanted == guard:
            return guard, decision
        before = guard
        try:
            saved = await repository.save(guard, wanted)
        except PreconditionFailed:
            current = await current_of(repository, guard)
            is_same = current.statement.is_same_as(guard.statement)
            if not is_same and not for_any_statement:
                raise Withdrawn("It was changed meanwhile.") from None
            guard = current
            await pause_briefly()
        except Conflict as error:
            raise Transient(str(error)) from error
        else:
            note_states(before, saved, ends=any(one.kind in ENDS for one in decision.outcomes))
            return await publish_outbox(repository, outcomes, saved), decision
    raise Transient(f"The guard {guard.name} keeps being changed.")


ENDS = (OutcomeType.RESOLVED, OutcomeType.RESUMED)
"""After these a state may be over that ended by its own time."""


def note_states(before: Guard, saved: Guard, *, ends: bool) -> None:
    """Log what is wrong with a guard where that has changed."""
    now = time.time()
    if ends or states_of(before, now) != states_of(saved, now):
        log_states(saved, now)


async def current_of(repository: GuardRepository, guard: Guard) -> Guard:
    """Return a guard as it is now; raises `NotFound` where it, or its record, is gone."""
    current = await repository.find(guard.key)
    if not isinstance(current, Guard) or current.id != guard.id:
        raise NotFound(f"There is no guard {guard.name} any more.")
    return current


async def publish_outbox(repository: GuardRepository, outcomes: Outcomes, guard: Guard) -> Guard:
    """Publish the outcomes that are saved with a guard, and note that; returns it without them."""
    if not guard.outbox:
        return guard
    for event in guard.outbox:
        await outcomes.publish(guard.id, event)
    emptied = replace(guard, outbox=())
    try:
        return await repository.save(guard, emptied)
    except (PreconditionFailed, Conflict):  # the next look does it: an outcome is published once
        return replace(emptied, version="")
