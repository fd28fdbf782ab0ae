"""The Azure network clients: made once on first use, closed with the process's event loop.

A client speaks for one subscription; all of them share one transport and one credential.
"""

from __future__ import annotations

import asyncio
import atexit
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from azure.core.pipeline import PipelineResponse
from azure.core.pipeline.policies import AsyncRetryPolicy, SansIOHTTPPolicy
from azure.mgmt.network.aio import NetworkManagementClient

from shared.cloud.credentials import make_credential
from shared.cloud.transport import Distrusted, PinnedTransport
from shared.context import correlation_id, count_call, count_throttled, seconds_left

if TYPE_CHECKING:
    from azure.core.pipeline import PipelineRequest

    from shared.settings import Settings

LOOPBACK = ("127.0.0.1", "localhost", "::1")
CONNECT_SECONDS, READ_SECONDS = 10, 60
MOST_CLIENTS = 64
"""Of one loop, each of some 80 KiB: any caller can name any subscription."""

POLL_SECONDS = 0.25
"""Between polls where ARM does not say; it does say, 3 to 10 seconds (recorded)."""


class CallPolicy(SansIOHTTPPolicy[Any, Any]):
    """Adds the correlation id to every call, and lets plain http through to this machine alone."""

    def __init__(self, *, counted: bool = True) -> None:
        """Count the calls among those to ARM, or not."""
        self._counted = counted

    def on_request(self, request: PipelineRequest[Any]) -> None:
        """Prepare one call."""
        if self._counted:
            count_call()
        request.http_request.headers["x-ms-correlation-request-id"] = correlation_id()
        if urlsplit(request.http_request.url).hostname in LOOPBACK:
            request.context.options["enforce_https"] = False

    def on_response(self, request: PipelineRequest[Any], response: Any) -> None:
        """Note that ARM answered that there are too many calls."""
        del request
        if self._counted and response.http_response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            count_throttled()


class PatientRetries(AsyncRetryPolicy[Any, Any]):
    """Repeats reads as ARM asks, while there is time; writes are repeated after reading again."""

    def increment(
        self, settings: dict[str, Any], response: Any = None, error: Exception | None = None
    ) -> bool:
        """Whether to try once more."""
        if isinstance(error, Distrusted):
            return False
        if response is not None and response.http_request.method not in ("GET", "HEAD"):
            return False
        again = super().increment(settings, response, error)
        wait = self.get_backoff_time(settings)
        if isinstance(response, PipelineResponse):
            wait = self.get_retry_after(response) or wait
        return again and wait < seconds_left()


class Clients:
    """The clients of one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._credential = make_credential(settings)
        self._transport = PinnedTransport(
            settings.arm_endpoint, connection_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS
        )
        self._by_subscription: dict[str, NetworkManagementClient] = {}

    def of(self, subscription: str) -> NetworkManagementClient:
        """Return the client of a subscription."""
        key = subscription.lower()
        client = self._by_subscription.pop(key, None)
        if client is None:
            client = NetworkManagementClient(
                self._credential,
                subscription,
                base_url=self._settings.arm_endpoint,
                credential_scopes=[self._settings.arm_scope],
                per_call_policies=[CallPolicy()],
                retry_policy=PatientRetries(retry_total=3, retry_backoff_factor=0.2),
                transport=self._transport,
                permit_redirects=False,
                polling_interval=POLL_SECONDS,
            )
        self._by_subscription[key] = client  # the last one used stands last
        while len(self._by_subscription) > MOST_CLIENTS:
            del self._by_subscription[next(iter(self._by_subscription))]
        return client

    async def close(self) -> None:
        """Give back connections and the credential's own."""
        await self._transport.close()
        await self._credential.close()


_clients: dict[tuple[asyncio.AbstractEventLoop, Settings], Clients] = {}


def clients(settings: Settings) -> Clients:
    """Return the running loop's clients; Azure Functions has one loop a process."""
    key = asyncio.get_running_loop(), settings
    found = _clients.get(key)
    if found is None:
        found = _clients[key] = Clients(settings)
    return found


async def close_clients() -> None:
    """Close the running loop's clients."""
    loop = asyncio.get_running_loop()
    for key in [key for key in _clients if key[0] is loop]:
        await _clients.pop(key).close()


@atexit.register
def close_at_exit() -> None:
    """Close what is left, in loops that can still run."""
    for (loop, _), found in list(_clients.items()):
        if not loop.is_closed() and not loop.is_running():
            loop.run_until_complete(found.close())
