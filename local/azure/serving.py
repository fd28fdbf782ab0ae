"""Serving the box: in a thread with an event loop of its own, as another machine would."""

from __future__ import annotations

import asyncio
import ssl
import threading
from typing import TYPE_CHECKING, Self

import trustme
from aiohttp import web

from local.azure.server import Box

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType


class BoxServer:
    """The embedded Azure, served over http, and over https where a listener for it is given.

    Attributes:
        box: what is served; touch it in the server's loop alone (`call`).
        url: of the http listener.
    """

    def __init__(
        self, listener: socket.socket, https: tuple[socket.socket, Path] | None = None
    ) -> None:
        """Take the listeners; the certificate of https is written to the path beside it."""
        self.box = Box()
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._sites: list[tuple[socket.socket, ssl.SSLContext | None]] = [(listener, None)]
        if https is not None:
            self._sites.append((https[0], certified(https[1])))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="box", daemon=True)

    def __enter__(self) -> Self:
        ready = threading.Event()
        self._loop.call_soon_threadsafe(self._loop.create_task, self._start(ready))
        self._thread.start()
        ready.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.create_task, self._stop())
        self._thread.join(timeout=5)
        self._loop.close()

    def call(self, function: Callable[[Box], None]) -> None:
        """Have something done to the box in its own loop, and wait for it."""

        async def done() -> None:
            function(self.box)

        asyncio.run_coroutine_threadsafe(done(), self._loop).result()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _start(self, ready: threading.Event) -> None:
        self._runner = web.AppRunner(self.box.application(), access_log=None)
        await self._runner.setup()
        for listener, context in self._sites:
            site = web.SockSite(self._runner, listener, ssl_context=context)
            await site.start()
        ready.set()

    async def _stop(self) -> None:
        await self._runner.shutdown()
        await self._runner.cleanup()
        self._loop.stop()


def certified(path: Path) -> ssl.SSLContext:
    """Return a context with a new certificate for this machine, whose issuer is written to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(path))
    return context
