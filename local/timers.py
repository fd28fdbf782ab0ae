"""Timers: NCRONTAB schedules as the Functions host reads them, seconds first.

Source: "Timer trigger for Azure Functions", Microsoft Learn.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from croniter import croniter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger("local.host")


async def run_timer(schedule: str, call: Callable[[], Awaitable[Any]]) -> None:
    """Call a function whenever its time comes, until cancelled; never twice at once."""
    times = croniter(schedule, datetime.now(UTC), second_at_beginning=True)
    while True:
        due = times.get_next(datetime)
        seconds = (due - datetime.now(UTC)).total_seconds()
        if seconds < 0:
            continue  # the last run took longer than the time between two
        await asyncio.sleep(seconds)
        try:
            await call()
        except Exception:
            log.exception("A timer's function failed; its next time is as planned")


def timer_request(*, past_due: bool = False) -> str:
    """Return what the host tells a timer's function."""
    return f'{{"IsPastDue": {str(past_due).lower()}}}'
