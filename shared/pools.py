"""Where computing happens: off the event loop, and requests apart from guards.

A flood of requests must not keep a guard waiting, so each side has threads of its own. Few of them:
proofs are pure Python, of which one runs at a time.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from shared.errors import Transient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

sys.setswitchinterval(0.001)
"""Seconds; a fifth of the default. The event loop's thread gets its turn among those that compute."""

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 2
"""Of each pool."""

MOST_WAITING = 64
"""Pieces of work that wait for the requests' threads; an instance is given 16 requests at once."""

BUSY_SECONDS = 2.0


class Pool:
    """Some threads, and how much work they have been given."""

    def __init__(self, name: str, most_waiting: int | None = None) -> None:
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix=name)
        self._most_waiting = most_waiting
        self._given = 0
        self._lock = threading.Lock()

    async def run(self, work: Callable[[], T]) -> T:
        """Have work done; raises `Transient` where too much is waiting."""
        if self._most_waiting is not None and self._given >= THREADS + self._most_waiting:
            raise Transient(
                "Too many requests are being worked on. Try again in a moment.",
                BUSY_SECONDS,
                is_throttled=True,
            )
        self._count(1)
        future = self._executor.submit(work)
        future.add_done_callback(lambda _: self._count(-1))  # also where nobody waits any more
        return await asyncio.wrap_future(future)

    def _count(self, change: int) -> None:
        with self._lock:
            self._given += change


GUARDS, REQUESTS = Pool("guards"), Pool("requests", MOST_WAITING)
_pool: ContextVar[Pool] = ContextVar("pool", default=GUARDS)


@contextmanager
def of_requests() -> Iterator[None]:
    """Have the computing inside done by the requests' threads."""
    token = _pool.set(REQUESTS)
    try:
        yield
    finally:
        _pool.reset(token)


async def compute(function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Call a function in a thread, with the context of the caller (deadline, correlation, budget)."""
    context = contextvars.copy_context()
    return await _pool.get().run(lambda: context.run(function, *args, **options))
