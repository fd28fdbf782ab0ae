"""The outcome topic: an Event Grid custom topic that takes CloudEvents, by identity."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError
from azure.core.messaging import CloudEvent
from azure.eventgrid.aio import EventGridPublisherClient

from shared.cloud.clients import CallPolicy
from shared.cloud.credentials import OneScope, make_credential
from shared.cloud.failures import translate
from shared.cloud.transport import PinnedTransport
from shared.errors import Misconfigured

if TYPE_CHECKING:
    from shared.settings import Settings

SECONDS = 10
"""The time for sending one outcome; what is not sent by then is sent by the sweep."""

_publishers: dict[tuple[asyncio.AbstractEventLoop, str, str], Publisher] = {}


class Publisher:
    """Sends to one topic."""

    def __init__(self, settings: Settings, endpoint: str) -> None:
        self._credential = make_credential(settings)
        self._client = EventGridPublisherClient(
            endpoint,
            OneScope(self._credential, settings.topic_scope),
            per_call_policies=[CallPolicy(counted=False)],
            transport=PinnedTransport(endpoint, connection_timeout=5, read_timeout=SECONDS),
            permit_redirects=False,
            retry_total=1,
        )

    async def send(self, event: dict[str, Any]) -> None:
        """Send one outcome."""
        await self._client.send(CloudEvent.from_dict(event))

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()
        await self._credential.close()


async def publish(settings: Settings, event: dict[str, Any]) -> None:
    """Send an outcome to the topic; raises `GuardError` where it does not take it."""
    endpoint = settings.outcome_topic
    if endpoint is None:
        raise Misconfigured("AMLFS_OUTCOME_TOPIC_ENDPOINT is not set.")
    key = asyncio.get_running_loop(), endpoint, settings.topic_scope
    if key not in _publishers:
        _publishers[key] = Publisher(settings, endpoint)
    try:
        async with asyncio.timeout(SECONDS):
            await _publishers[key].send(event)
    except (AzureError, TimeoutError) as error:
        known = error if isinstance(error, AzureError) else AzureError("no answer in time")
        raise translate(known, "Sending an outcome") from error


async def close_publishers() -> None:
    """Close the running loop's publishers."""
    loop = asyncio.get_running_loop()
    for key in [key for key in _publishers if key[0] is loop]:
        await _publishers.pop(key).close()
