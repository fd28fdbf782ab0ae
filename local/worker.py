"""A worker process of the isolated local host: it runs some functions of the app.

It prints the port that it listens on, and ends when its standard input does: with the host, whatever
ends that.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import sys
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route as Endpoint

from local.functions import load_functions
from local.host import EVERY_METHOD, FunctionsHost, closers, route_prefix
from local.isolated import CALL_PATH, ENVIRONMENT, SETTINGS
from local.queues import Message, StorageQueues

if TYPE_CHECKING:
    from starlette.requests import Request

log = logging.getLogger("local.host")


class WorkerHost(FunctionsHost):
    """Some functions of the app, called by the host's process."""

    def application(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Endpoint(f"{CALL_PATH}/{{name}}", self.call_function, methods=["POST"]),
                Endpoint("/{path:path}", self.serve_for_host, methods=EVERY_METHOD),
            ]
        )

    def address_of(self, request: Request) -> str | None:
        """Return nothing: the host has appended the caller's address already."""
        del request
        return None

    async def serve_for_host(self, request: Request) -> Response:
        """Answer an HTTP request that the host hands over; it has asked for the key."""
        take_over(request)
        return await self.serve(request)

    async def call_function(self, request: Request) -> Response:
        """Call a function with the message, the event or the timer that the host hands over."""
        take_over(request)
        name = str(request.path_params["name"])
        function = next(one for one in self.functions if one.name == name)
        given = await request.json()
        try:
            match function.trigger["type"]:
                case "queueTrigger":
                    message = Message(given["body"], given["id"], given["count"])
                    await self.run_message(function, message)
                case "timerTrigger":
                    await self.run_timer(function)
                case _:
                    await self.run_event(function, given["event"])
        except Exception:
            log.exception("%s failed", name)
            return Response(status_code=HTTPStatus.INTERNAL_SERVER_ERROR)
        return Response(status_code=HTTPStatus.ACCEPTED)


def take_over(request: Request) -> None:
    """Take over the host's settings as they are now."""
    wanted = json.loads(request.headers.get(ENVIRONMENT, "null"))
    if wanted is None:
        return
    for name in [one for one in os.environ if one.startswith(SETTINGS) and one not in wanted]:
        del os.environ[name]
    os.environ.update(wanted)


def end_with_the_host() -> None:
    """End this process when the host has gone."""
    sys.stdin.buffer.read()
    os._exit(0)


async def serve(host: WorkerHost, listener: socket.socket) -> None:
    """Serve until the process is ended."""
    config = uvicorn.Config(
        host.application(), log_level="warning", access_log=False, proxy_headers=False
    )
    await uvicorn.Server(config).serve(sockets=[listener])
    for close in closers():
        await close()


def main() -> None:
    """Load the app, listen, and say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="worker")
    parser.add_argument("functions", nargs="+")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format=f"[%(asctime)s] [{given.name}] %(message)s")
    for name in ("azure", "azure.core.pipeline.policies.http_logging_policy"):
        logging.getLogger(name).setLevel(logging.WARNING)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C ends the host, and the host ends us
    threading.Thread(target=end_with_the_host, daemon=True).start()
    functions = [one for one in load_functions() if one.name in given.functions]
    queues = StorageQueues(os.environ["AzureWebJobsStorage"])
    host = WorkerHost(functions, route_prefix(), None, queues)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    asyncio.run(serve(host, listener))


if __name__ == "__main__":
    main()
