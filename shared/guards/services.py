"""Guards at work: what an event, a message and a request start, in whatever process.

No two functions share a process in Azure, and each of them may run in several. What this module keeps in
memory saves work within one function and is nothing to rely on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from shared.cloud.store import open_store
from shared.context import within
from shared.errors import GuardError, Transient
from shared.guards.declared import declare_guards
from shared.guards.guard import Guard, UnreadableGuard
from shared.guards.looks import schedule_look
from shared.guards.messages import GUARDS, GuardMessage, send
from shared.guards.outcomes import Outcomes
from shared.guards.reconcile import GuardServices, Reconciliation
from shared.guards.repository import GuardRepository
from shared.guards.unreadable import announce_unreadable
from shared.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shared.guards.events import ResourceChange
    from shared.guards.observation import Cause
    from shared.settings import Settings

log = logging.getLogger(__name__)


class SingleFlight:
    """Runs one reconcile of a guard at a time in this process; who comes meanwhile shares the next.

    The work is done by the caller that comes first, within its own invocation: the host drops what is
    logged after an invocation has ended.
    """

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Future[tuple[str, ...]]] = {}
        self._next: dict[str, asyncio.Future[tuple[str, ...]]] = {}

    async def run(
        self, key: str, work: Callable[[], Awaitable[tuple[str, ...]]]
    ) -> tuple[str, ...]:
        """Do the work, or share what another caller is about to do."""
        waiting = self._next.get(key)
        if waiting is not None:
            return await asyncio.shield(waiting)
        mine: asyncio.Future[tuple[str, ...]] = asyncio.get_running_loop().create_future()
        mine.add_done_callback(ignore_result)
        self._next[key] = mine
        try:
            if (running := self._running.get(key)) is not None:
                await asyncio.wait([running])
        except asyncio.CancelledError:
            mine.set_exception(Transient("The look that this one waited for took too long."))
            raise
        finally:
            del self._next[key]
        self._running[key] = mine
        try:
            changes = await work()
        except BaseException as error:
            is_cancelled = isinstance(error, asyncio.CancelledError)
            mine.set_exception(Transient("The look was cut off.") if is_cancelled else error)
            raise
        else:
            mine.set_result(changes)
            return changes
        finally:
            if self._running.get(key) is mine:
                del self._running[key]


def ignore_result(future: asyncio.Future[tuple[str, ...]]) -> None:
    """Read the exception, so that asyncio does not warn. The caller that did the work raises it."""
    if not future.cancelled():
        future.exception()


_flights: dict[asyncio.AbstractEventLoop, SingleFlight] = {}


def single_flight() -> SingleFlight:
    """Return the running loop's flights."""
    return _flights.setdefault(asyncio.get_running_loop(), SingleFlight())


async def open_repository(settings: Settings | None = None) -> GuardRepository:
    """Return the guards, the declared ones among them."""
    settings = settings or read_settings()
    repository = GuardRepository(open_store(settings))
    await declare_guards(repository, settings)
    return repository


async def open_services(
    settings: Settings, repository: GuardRepository | None = None
) -> GuardServices:
    """Return what reconciling needs; the first one imports the Azure clients."""
    from shared.cloud.network import Network  # noqa: PLC0415 - only where a guard is concerned

    repository = repository or await open_repository(settings)
    outcomes = Outcomes(repository.store, settings)
    return GuardServices(repository, outcomes, Network(settings), settings)


async def reconcile(name: str, cause: Cause) -> tuple[str, ...]:
    """Reconcile a guard, if there is one (still) and it can be read.

    Returns:
        The names of the changes that ARM has accepted from it.

    Raises:
        Transient: it did not get done in the time.
    """
    settings = read_settings()

    async def work() -> tuple[str, ...]:
        services = await open_services(settings)
        guard = await services.repository.find(name)
        if isinstance(guard, UnreadableGuard):
            await announce_unreadable(services.repository.store, services.outcomes, guard, cause)
        if not isinstance(guard, Guard):
            return ()
        reconciliation = Reconciliation(services, guard, cause)
        await reconciliation.run()
        return reconciliation.changes

    return await single_flight().run(name.lower(), work)


async def handle_change(change: ResourceChange, seconds: float) -> None:
    """Reconcile the guards that a change concerns, each for itself, and schedule a second look.

    A guard that is busy, throttled or out of time goes to the queue, and so does the change where the
    store cannot be read: one event never slows another.

    Args:
        change: what an event says.
        seconds: the time for looking; what takes longer goes to the queue.

    Raises:
        GuardError: neither the store nor the queue can be reached.
    """
    settings, received = read_settings(), time.time()
    try:
        repository = await open_repository(settings)
        keys = await repository.watching(change.resource)
    except GuardError as error:
        log.warning("the change of %s goes to the queue: %s", change.resource, error)
        message = GuardMessage(
            "", change.cause, change.resource, correlation_id=change.correlation_id
        )
        await send(settings, GUARDS, message)
        return
    store = repository.store
    looks = (schedule_look(store, settings, key, change.cause, received) for key in keys)
    work = (handle_guard(settings, key, change, seconds) for key in keys)
    await asyncio.gather(*looks, *work)


async def handle_guard(
    settings: Settings, key: str, change: ResourceChange, seconds: float
) -> None:
    """Reconcile one guard; its trouble reaches no other."""
    try:
        async with within(seconds):
            await reconcile(key, change.cause)
    except Exception as error:
        if not isinstance(error, GuardError):
            log.exception("guard %s failed in an unforeseen way", key)
        await queue_reconcile(settings, key, change, error)


async def queue_reconcile(
    settings: Settings, key: str, change: ResourceChange, error: Exception
) -> None:
    """Leave a guard to the queue, which has its own tries; the sweep comes where that is down, too."""
    log.warning("guard %s goes to the queue: %s", key, error)
    message = GuardMessage(key, change.cause, correlation_id=change.correlation_id)
    try:
        await send(settings, GUARDS, message)
    except GuardError as failed:
        log.warning("guard %s is left to the sweep, its queue does not answer: %s", key, failed)
