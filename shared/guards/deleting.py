"""Deleting a guard: nothing that it had still to say is lost, and others are told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from shared.errors import GuardError
from shared.guards.actions import publish_all_writes
from shared.guards.guard import Guard
from shared.guards.housekeeping import forget_history
from shared.guards.looks import LOOK
from shared.guards.messages import GUARDS, GuardMessage, send
from shared.guards.observation import Cause
from shared.guards.outcome import Outcome, OutcomeType
from shared.guards.outcomes import Outcomes, event_of
from shared.guards.unreadable import forget_unreadable

if TYPE_CHECKING:
    from shared.guards.repository import AnyGuard, GuardRepository
    from shared.settings import Settings

POISON = "poison"
"""The kind of the records that name guards which could not be reconciled; `health` shows them."""


async def delete_guard(
    repository: GuardRepository, settings: Settings, guard: AnyGuard, by: str
) -> None:
    """Delete a guard that is as it was read, and publish what it had still to say.

    Raises:
        PreconditionFailed: it was changed meanwhile.
    """
    await repository.delete(guard)
    store = repository.store
    outcomes = Outcomes(store, settings)
    if isinstance(guard, Guard):
        last = publish_all_writes(guard, time.time(), settings.circuit).outcomes
        for event in (*guard.outbox, *(event_of(guard, one) for one in last)):
            await outcomes.publish(guard.id, event)
    data = {"by": by, "cause": Cause("request").to_json()}
    await outcomes.publish(guard.id, event_of(guard, Outcome(OutcomeType.DELETED, data)))
    await forget_unreadable(store, guard.key)
    await forget_history(store, guard.id)
    for kind in (POISON, LOOK):
        await store.delete(kind, guard.key)
    for key in await repository.watching(guard.nsg_id) if guard.nsg_id else ():
        try:  # a guard that was in conflict with this one can work now
            await send(settings, GUARDS, GuardMessage(key, Cause("request")))
        except GuardError:
            return  # the sweep comes
