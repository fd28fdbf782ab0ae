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


async def schedule_look(store: Store, settings: Settings, key: str, cause: Cause) -> None:
    """Have a guard looked at once more, `AMLFS_SETTLE_SECONDS` after the last event.

    A queue that cannot be reached is logged: the sweep comes in any case.
    """
    now = time.time()
    due = now + settings.settle_seconds
    try:
        record = await store.get(LOOK, key)
        first, waiting = times_in(record, now)
        due = max(waiting or 0.0, min(due, first + LONGEST_WAIT)) if waiting else due
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


def times_in(record: Record | None, now: float) -> tuple[float, float | None]:
    """Return when the first event came and when the look is due; None where no message is on its way."""
    first, due = (record.body.get(name) for name in ("first", "due")) if record else (None, None)
    is_waiting = (
        isinstance(first, int | float)
        and isinstance(due, int | float)
        and first <= now < due + LOST_AFTER
        and due <= now + LONGEST_WAIT
    )
    return (float(first), float(due)) if is_waiting else (now, None)  # type: ignore[arg-type]


async def await_look(store: Store, settings: Settings, message: GuardMessage) -> Cause | None:
    """Wait until a guard's second look is due; returns its cause, or None where it is not needed.

    Raises:
        GuardError: the queue does not take the message again.
    """
    key = message.guard
    while True:
        record = await store.get(LOOK, key)
        if record is None:
            # without a time it is a person's request; with one, another message's look has been made
            return Cause("settle") if message.due is None else None
        due = record.body.get("due")
        wait = float(due) - time.time() if isinstance(due, int | float) else 0.0
        if message.due is None or wait <= 0:
            try:
                await store.delete(LOOK, key, record.version)
            except PreconditionFailed:
                continue  # one more event came
            cause = record.body.get("cause")
            principal = cause.get("principal") if isinstance(cause, dict) else None
            resource = cause.get("resource") if isinstance(cause, dict) else None
            return Cause("settle", resource, principal=principal)
        if wait > LONGEST_SLEEP:
            again = GuardMessage(key, message.cause, due=time.time() + wait)
            await send(settings, LOOKS, again)
            return None
        await asyncio.sleep(wait)
