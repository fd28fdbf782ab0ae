"""The Functions host on this machine: what stands between HTTP and a function in Azure.

Routes are matched without case, an unknown route or method is an empty 404, repeated query
parameters and headers are joined by commas, and a function that fails is an empty 500: all as the
real host does it (azure-functions-host issues 10098 and 11625 for the 404s). The values that
functions receive and return pass through the converters of the `azure-functions` package.
"""

from __future__ import annotations

import asyncio
import functools
import hmac
import json
import logging
import sys
import time
import uuid
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import azure.functions
from azure.functions.meta import Datum
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Endpoint

from local import event_grid
from local import queues as storage
from local.functions import LocalFunction, load_functions
from local.queues import LocalQueues, Message, Queues
from local.timers import run_timer, timer_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

    from starlette.requests import Request

    from local.routes import Route

log = logging.getLogger("local.host")

ROOT = Path(__file__).resolve().parent.parent
BODY_LIMIT = 100 * 1024 * 1024
"""Bytes; the real host's default for a request."""

EVERY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


class FunctionsHost:
    """Serves the functions of one app."""

    def __init__(
        self,
        functions: Sequence[LocalFunction],
        route_prefix: str = "api",
        function_key: str | None = None,
        queues: Queues | None = None,
    ) -> None:
        """Hold the functions.

        Args:
            functions: of the app.
            route_prefix: stands before every route.
            function_key: what callers must bring; None asks nobody for a key.
            queues: where messages are; None: in this process.
        """
        self.functions = functions
        self.route_prefix = route_prefix
        self.function_key = function_key
        self.queues: Queues = queues or LocalQueues()
        self.routes: list[tuple[Route, LocalFunction]] = sorted(
            ((f.route(route_prefix), f) for f in functions if f.is_http),
            key=lambda entry: entry[0].specificity,
        )

    def application(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Endpoint("/admin/functions", self.list_functions, methods=["GET"]),
                Endpoint("/admin/functions/{name}", self.run_by_hand, methods=["POST"]),
                Endpoint(event_grid.PATH, self.receive_events, methods=["POST", "OPTIONS"]),
                Endpoint(f"{storage.PATH}/{{queue}}/messages", self.put_message, methods=["POST"]),
                Endpoint("/{path:path}", self.serve, methods=EVERY_METHOD),
            ],
            lifespan=self.lifespan,
        )

    async def put_message(self, request: Request) -> Response:
        """Take a message that the service sends through the SDK."""
        return await storage.receive(request, self.queues)

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Serve queues and timers while HTTP is served; close what the app has opened at the end."""
        timers = []
        for function in self.functions:
            kind = function.trigger["type"]
            if kind == "queueTrigger":
                handle = functools.partial(self.run_message, function)
                await self.queues.serve(function.trigger["queueName"], handle)
            elif kind == "timerTrigger":
                call = functools.partial(self.run_timer, function)
                work = run_timer(function.trigger["schedule"], call)
                timers.append(asyncio.create_task(work))
        yield
        for timer in timers:
            timer.cancel()
        await asyncio.gather(*timers, return_exceptions=True)
        await self.queues.stop()
        for close in closers():
            await close()

    async def serve(self, request: Request) -> Response:
        """Find the function of a request, call it and log the call."""
        path = str(request.path_params["path"])
        for route, function in self.routes:
            parameters = route.match(path)
            if parameters is not None and request.method in (function.methods or EVERY_METHOD):
                if function.needs_key and not self.has_key(request):
                    return Response(status_code=HTTPStatus.UNAUTHORIZED)
                return await self.invoke(function, request, parameters)
        return Response(status_code=HTTPStatus.NOT_FOUND)

    async def invoke(
        self, function: LocalFunction, request: Request, parameters: dict[str, str]
    ) -> Response:
        """Call a function with a request; logs as the real host does."""
        invocation_id = uuid.uuid4()
        started = time.perf_counter()
        outcome = "Failed"
        try:
            body = await read_body(request)
            if body is None:
                return Response(status_code=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            outputs = {name: Output() for name in function.outputs("queue")}
            given = http_request(request, parameters, body, self.address_of(request))
            response = http_response(await function.invoke(given, **outputs))
            await self.send(function, outputs)
            outcome = "Succeeded"
        except Exception:
            log.exception("%s failed", function.name)
            response = Response(status_code=HTTPStatus.INTERNAL_SERVER_ERROR)
        finally:
            log.info(
                "Executed 'Functions.%s' (%s, Id=%s, Duration=%.0fms)",
                function.name,
                outcome,
                invocation_id,
                1000 * (time.perf_counter() - started),
            )
        return response

    async def send(self, function: LocalFunction, outputs: dict[str, Output]) -> None:
        """Put what a function has set into its queues, once it has returned."""
        for name, binding in function.outputs("queue").items():
            for body in outputs[name].messages():
                await self.queues.put(binding["queueName"], body)

    async def call(self, function: LocalFunction, value: Any) -> None:
        """Call a function that no request waits for, and send what it sets; raises what it raises."""
        outputs = {name: Output() for name in function.outputs("queue")}
        started, outcome = time.perf_counter(), "Failed"
        try:
            await function.invoke(value, **outputs)
            outcome = "Succeeded"
        finally:
            duration = 1000 * (time.perf_counter() - started)
            text = "Executed 'Functions.%s' (%s, Duration=%.0fms)"
            log.info(text, function.name, outcome, duration)
        await self.send(function, outputs)

    async def run_message(self, function: LocalFunction, message: Message) -> None:
        """Call a function with a message of its queue."""
        metadata = {
            "Id": Datum(message.id, "string"),
            "DequeueCount": Datum(message.dequeue_count, "int"),
        }
        body = Datum(message.body, "string")
        await self.call(function, converter("queueTrigger").decode(body, trigger_metadata=metadata))

    async def run_timer(self, function: LocalFunction) -> None:
        """Call a timer's function."""
        told = Datum(timer_request(), "json")
        await self.call(function, converter("timerTrigger").decode(told, trigger_metadata={}))

    async def run_event(self, function: LocalFunction, event: dict[str, Any]) -> None:
        """Call a function with an event."""
        body = Datum(json.dumps(event), "json")
        decoded = converter("eventGridTrigger").decode(body, trigger_metadata={})
        try:
            await self.call(function, decoded)
        except Exception:
            log.exception("%s failed", function.name)
            raise

    def address_of(self, request: Request) -> str | None:
        """Return the caller's address, which Azure's front end appends to `X-Forwarded-For`."""
        return f"{request.client.host}:{request.client.port}" if request.client else None

    async def receive_events(self, request: Request) -> Response:
        """Answer Event Grid's deliveries to `?functionName=`."""
        name = request.query_params.get("functionName", "").lower()
        kind = "eventGridTrigger"
        found = [f for f in self.functions if f.name.lower() == name and f.trigger["type"] == kind]
        if not self.has_key(request):
            return Response(status_code=HTTPStatus.UNAUTHORIZED)
        if not found:
            return Response(status_code=HTTPStatus.NOT_FOUND)
        return await event_grid.receive(request, functools.partial(self.run_event, found[0]))

    async def run_by_hand(self, request: Request) -> Response:
        """Answer `POST /admin/functions/{name}` with `{"input": …}`: run a function once."""
        if not self.has_key(request):
            return Response(status_code=HTTPStatus.UNAUTHORIZED)
        name = str(request.path_params["name"]).lower()
        function = next((f for f in self.functions if f.name.lower() == name), None)
        if function is None or function.is_http:
            return Response(status_code=HTTPStatus.NOT_FOUND)
        try:
            body = json.loads(await request.body() or b"{}")
            given = body.get("input", "") if isinstance(body, dict) else ""
            if function.trigger["type"] == "timerTrigger":
                await self.run_timer(function)
            elif function.trigger["type"] == "queueTrigger":
                await self.run_message(function, Message(str(given)))
            else:
                event = json.loads(given) if isinstance(given, str) else given
                await self.run_event(function, event)
        except Exception:
            log.exception("%s failed", function.name)
            return Response(status_code=HTTPStatus.INTERNAL_SERVER_ERROR)
        return Response(status_code=HTTPStatus.ACCEPTED)

    def has_key(self, request: Request) -> bool:
        """Whether the caller brought the function key, in a header or as `?code=`."""
        if self.function_key is None:
            return True
        brought = request.headers.get("x-functions-key") or request.query_params.get("code") or ""
        return hmac.compare_digest(brought.encode(), self.function_key.encode())

    async def list_functions(self, request: Request) -> Response:
        """Answer `GET /admin/functions` as the real host does, in its main fields."""
        if not self.has_key(request):
            return Response(status_code=HTTPStatus.UNAUTHORIZED)
        return JSONResponse(
            [
                {
                    "name": function.name,
                    "language": "python",
                    "isDisabled": False,
                    "invoke_url_template": (
                        f"{request.base_url}{function.route(self.route_prefix).template}"
                        if function.is_http
                        else None
                    ),
                    "config": {"bindings": function.bindings},
                }
                for function in self.functions
            ]
        )

    def describe(self, address: str) -> Iterable[str]:
        """Yield a line for each function, with the methods and address that reach it."""
        for route, function in self.routes:
            methods = ",".join(function.methods) or "*"
            yield f"{function.name}: [{methods}] {address}/{route.template}"
        for function in self.functions:
            if not function.is_http:
                yield f"{function.name}: {function.trigger['type']}"


class Output:
    """What a function sets an output binding to; the type that `func.Out` stands for."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, value: Any) -> None:
        """Take a message, or a list of messages."""
        self._value = value

    def get(self) -> Any:
        """Return what was set."""
        return self._value

    def messages(self) -> list[str]:
        """Return the messages to send."""
        if self._value is None:
            return []
        several = self._value if isinstance(self._value, list) else [self._value]
        return [str(one) for one in several]


def closers() -> list[Callable[[], Awaitable[None]]]:
    """Return what the app has opened and Azure's host closes by ending the process."""
    known = (
        ("shared.cloud.topic", "close_publishers"),
        ("shared.cloud.queues", "close_queues"),
        ("shared.cloud.clients", "close_clients"),
        ("shared.cloud.store", "close_stores"),
    )
    return [getattr(sys.modules[name], close) for name, close in known if name in sys.modules]


def load_host(function_key: str | None = None, queues: Queues | None = None) -> FunctionsHost:
    """Read the project's `function_app` and `host.json`."""
    return FunctionsHost(load_functions(), route_prefix(), function_key, queues)


def route_prefix() -> str:
    """Return what stands before every route, by `host.json`."""
    settings = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))
    return str(settings.get("extensions", {}).get("http", {}).get("routePrefix", "api"))


async def read_body(request: Request) -> bytes | None:
    """Return a request's body, or None where it is longer than the host takes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            return None
    return bytes(body)


def converter(binding: str) -> Any:
    """Return what the `azure-functions` package converts a binding's values with."""
    registry: Any = azure.functions
    return registry.get_binding_registry().get(binding)


def http_request(
    request: Request, parameters: dict[str, str], body: bytes, address: str | None
) -> Any:
    """Return what a function with an HTTP trigger receives."""
    forwarded = [("x-forwarded-for", address)] if address else []
    datum = Datum(
        {
            "method": Datum(request.method, "string"),
            "url": Datum(str(request.url), "string"),
            "headers": joined([*request.headers.items(), *forwarded]),
            "query": joined(request.query_params.multi_items()),
            "params": joined(parameters.items()),
            "body": Datum(body, "bytes"),
        },
        "http",
    )
    return converter("httpTrigger").decode(datum, trigger_metadata={})


def http_response(returned: Any) -> Response:
    """Return the HTTP answer to what a function returned; raises for what it must not return."""
    datum = converter("http").encode(returned, expected_type=None)
    if datum.type == "string":
        return Response(datum.value, media_type="text/plain")
    value = datum.value
    response = Response(value["body"].value, status_code=int(value["status_code"].value))
    for name, header in value["headers"].items():
        response.headers[name] = header.value
    for cookie in value["cookies"] or ():
        for morsel in cookie.values():
            response.headers.append("set-cookie", morsel.OutputString())
    return response


def joined(pairs: Iterable[tuple[str, str]]) -> dict[str, Datum]:
    """Join the values of repeated names by commas."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: Datum(",".join(several), "string") for name, several in values.items()}
