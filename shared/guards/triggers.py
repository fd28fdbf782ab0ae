"""What sets guards going: an event, a message, the timer."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from shared.context import invocation
from shared.guards.findings import Cause
from shared.guards.outcomes import OutcomeType, keep, outcome
from shared.guards.service import (
    correlation_of,
    handle_event,
    look_again,
    open_book,
    open_desk,
    reconcile,
)
from shared.settings import read_settings

if TYPE_CHECKING:
    from typing import Any

log = logging.getLogger(__name__)

POISON = "poison"
"""The kind of the records that name guards which could not be reconciled; `health` shows them."""

EVENT_SECONDS = 25
"""Event Grid waits 30 seconds for an answer."""

MESSAGE_SECONDS = 200
SWEEP_SECONDS = 280
"""The functions' time-out in host.json is five minutes."""


async def on_event(event: Any) -> list[str]:
    """Reconcile the guards that an event concerns; returns those that want a second look."""
    async with invocation(EVENT_SECONDS, correlation_of(event)):
        return await handle_event(event)


async def on_look(key: str) -> None:
    """Look at a guard once more."""
    async with invocation(MESSAGE_SECONDS):
        await look_again(key)


async def on_timer(past_due: bool) -> list[str]:
    """Look at every guard; returns those that drifted."""
    if past_due:
        log.warning("the sweep comes late")
    from shared.guards.sweep import Sweep  # noqa: PLC0415 - it imports the Azure clients

    async with invocation(SWEEP_SECONDS):
        return (await Sweep(await open_desk(read_settings())).run()).drifted


async def on_drifted(key: str) -> None:
    """Reconcile a guard that the sweep has found."""
    async with invocation(MESSAGE_SECONDS):
        await reconcile(key, Cause("sweep"))
        book = await open_book()
        await book.store.delete(POISON, key.lower())


async def on_poison(key: str) -> None:
    """Tell of a guard that could not be reconciled."""
    async with invocation(MESSAGE_SECONDS):
        book = await open_book()
        guard = await book.find(key)
        log.error("guard %s could not be reconciled: its message lay in the poison queue", key)
        if guard is not None:
            desk = await open_desk(read_settings(), book)
            reason = "It could not be reconciled, however often that was tried: see the log."
            data = {"reason": reason, "cause": Cause("sweep").to_json(), "poison": True}
            await desk.outcomes.tell(guard, outcome(guard, OutcomeType.FAILED, data))
            await keep(book.store, POISON, guard.key, {"at": time.time()})
