"""A queue for the benchmarks: it takes messages as the local host does, and gives them out on demand."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.queues import PATH, LocalQueues, receive
from local.server import listen


class QueueServer:
    """Its queues, and where it answers."""

    def __init__(self) -> None:
        self.queues = LocalQueues()
        self.listener = listen(0)
        self.port = self.listener.getsockname()[1]

    async def put(self, request: Request) -> Response:
        return await receive(request, self.queues)

    async def take(self, request: Request) -> Response:
        """Give out the next message, or 204 where there is none."""
        waiting = self.queues.messages[request.path_params["queue"]]
        return Response(waiting.get_nowait().body) if waiting.qsize() else Response(status_code=204)

    def count(self, queue: str) -> int:
        return self.queues.messages[queue].qsize()


@contextmanager
def queue_server() -> Iterator[QueueServer]:
    """Serve queues in a thread."""
    server = QueueServer()
    routes = [
        Route(f"{PATH}/{{queue}}/messages", server.put, methods=["POST"]),
        Route("/take/{queue}", server.take, methods=["POST"]),
    ]
    uvicorn_server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="error"))
    thread = threading.Thread(target=uvicorn_server.run, kwargs={"sockets": [server.listener]})
    thread.start()
    try:
        yield server
    finally:
        uvicorn_server.should_exit = True
        thread.join()
