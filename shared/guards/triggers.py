"""What starts guards: an event, a message, the timer."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shared.context import invocation
from shared.errors import GuardError, Transient
from shared.guards.actions import give_up
from shared.guards.deleting import POISON
from shared.guards.events import ResourceChange, read_event
from shared.guards.guard import Guard
from shared.guards.looks import look
from shared.guards.messages import SWEEPS, read_message
from shared.guards.observation import Cause
from shared.guards.outcomes import save_once
from shared.guards.saving import save_decision
from shared.guards.services import handle_change, open_repository, open_services, reconcile
from shared.log_events import log_event
from shared.nsg.service_tags import shipped_service_tags
from shared.settings import read_settings

if TYPE_CHECKING:
    from typing import Any

log = logging.getLogger(__name__)

EVENT_SECONDS = 20
"""Event Grid waits 30 seconds for an answer; what takes longer goes to the queue."""

MESSAGE_SECONDS = 28
"""For one try of a queued guard: after two of them a failure shows in its status within a minute."""

SWEEP_SECONDS = 280
"""The functions' time-out in host.json is five minutes."""

LEAST_SECONDS = 60
"""With less time than that a part of a sweep is not begun."""

_sweeping: dict[asyncio.AbstractEventLoop, asyncio.Lock] = {}


async def on_event(event: Any) -> None:
    """Reconcile the guards that an event concerns; raises only where store and queue are both down."""
    try:
        change = read_event(event)
    except ValueError as error:
        log.warning("a malformed event is dropped: %s", error)
        return
    if change is None:
        return
    async with invocation(EVENT_SECONDS + 7, change.correlation_id):
        await handle_change(change, EVENT_SECONDS)


async def on_look(text: str) -> None:
    """Look at a guard once more, when its second look is due."""
    message = read_message(text)
    async with invocation(MESSAGE_SECONDS, message.correlation_id):
        settings = read_settings()
        repository = await open_repository(settings)
        await look(
            repository.store, settings, message, lambda cause: reconcile(message.guard, cause)
        )


async def on_timer(past_due: bool) -> None:
    """Divide the sweep into parts, send what outcomes are waiting, and delete what is old."""
    if past_due:
        log.warning("the sweep comes late")
    from shared.guards.declared import declare_guards  # noqa: PLC0415
    from shared.guards.deleting import finish_deletions  # noqa: PLC0415
    from shared.guards.housekeeping import prune  # noqa: PLC0415
    from shared.guards.sweep import queue_parts  # noqa: PLC0415 - it imports the Azure clients

    async with invocation(SWEEP_SECONDS):
        settings = read_settings()
        services = await open_services(settings)
        await declare_guards(services.repository, settings, again=True)
        count = await queue_parts(services)
        await finish_deletions(services.repository, settings, time.time())
        await send_unsent()
        waiting = await services.outcomes.count_unsent(time.time())
        age = shipped_service_tags(settings.cloud).age_days(datetime.now(UTC).date())
        log_event(log, "sweep", parts=count, unsent=waiting, serviceTagsDays=age)
        await prune(services.repository.store, settings)


async def send_unsent() -> None:
    """Send a batch of the outcomes that the topic has not taken; a message sends the next batch."""
    from shared.cloud.queues import send_message  # noqa: PLC0415 - it imports an Azure SDK

    settings = read_settings()
    services = await open_services(settings)
    try:
        if await services.outcomes.send_unsent():
            await send_message(settings, SWEEPS, json.dumps({"unsent": True}))
    except GuardError as error:
        log.warning("outcomes still wait: %s", error)


async def on_part(text: str) -> None:
    """Sweep the part that a message names, or send the next outcomes.

    A process sweeps one part at a time: its memory is bounded by a part.

    Raises:
        Transient: other parts took the time, or ARM did not answer; the message is given out again.
    """
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    started = time.monotonic()
    async with _sweeping.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        seconds = SWEEP_SECONDS - (time.monotonic() - started)
        if seconds < LEAST_SECONDS:
            raise Transient("Other parts of the sweep took the time of this one.")
        async with invocation(seconds):
            await handle_part(document)


async def handle_part(document: Any) -> None:
    """Do what a message of the sweep's queue says."""
    from shared.guards.sweep import sweep_part  # noqa: PLC0415 - it imports the Azure clients

    part = document.get("part") if isinstance(document, dict) else None
    if isinstance(part, str):
        await sweep_part(await open_services(read_settings()), part)
    elif isinstance(document, dict) and document.get("unsent"):
        await send_unsent()
    else:
        log.error("a message of the sweep's queue is dropped, it names no part: %.200s", document)


async def on_drifted(text: str) -> None:
    """Reconcile the guard that a message names, or the guards of a change that was left to the queue."""
    message = read_message(text)
    async with invocation(MESSAGE_SECONDS, message.correlation_id):
        if message.resource is not None:
            cause = message.cause or Cause("event", message.resource)
            change = ResourceChange(message.resource, cause, message.correlation_id)
            await handle_change(change, EVENT_SECONDS)
            return
        await reconcile(message.guard, message.cause or Cause("sweep"))
        repository = await open_repository()
        await repository.store.delete(POISON, message.guard)


async def on_poison(text: str) -> None:
    """Announce a guard that could not be reconciled, however often it was tried."""
    message = read_message(text)
    async with invocation(MESSAGE_SECONDS, message.correlation_id):
        services = await open_services(read_settings())
        name = message.guard or message.resource
        log.error("guard %s could not be reconciled: its message lay in the poison queue", name)
        guard = await services.repository.find(message.guard) if message.guard else None
        if not isinstance(guard, Guard):
            return
        cause, now = message.cause or Cause("sweep"), time.time()
        await save_once(services.repository.store, POISON, guard.key, {"at": now})
        await save_decision(
            services.repository,
            services.outcomes,
            guard,
            lambda current: give_up(current, cause, now),
            for_any_statement=True,
        )
