"""Storage queues: messages that come at once or later, sent before a function returns.

A function's own output binding sends when the function has ended, and cannot delay a message. So the
service sends through the SDK, with the connection that the triggers use (`AzureWebJobsStorage`). The
text is Base64, as queue triggers expect it.

Source: "Azure Queue storage trigger for Azure Functions" (message encoding, poison messages) and "Put
Message" (`visibilitytimeout`), Microsoft Learn.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError
from azure.storage.queue import TextBase64EncodePolicy
from azure.storage.queue.aio import QueueServiceClient

from shared.cloud.clients import LOOPBACK
from shared.cloud.credentials import make_credential
from shared.cloud.failures import translate
from shared.cloud.transport import PinnedTransport
from shared.context import seconds_left
from shared.errors import Misconfigured

if TYPE_CHECKING:
    from shared.settings import Settings

SECONDS = 10
"""The time for sending one message; less where the invocation ends before."""

EMULATOR_API = "2025-11-05"
"""The newest version of the service that Azurite speaks; the SDK's own is newer."""

_services: dict[tuple[asyncio.AbstractEventLoop, str], QueueServiceClient] = {}


async def send_message(settings: Settings, queue: str, text: str, delay: float = 0.0) -> None:
    """Send a message.

    Args:
        settings: how the service signs in.
        queue: its name.
        text: of the message.
        delay: seconds until it can be received, rounded.

    Raises:
        Misconfigured: no storage is set.
        Transient, ArmRefused: the queue does not take it.
    """
    client = service(settings).get_queue_client(
        queue, message_encode_policy=TextBase64EncodePolicy()
    )
    try:
        async with asyncio.timeout(min(SECONDS, max(0.5, seconds_left() / 2))):
            await client.send_message(text, visibility_timeout=round(max(delay, 0)))
    except (AzureError, TimeoutError) as error:
        known = error if isinstance(error, AzureError) else AzureError("no answer in time")
        raise translate(known, f"Sending a message to {queue}") from error


def service(settings: Settings) -> QueueServiceClient:
    """Return the running loop's client; raises `Misconfigured`."""
    get = os.environ.get
    uri, account = (
        get("AzureWebJobsStorage__queueServiceUri"),
        get("AzureWebJobsStorage__accountName"),
    )
    if not uri and account:
        uri = f"https://{account}.queue.core.windows.net"
    connection = get("AzureWebJobsStorage")
    place = uri or connection
    if not place:
        raise Misconfigured(
            "No storage for queues is named: set AzureWebJobsStorage__queueServiceUri"
            " (https://ACCOUNT.queue.core.windows.net) or AzureWebJobsStorage."
        )
    key = asyncio.get_running_loop(), place
    if key not in _services:
        options: dict[str, Any] = {
            "transport": PinnedTransport(connection_timeout=5, read_timeout=SECONDS),
            "retry_total": 2,
            "initial_backoff": 1,
            "increment_base": 1,
        }
        if any(host in place for host in LOOPBACK):
            options["api_version"] = EMULATOR_API
        try:
            _services[key] = (
                QueueServiceClient(uri, make_credential(settings), **options)
                if uri
                else QueueServiceClient.from_connection_string(place, **options)
            )
        except ValueError as error:
            raise Misconfigured(f"AzureWebJobsStorage names no storage: {error}.") from error
    return _services[key]


async def close_queues() -> None:
    """Close the running loop's clients."""
    loop = asyncio.get_running_loop()
    for key in [key for key in _services if key[0] is loop]:
        await _services.pop(key).close()
