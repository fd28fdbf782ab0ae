"""The guards at work: what an event, a message, the timer and a request set going."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from shared.cloud.store import open_store
from shared.guards.book import GuardBook
from shared.guards.declared import declare_guards
from shared.guards.events import data_of, read_event
from shared.guards.findings import Cause
from shared.guards.outcomes import Outcomes
from shared.guards.reconcile import Desk, Reconciliation
from shared.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from shared.guards.guard import Guard
    from shared.settings import Settings

log = logging.getLogger(__name__)

LONGEST_WAIT = 120.0
"""Seconds that a second look waits at most, however many events come."""


class Turns:
    """Has one reconcile of a guard at a time in this process; who comes meanwhile shares the next."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[Guard | None]] = {}
        self._next: dict[str, asyncio.Task[Guard | None]] = {}

    async def take(self, key: str, work: Callable[[], Awaitable[Guard | None]]) -> Guard | None:
        """Do the work, or share what another caller is about to do."""
        waiting = self._next.get(key)
        if waiting is None:
            waiting = asyncio.ensure_future(self._after(self._running.get(key), key, work))
            self._next[key] = waiting
        return await asyncio.shield(waiting)

    async def _after(
        self,
        running: asyncio.Task[Guard | None] | None,
        key: str,
        work: Callable[[], Awaitable[Guard | None]],
    ) -> Guard | None:
        if running is not None:
            await asyncio.wait([running])
        mine = self._next.pop(key)
        self._running[key] = mine
        try:
            return await work()
        finally:
            if self._running.get(key) is mine:
                del self._running[key]


_turns: dict[asyncio.AbstractEventLoop, Turns] = {}
_last_event: dict[str, float] = {}
_looking: set[str] = set()


def turns() -> Turns:
    """Return the running loop's turns."""
    return _turns.setdefault(asyncio.get_running_loop(), Turns())


async def open_book(settings: Settings | None = None) -> GuardBook:
    """Return the book of guards, the declared ones among them."""
    settings = settings or read_settings()
    book = GuardBook(open_store(settings))
    await declare_guards(book, settings)
    return book


async def open_desk(settings: Settings, book: GuardBook | None = None) -> Desk:
    """Return what reconciling needs; the first one imports the Azure clients."""
    from shared.cloud.network import Network  # noqa: PLC0415 - only where a guard is concerned

    book = book or await open_book(settings)
    return Desk(book, Outcomes(book.store, settings), Network(settings), settings)


async def reconcile(name: str, cause: Cause) -> Guard | None:
    """Reconcile a guard; None where there is none (any more). Raises `Transient`."""
    settings = read_settings()

    async def work() -> Guard | None:
        desk = await open_desk(settings)
        guard = await desk.book.find(name)
        return await Reconciliation(desk, guard, cause).run() if guard else None

    return await turns().take(name.lower(), work)


def correlation_of(event: Any) -> str | None:
    """Return the correlation id of the change that an event tells of."""
    found = data_of(event).get("correlationId")
    return found if isinstance(found, str) else None


async def handle_event(event: Any) -> list[str]:
    """Reconcile the guards that an event concerns.

    Returns:
        Keys of the guards that want a second look; none where one of this process waits already.

    Raises:
        Transient: ask again, as Event Grid does.
    """
    try:
        hint = read_event(event)
    except ValueError as error:
        log.warning("malformed event ended: %s", error)
        return []
    if hint is None:
        return []
    book = await open_book()
    names = await book.watching(hint.watched)
    now = time.monotonic()
    _last_event.update(dict.fromkeys(names, now))
    await asyncio.gather(*(reconcile(name, hint.cause) for name in names))
    return [name for name in names if name not in _looking]


async def look_again(key: str) -> None:
    """Look at a guard once more when no event has come for a while: a first read may be stale."""
    if key in _looking:
        return
    _looking.add(key)
    try:
        settle = read_settings().settle_seconds
        end = time.monotonic() + LONGEST_WAIT
        while True:
            until = _last_event.get(key, time.monotonic()) + settle
            if until <= time.monotonic() or until > end:
                break
            await asyncio.sleep(until - time.monotonic())
    finally:
        _looking.discard(key)
    await reconcile(key, Cause("settle"))
