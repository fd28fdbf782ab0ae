"""Second looks: after an event, one more look at the guard, because a first read may have been stale.

They are debounced over all processes: a record says when the guard's look is due. Each further event
moves that time; the message that is on its way waits for it. A message that was lost is sent again by
the next event, and the sweep sees everything anyhow.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from shared.errors import GuardError, PreconditionFailed
from shared.guards.messages import LOOKS, GuardMessage, send
from shared.guards.observation import Cause

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shared.cloud.store import Record, Store
    from shared.settings import Settings

log = logging.getLogger(__name__)

LOOK = "look"

LONGEST_WAIT = 120.0
"""Seconds after the first event that a second look comes at the latest, however many events follow."""

LOST_AFTER = 60.0
"""Seconds after its time a look whose message did not come is taken to be lost."""

LONGEST_SLEEP = 1.0
"""Seconds that a function waits by itself; a longer wait is left to the queue."""


async def schedule_look(
    store: Store, settings: Settings, key: str, cause: Cause, received: float
) -> None:
    """Have a guard looked at once more, `AMLFS_SETTLE_SECONDS` after the last event.

    A queue that cannot be reached is logged: the sweep comes in any case.

    Args:
        store: where the time is kept.
        settings: how long after the event.
        key: of the guard.
        cause: of the event.
        received: when the event came, in seconds since the epoch.
    """
    try:
        record = await store.get(LOOK, key)
        first, waiting = times_in(record, received, settings)
        due = received + settings.settle_seconds
        if waiting is not None:
            due = max(waiting, min(due, first + longest_wait(settings)))
        body = {"first": first, "due": due, "cause": cause.to_json()}
        if record is None:
            await store.create(LOOK, key, body)
        else:
            await store.replace(LOOK, key, body, record.version)
        if waiting is None:
            await send(settings, LOOKS, GuardMessage(key, Cause("settle"), due=due))
    except PreconditionFailed:
        return  # another process schedules it in this moment
    except GuardError as error:
        log.warning("the second look at guard %s is left to the sweep: %s", key, error)


def longest_wait(settings: Settings) -> float:
    """Return how long after the first event a look comes at the latest, in seconds."""
    return max(LONGEST_WAIT, settings.settle_seconds)


def times_in(record: Record | None, now: float, settings: Settings) -> tuple[float, float | None]:
    """Return when the first event came and when the look is due; None where no message is on its way."""
    first, due = number_in(record, "first"), number_in(record, "due")
    if first is None or due is None:
        return now, None
    is_waiting = first <= now < due + LOST_AFTER and due <= now + longest_wait(settings)
    return (first, due) if is_waiting else (now, None)


def number_in(record: Record | None, name: str) -> float | None:
    """Return a number of a record's body, or None."""
    value = record.body.get(name) if record is not None else None
    return float(value) if isinstance(value, int | float) else None


async def look(
    store: Store,
    settings: Settings,
    message: GuardMessage,
    reconcile: Callable[[Cause], Awaitable[object]],
) -> None:
    """Look at a guard when its second look is due, unless another message's look was made meanwhile.

    Its record goes when the look is made, and not before: a message that is given out again looks again.

    Raises:
        GuardError: the look did not succeed, or the queue does not take the message again.
    """
    key = message.guard
    record = await store.get(LOOK, key)
    while record is not None and message.due is not None:
        wait = (number_in(record, "due") or 0.0) - time.time()
        if wait <= 0:
            break
        if wait > LONGEST_SLEEP:
            await send(settings, LOOKS, GuardMessage(key, message.cause, due=time.time() + wait))
            return
        await asyncio.sleep(wait)
        record = await store.get(LOOK, key)
    if record is None and message.due is not None:
        return
    await reconcile(cause_in(record))
    if record is None:
        return
    try:
        await store.delete(LOOK, key, record.version)
    except PreconditionFailed:  # one more event came meanwhile, or another process has looked
        newer = number_in(await store.get(LOOK, key), "due")
        if newer is not None:
            await send(settings, LOOKS, GuardMessage(key, message.cause, due=newer))


def cause_in(record: Record | None) -> Cause:
    """Return the cause of a second look, with what the last event said."""
    cause = record.body.get("cause") if record is not None else None
    if not isinstance(cause, dict):
        return Cause("settle")
    return Cause("settle", cause.get("resource"), principal=cause.get("principal"))
