"""Deleting a guard: its last outcomes are not lost, and guards that waited for it are looked at.

The last outcomes are saved apart before the guard is deleted. Where the process dies before it has
published them, the sweep does it.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from shared.errors import GuardError, PreconditionFailed
from shared.guards.actions import publish_all_writes
from shared.guards.guard import Guard
from shared.guards.housekeeping import forget_history
from shared.guards.looks import LOOK
from shared.guards.messages import GUARDS, GuardMessage, send
from shared.guards.observation import Cause
from shared.guards.outcome import Outcome, OutcomeType
from shared.guards.outcomes import Outcomes, event_of, save_once
from shared.guards.states import log_no_states
from shared.guards.unreadable import forget_unreadable

if TYPE_CHECKING:
    from shared.guards.outcomes import Event
    from shared.guards.repository import AnyGuard, GuardRepository
    from shared.settings import Settings

POISON = "poison"
"""The kind of the records that name guards which could not be reconciled; `health` shows them."""

DELETION = "deletion"
"""The kind of the records that hold the last outcomes of guards that are being deleted, by their ids."""

DELETION_SECONDS = 60
"""A deletion that is older has lost its process. Publishing takes less: it waits for no subscriber."""

PAGE = 500

NAMESPACE = uuid.UUID("5b0f0c0e-8a0c-4c39-9d5e-6f1f6b1f2a77")
"""Of the ids of `deleted` outcomes: a guard is deleted once, however often that is tried. A record that
cannot be read may have lost its id, and is told apart by its version."""


async def delete_guard(
    repository: GuardRepository, settings: Settings, guard: AnyGuard, by: str
) -> None:
    """Delete a guard that is as it was read, and publish its last outcomes.

    Raises:
        PreconditionFailed: it was changed meanwhile.
    """
    store = repository.store
    events = {event["id"]: event for event in last_events(guard, settings, by)}
    saved = []
    for key, event in events.items():
        body = {"id": guard.id, "guard": guard.key, "event": event, "at": time.time()}
        if await save_once(store, DELETION, key, body):
            saved.append(key)
    try:
        await repository.delete(guard)
    except PreconditionFailed:
        for key in saved:
            await store.delete(DELETION, key)
        raise
    log_no_states(guard.name)
    await forget_history(store, guard.id)
    outcomes = Outcomes(store, settings)
    for key, event in events.items():
        await outcomes.publish(guard.id, event)
        await store.delete(DELETION, key)
    await end_waiting(repository, settings, guard)


async def end_waiting(repository: GuardRepository, settings: Settings, guard: AnyGuard) -> None:
    """Forget what waited for a deleted guard, and have a look at the guards that it kept waiting."""
    await forget_unreadable(repository.store, guard.key)
    for kind in (POISON, LOOK):
        await repository.store.delete(kind, guard.key)
    for key in await repository.watching(guard.nsg_id) if guard.nsg_id else ():
        try:  # a guard that was in conflict with this one can work now
            await send(settings, GUARDS, GuardMessage(key, Cause("request")))
        except GuardError:
            return  # the sweep comes


def last_events(guard: AnyGuard, settings: Settings, by: str) -> list[Event]:
    """Return what a guard has not published yet, and that it is deleted."""
    events: list[Event] = []
    if isinstance(guard, Guard):
        last = publish_all_writes(guard, time.time(), settings.circuit).outcomes
        events = [*guard.outbox, *(event_of(guard, one) for one in last)]
    data = {"by": by, "cause": Cause("request").to_json()}
    which = guard.id if isinstance(guard, Guard) else f"{guard.id} {guard.version}"
    deleted = Outcome(OutcomeType.DELETED, data, str(uuid.uuid5(NAMESPACE, which)))
    return [*events, event_of(guard, deleted)]


async def finish_deletions(repository: GuardRepository, settings: Settings, now: float) -> None:
    """Publish the last outcomes of deleted guards whose process died before it did so.

    Args:
        repository: of the guards.
        settings: of the service.
        now: seconds since the epoch.
    """
    store = repository.store
    outcomes = Outcomes(store, settings)
    records, _ = await store.page(DELETION, "", PAGE)
    for record in records:
        guard_id, key, event, at = (
            record.body.get(name) for name in ("id", "guard", "event", "at")
        )
        if isinstance(at, float) and 0 <= now - at < DELETION_SECONDS:
            continue
        if isinstance(guard_id, str) and isinstance(key, str) and isinstance(event, dict):
            found = await repository.find(key)
            if found is None or found.id != guard_id:  # else it was never deleted
                await outcomes.publish(guard_id, event)
                await forget_history(store, guard_id)
        await store.delete(DELETION, record.key)
