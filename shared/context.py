"""What goes along with a request through every call: its deadline and its correlation id."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from shared.errors import Transient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

UUID_LENGTH = 36

_deadline: ContextVar[float] = ContextVar("deadline")
_correlation: ContextVar[str] = ContextVar("correlation")
_calls: ContextVar[list[int]] = ContextVar("calls")
"""How often ARM was called, and how often it answered that there were too many calls."""

_reasons: ContextVar[list[Transient]] = ContextVar("reasons")


@asynccontextmanager
async def invocation(seconds: float, correlation_id: str | None = None) -> AsyncIterator[None]:
    """Bound what is inside to a time, and give it a correlation id.

    Raises:
        Transient: the time is over; it says what was waited for last. Every write is one call that is
            taken whole or not at all, so what was asked for is done or not done; asking again finds
            out and goes on.
    """
    correlated = _correlation.set(plain_correlation(correlation_id))
    bounded = _deadline.set(time.monotonic() + seconds)
    counted = _calls.set([0, 0])
    reasons: list[Transient] = []
    waited_for = _reasons.set(reasons)
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise out_of_time(seconds, reasons[-1] if reasons else None) from None
    finally:
        _reasons.reset(waited_for)
        _calls.reset(counted)
        _deadline.reset(bounded)
        _correlation.reset(correlated)


def plain_correlation(text: str | None) -> str:
    """Return a correlation id as Azure has it, a UUID; a new one in the place of anything else.

    It goes into headers and logs, and comes from callers and events.
    """
    try:
        return str(uuid.UUID(text)) if text and len(text) == UUID_LENGTH else str(uuid.uuid4())
    except ValueError:
        return str(uuid.uuid4())


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Bound what is inside to a shorter time than the invocation has; raises `Transient` at its end."""
    if seconds == float("inf"):
        yield
        return
    bounded = _deadline.set(time.monotonic() + seconds)
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        reasons = _reasons.get([])
        raise out_of_time(seconds, reasons[-1] if reasons else None) from None
    finally:
        _deadline.reset(bounded)


def out_of_time(seconds: float, last: Transient | None) -> Transient:
    """Return that the time is over, and what was waited for last."""
    text = (
        f"Azure did not get it done within {seconds:.3g} seconds. Ask again: what was taken meanwhile"
        " is not done twice."
    )
    if last is None:
        return Transient(text)
    return Transient(f"{text} Before: {last}", last.delay, last.arm, is_throttled=last.is_throttled)


def seconds_left() -> float:
    """Return the time that the invocation has left; without one, for ever."""
    return _deadline.get(float("inf")) - time.monotonic()


def correlation_id() -> str:
    """Return the id that ties a request to its calls, events and outcomes."""
    return _correlation.get("") or str(uuid.uuid4())


def count_call() -> None:
    """Note that ARM is called."""
    counter = _calls.get(None)
    if counter is not None:
        counter[0] += 1


def calls_made() -> int:
    """Return how often the invocation has called ARM."""
    counter = _calls.get(None)
    return counter[0] if counter else 0


def count_throttled() -> None:
    """Note that ARM answered 429."""
    counter = _calls.get(None)
    if counter is not None:
        counter[1] += 1


def calls_throttled() -> int:
    """Return how often ARM has answered the invocation with 429."""
    counter = _calls.get(None)
    return counter[1] if counter else 0


async def pause(seconds: float, reason: Transient) -> None:
    """Wait, if there is time; else raise the reason for waiting."""
    if seconds >= seconds_left():
        raise reason
    _reasons.get([]).append(reason)
    await asyncio.sleep(seconds)
