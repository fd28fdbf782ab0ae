"""Storage queues in the process: messages, retries and poison queues as the Functions host has them.

Source: "Azure Queue storage trigger for Azure Functions", Microsoft Learn: a message whose function
fails is given out again, five times at most, then it lies in the queue of the same name with `-poison`.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MOST_DEQUEUES = 5
VISIBILITY_SECONDS = 0.2
"""After a failure a message waits so long; in Azure host.json says how long."""

log = logging.getLogger("local.host")


@dataclass(slots=True)
class Message:
    """A message and how often it was given out."""

    body: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    dequeue_count: int = 0


class Queues:
    """All queues, by name."""

    def __init__(self) -> None:
        self.messages: dict[str, asyncio.Queue[Message]] = defaultdict(asyncio.Queue)
        self._workers: list[asyncio.Task[None]] = []

    def put(self, name: str, body: str) -> None:
        """Add a message."""
        self.messages[name].put_nowait(Message(body))

    def serve(self, name: str, handle: Callable[[Message], Awaitable[Any]]) -> None:
        """Hand every message of a queue to a function, as they come."""
        self._workers.append(asyncio.create_task(self._work(name, handle)))

    async def _work(self, name: str, handle: Callable[[Message], Awaitable[Any]]) -> None:
        running: set[asyncio.Task[None]] = set()
        try:
            while True:
                message = await self.messages[name].get()
                task = asyncio.create_task(self._deliver(name, message, handle))
                running.add(task)
                task.add_done_callback(running.discard)
        finally:
            for task in running:
                task.cancel()

    async def _deliver(
        self, name: str, message: Message, handle: Callable[[Message], Awaitable[Any]]
    ) -> None:
        message.dequeue_count += 1
        try:
            await handle(message)
        except Exception:
            log.exception("A message of %s failed, try %d", name, message.dequeue_count)
            if message.dequeue_count >= MOST_DEQUEUES:
                self.messages[f"{name}-poison"].put_nowait(message)
            else:
                await asyncio.sleep(VISIBILITY_SECONDS)
                self.messages[name].put_nowait(message)

    async def stop(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._workers.clear()
