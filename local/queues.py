"""Storage queues for the local host: in its own process, or those of Azurite.

Messages, retries and poison queues are as the Functions host has them: a message whose function fails is
given out again, five times at most, then it lies in the queue of the same name with `-poison`. The
service sends through the real SDK; without Azurite the host answers it at `/_queues`.

Source: "Azure Queue storage trigger for Azure Functions" and "Put Message", Microsoft Learn.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import uuid
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from azure.core.exceptions import AzureError, ResourceExistsError
from azure.storage.queue import TextBase64DecodePolicy, TextBase64EncodePolicy
from azure.storage.queue.aio import QueueServiceClient
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from azure.storage.queue import QueueMessage
    from starlette.requests import Request

    Handle = Callable[["Message"], Awaitable[Any]]

PATH = "/_queues"
MOST_DEQUEUES = 5
VISIBILITY_SECONDS = 0.2
"""After a failure a message waits so long; in Azure host.json says how long."""

POLL_SECONDS = 0.1
IN_WORK_SECONDS = 300
"""Azurite gives a message out again after so long, if nobody has deleted it."""

AZURITE_API = "2025-11-05"

log = logging.getLogger("local.host")


@dataclass(slots=True)
class Message:
    """A message and how often it was given out."""

    body: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    dequeue_count: int = 0


class Queues(Protocol):
    """What the host needs of its queues."""

    async def put(self, name: str, body: str, delay: float = 0.0) -> None:
        """Add a message, which comes after a delay in seconds."""

    async def serve(self, name: str, handle: Handle) -> None:
        """Hand every message of a queue to a function, as they come."""

    async def stop(self) -> None:
        """End all workers."""


class LocalQueues:
    """All queues of this process, by name."""

    def __init__(self) -> None:
        self.messages: dict[str, asyncio.Queue[Message]] = defaultdict(asyncio.Queue)
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._open: Counter[str] = Counter()

    @property
    def is_idle(self) -> bool:
        """Whether no message is on its way to a function, or in one; any thread may ask."""
        return not any(self._open[name] for name in list(self._workers))

    async def put(self, name: str, body: str, delay: float = 0.0) -> None:
        """Add a message, which comes after a delay in seconds."""
        message = Message(body)
        self._open[name] += 1
        if delay > 0:
            come = self.messages[name].put_nowait
            asyncio.get_running_loop().call_later(delay, come, message)
        else:
            self.messages[name].put_nowait(message)

    async def serve(self, name: str, handle: Handle) -> None:
        """Hand every message of a queue to a function, as they come."""
        self._workers[name] = asyncio.create_task(self._work(name, handle))

    async def _work(self, name: str, handle: Handle) -> None:
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

    async def _deliver(self, name: str, message: Message, handle: Handle) -> None:
        message.dequeue_count += 1
        try:
            await handle(message)
        except Exception:
            log.exception("A message of %s failed, try %d", name, message.dequeue_count)
            if message.dequeue_count < MOST_DEQUEUES:
                await asyncio.sleep(VISIBILITY_SECONDS)
                self.messages[name].put_nowait(message)
                return
            await self.put(f"{name}-poison", message.body)
        self._open[name] -= 1

    async def stop(self) -> None:
        """End all workers."""
        for worker in self._workers.values():
            worker.cancel()
        await asyncio.gather(*self._workers.values(), return_exceptions=True)
        self._workers.clear()


class StorageQueues:
    """The queues of a storage account, as of Azurite; a worker process sends to its host's so, too."""

    def __init__(self, connection: str) -> None:
        self._connection = connection
        self._service: QueueServiceClient | None = None
        self._workers: list[asyncio.Task[None]] = []

    def _queue(self, name: str) -> Any:
        if self._service is None:
            self._service = QueueServiceClient.from_connection_string(
                self._connection, api_version=AZURITE_API
            )
        return self._service.get_queue_client(
            name,
            message_encode_policy=TextBase64EncodePolicy(),
            message_decode_policy=TextBase64DecodePolicy(),
        )

    async def put(self, name: str, body: str, delay: float = 0.0) -> None:
        """Add a message, which comes after a delay in whole seconds."""
        await self._queue(name).send_message(body, visibility_timeout=int(delay))

    async def serve(self, name: str, handle: Handle) -> None:
        """Make a queue, and hand every message of it to a function, as they come."""
        for needed in (name, f"{name}-poison"):
            if not needed.endswith("-poison-poison"):
                with contextlib.suppress(ResourceExistsError):
                    await self._queue(needed).create_queue()
        self._workers.append(asyncio.create_task(self._work(name, handle)))

    async def _work(self, name: str, handle: Handle) -> None:
        queue = self._queue(name)
        running: set[asyncio.Task[None]] = set()
        try:
            while True:
                try:
                    received = queue.receive_messages(visibility_timeout=IN_WORK_SECONDS)
                    async for message in received:
                        task = asyncio.create_task(self._deliver(name, message, handle))
                        running.add(task)
                        task.add_done_callback(running.discard)
                except AzureError:
                    log.exception("The queue %s cannot be read", name)
                await asyncio.sleep(POLL_SECONDS)
        finally:
            for task in running:
                task.cancel()

    async def _deliver(self, name: str, message: QueueMessage, handle: Handle) -> None:
        queue, count = self._queue(name), int(message.dequeue_count or 0)
        try:
            await handle(Message(str(message.content), str(message.id), count))
        except Exception:
            log.exception("A message of %s failed, try %d", name, count)
            if count < MOST_DEQUEUES:
                await queue.update_message(message, visibility_timeout=0)
                return
            await self.put(f"{name}-poison", str(message.content))
        await queue.delete_message(message)

    async def stop(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._workers.clear()
        if self._service is not None:
            await self._service.close()


def connection_to(port: int) -> str:
    """Return the connection string of the local host's own queues; its key opens nothing."""
    account = "DefaultEndpointsProtocol=http;AccountName=local;AccountKey=bG9jYWw=;"
    return f"{account}QueueEndpoint=http://127.0.0.1:{port}{PATH};"


async def receive(request: Request, queues: Queues) -> Response:
    """Answer "Put Message" of the queue service's REST interface."""
    try:
        text = ET.fromstring(await request.body()).findtext("MessageText") or ""  # noqa: S314 - loopback
        body = base64.b64decode(text, validate=True).decode()
        delay = float(request.query_params.get("visibilitytimeout", "0"))
    except (ET.ParseError, ValueError):
        return Response(status_code=HTTPStatus.BAD_REQUEST)
    await queues.put(request.path_params["queue"], body, delay)
    now = datetime.now(UTC)
    times = {
        "InsertionTime": now,
        "ExpirationTime": now + timedelta(days=7),
        "TimeNextVisible": now + timedelta(seconds=delay),
    }
    root = ET.Element("QueueMessagesList")
    shown = ET.SubElement(root, "QueueMessage")
    ET.SubElement(shown, "MessageId").text = str(uuid.uuid4())
    ET.SubElement(shown, "PopReceipt").text = "local"
    for name, moment in times.items():
        ET.SubElement(shown, name).text = format_datetime(moment, usegmt=True)
    return Response(
        ET.tostring(root, xml_declaration=True, encoding="utf-8"),
        status_code=HTTPStatus.CREATED,
        media_type="application/xml",
    )
