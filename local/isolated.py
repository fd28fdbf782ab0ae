"""The local host as Azure runs the app: every function that is not HTTP in processes of its own.

On Flex Consumption all HTTP functions share instances, every other function has its own, and each may
have several. Here the host's process has the routes, keys, queues and timers, and worker processes
have the functions: so many for the HTTP functions together and for every other function alone. Calls,
deliveries and messages are handed out in turn; a timer fires in one process. The processes share the
store, the queues and Azure, and nothing else.

Source: "Azure Functions Flex Consumption plan hosting", Microsoft Learn, per-function scaling.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import logging
import os
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import aiohttp
from starlette.responses import Response

from local.functions import load_functions
from local.host import ROOT, FunctionsHost, read_body, route_prefix

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.applications import Starlette
    from starlette.requests import Request

    from local.functions import LocalFunction
    from local.queues import Message, Queues

log = logging.getLogger("local.host")

HTTP = "http"
CALL_PATH = "/_worker"
ENVIRONMENT = "x-local-environment"
"""The host's settings of this moment: a worker takes them over before each call."""

SETTINGS = ("AMLFS_", "WEBSITE_AUTH_ENABLED", "AzureWebJobsStorage")
START_SECONDS = 60
CALL_SECONDS = 330
HOP_BY_HOP = ("connection", "content-length", "keep-alive", "transfer-encoding", "te", "upgrade")


class WorkerFailed(Exception):
    """A worker process failed in a call, or ended meanwhile."""


class Instance:
    """One worker process; it starts on first use, and anew where it has ended."""

    def __init__(self, group: str, number: int, functions: list[str]) -> None:
        self.name = f"{group}-{number}"
        self._functions = functions
        self._process: asyncio.subprocess.Process | None = None
        self._url = ""
        self._starting = asyncio.Lock()

    async def url(self) -> str:
        """Return where the process answers; starts it where it does not run."""
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                await self._start()
            return self._url

    async def _start(self) -> None:
        arguments = ["--name", self.name, *self._functions]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "local.worker", *arguments),
            cwd=ROOT,
            stdin=subprocess.PIPE,  # it ends with us: then its input ends, also on SIGKILL
            stdout=subprocess.PIPE,
        )
        if self._process.stdout is None:
            raise AssertionError
        async with asyncio.timeout(START_SECONDS):
            line = (await self._process.stdout.readline()).decode().strip()
        if not line.isdecimal():
            raise WorkerFailed(f"The worker {self.name} did not start.")
        self._url = f"http://127.0.0.1:{line}"

    async def stop(self) -> None:
        """End the process."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()


class WorkerPool:
    """The worker processes of an app, handed out in turn."""

    def __init__(self, functions: tuple[LocalFunction, ...], instances: int) -> None:
        groups: dict[str, list[str]] = {}
        for function in functions:
            groups.setdefault(HTTP if function.is_http else function.name, []).append(function.name)
        self._instances = {
            group: [Instance(group, n + 1, names) for n in range(instances)]
            for group, names in groups.items()
        }
        self._turns = {
            group: itertools.cycle(several) for group, several in self._instances.items()
        }
        self._session: aiohttp.ClientSession | None = None

    def next(self, group: str) -> Instance:
        """Return the instance whose turn it is."""
        return next(self._turns[group])

    @property
    def session(self) -> aiohttp.ClientSession:
        """The client that calls the workers."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(
                timeout=timeout, connector=connector, auto_decompress=False
            )
        return self._session

    async def warm_up(self) -> None:
        """Start every instance, one after the other, so that first uses wait less."""
        for instance in [one for several in self._instances.values() for one in several]:
            with suppress(WorkerFailed, TimeoutError):
                await instance.url()

    async def stop(self) -> None:
        """End all processes."""
        if self._session is not None:
            await self._session.close()
        several = [one for group in self._instances.values() for one in group]
        await asyncio.gather(*(one.stop() for one in several))


class IsolatedHost(FunctionsHost):
    """The host's process: it has no function of its own, and hands every call to a worker."""

    def __init__(
        self,
        functions: tuple[LocalFunction, ...],
        function_key: str | None = None,
        queues: Queues | None = None,
        instances: int = 2,
    ) -> None:
        """Hold the functions' bindings; see `FunctionsHost`."""
        super().__init__(functions, route_prefix(), function_key, queues)
        self.pool = WorkerPool(functions, instances)

    @asynccontextmanager
    async def lifespan(self, application: Starlette) -> AsyncIterator[None]:
        """Serve queues and timers while HTTP is served; end the workers at the end."""
        warming = asyncio.create_task(self.pool.warm_up())
        try:
            async with super().lifespan(application):
                yield
        finally:
            warming.cancel()
            await asyncio.gather(warming, return_exceptions=True)
            await self.pool.stop()

    async def invoke(
        self, function: LocalFunction, request: Request, parameters: dict[str, str]
    ) -> Response:
        """Hand an HTTP request to a worker, as it came."""
        del function, parameters  # the worker finds them as this host did
        body = await read_body(request)
        if body is None:
            return Response(status_code=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        headers = [
            (name, value) for name, value in request.headers.items() if name not in HOP_BY_HOP
        ]
        headers += [("x-forwarded-for", self.address_of(request) or ""), (ENVIRONMENT, settings())]
        query = f"?{request.url.query}" if request.url.query else ""
        try:
            base = await self.pool.next(HTTP).url()
            async with self.pool.session.request(
                request.method,
                f"{base}{request.url.path}{query}",
                headers=headers,
                data=io.BytesIO(body) if body else None,
                allow_redirects=False,
            ) as answer:
                response = Response(await answer.read(), status_code=answer.status)
                response.raw_headers = [
                    (name.lower(), value)
                    for name, value in answer.raw_headers
                    if name.decode().lower() not in HOP_BY_HOP
                ] + [(b"content-length", str(len(response.body)).encode())]
                return response
        except (aiohttp.ClientError, WorkerFailed, TimeoutError):
            log.exception("A worker of the HTTP functions failed")
            return Response(status_code=HTTPStatus.BAD_GATEWAY)

    async def run_message(self, function: LocalFunction, message: Message) -> None:
        """Hand a message to a worker; raises `WorkerFailed` where its function fails."""
        await self._call(
            function, {"body": message.body, "id": message.id, "count": message.dequeue_count}
        )

    async def run_timer(self, function: LocalFunction) -> None:
        """Fire a timer in one worker."""
        await self._call(function, {})

    async def run_event(self, function: LocalFunction, event: dict[str, Any]) -> None:
        """Hand an event to a worker."""
        await self._call(function, {"event": event})

    async def _call(self, function: LocalFunction, body: dict[str, Any]) -> None:
        try:
            base = await self.pool.next(function.name).url()
            async with self.pool.session.post(
                f"{base}{CALL_PATH}/{function.name}", json=body, headers={ENVIRONMENT: settings()}
            ) as answer:
                if answer.status >= HTTPStatus.BAD_REQUEST:
                    raise WorkerFailed(f"{function.name} failed in its worker.")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise WorkerFailed(
                f"A worker of {function.name} ended in a call: {error!r}."
            ) from error


def settings() -> str:
    """Return this process's settings, for a worker to take over."""
    return json.dumps({k: v for k, v in os.environ.items() if k.startswith(SETTINGS)})


def load_isolated_host(
    function_key: str | None = None, queues: Queues | None = None, instances: int = 2
) -> IsolatedHost:
    """Read the project's `function_app` and `host.json`, to run it in worker processes."""
    return IsolatedHost(load_functions(), function_key, queues, instances)
