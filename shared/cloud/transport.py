"""How every request leaves: to one host, once, and with an answer that is bounded before it is believed.

Whatever an SDK's pipeline makes of a link in an answer (the poll of an operation, the next page, a
redirect) ends here, below all its policies: a request to another host is never sent, so that neither a
token nor a body gets there.
"""

from __future__ import annotations

import math
from typing import Any

import aiohttp
from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from azure.core.pipeline.transport import AioHttpTransport
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

LONGEST_BODY = 32 * 1024 * 1024
"""Bytes of an answer, unpacked; a page of ARM's lists has some MiB at most."""

LONGEST_WAIT = 86_400.0
"""Seconds that `Retry-After` can ask for; more is taken for a day."""

WAITS = {"Retry-After": 1.0, "retry-after-ms": 0.001, "x-ms-retry-after-ms": 0.001}
"""The headers that the SDKs wait by, and what one of each is in seconds."""


class Distrusted(AzureError):
    """An answer that is not believed, or that leads where no request may go. It is not tried again."""


class BoundedResponse(aiohttp.ClientResponse):
    """An answer whose body is read up to a limit, and whose wish to be asked again is a number."""

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The headers, with plain times to wait."""
        return CIMultiDictProxy(with_plain_waits(self._headers))

    async def read(self) -> bytes:
        """Read the body; raises `Distrusted` for one that is too long."""
        if self._body is None:
            body = bytearray()
            async for chunk in self.content.iter_any():
                body += chunk
                if len(body) > LONGEST_BODY:
                    self.close()
                    raise Distrusted(f"The answer has more than {LONGEST_BODY:,} bytes.")
            self._body = bytes(body)
        return self._body


def with_plain_waits(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """Return headers whose times to wait are numbers from 0 to a day; any other is left out."""
    plain = CIMultiDict(headers)
    for name, scale in WAITS.items():
        text = plain.pop(name, None)
        try:
            seconds = min(max(float(text or "nan") * scale, 0.0), LONGEST_WAIT)
        except ValueError:
            continue
        if not math.isnan(seconds):
            plain[name] = f"{seconds / scale:g}"
    return plain


class PinnedTransport(AioHttpTransport):  # type: ignore[misc] # exported lazily
    """Sends requests to one host, each once; tells one that never left from one without an answer.

    aiohttp sends a PUT again by itself when a connection breaks. The second one meets an etag that
    the first one may have changed, and nobody could tell that the write was ours.
    """

    def __init__(self, home: str | None = None, **options: Any) -> None:
        """Pin requests to the host and port of an address.

        Args:
            home: the address; None: that of the first request, which no answer can have named.
            options: of the SDK's transport.
        """
        super().__init__(**options)
        self._home = origin(home) if home else None

    async def open(self) -> None:
        """Open the session."""
        if self.session is None and not self._has_been_opened:
            self.session: aiohttp.ClientSession | None = aiohttp.ClientSession(
                trust_env=True,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=True,  # piece by piece, so that a small body cannot unpack to a huge one
                response_class=BoundedResponse,
            )
        await super().open()
        if self.session is not None:
            self.session._retry_connection = False

    async def send(self, request: Any, **options: Any) -> Any:
        """Send one request.

        Raises:
            Distrusted: it would go to another host, or its answer is too long.
        """
        there = origin(request.url)
        self._home = self._home or there
        if there is None or there != self._home:
            raise Distrusted(f"Azure's answer leads to another host: {where(request.url)}.")
        try:
            return await super().send(request, **options)
        except ServiceRequestError as error:
            if isinstance(error.__cause__, aiohttp.ClientConnectorError):
                raise
            raise ServiceResponseError(error.__cause__, error=error.__cause__) from error


def origin(address: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port of an address as aiohttp sends it; None for what is none.

    An address with a user name in it is none: it only ever looks like another one.
    """
    try:
        url = URL(address)
        port = url.port
    except (ValueError, TypeError):
        return None
    if url.raw_host is None or port is None or url.raw_user is not None:
        return None
    return url.scheme.lower(), url.raw_host.lower().rstrip("."), port


def where(address: str) -> str:
    """Return the host of an address in words, and nothing of its path or query."""
    found = origin(address)
    return f"{found[1]}:{found[2]}" if found else "no address of one"
