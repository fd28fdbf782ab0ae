"""A hostile ARM: it hands every call on to the emulator, and spoils the answers to one kind of call.

`MANNERS` has the ways of spoiling by name. Beside it stands a server of somebody else, to which links
lead: it must never hear anything.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.conftest import serving

METHODS = ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD"]

CALLS = {
    "read an NSG": ("GET", r"/networkSecurityGroups/[^/]+$"),
    "read a network": ("GET", r"/virtualNetworks/[^/]+$"),
    "read a file system": ("GET", r"/amlFilesystems/[^/]+$"),
    "list NSGs": (
        "GET",
        r"^/subscriptions/[^/]+/providers/Microsoft.Network/networkSecurityGroups$",
    ),
    "list networks": ("GET", r"^/subscriptions/[^/]+/providers/Microsoft.Network/virtualNetworks$"),
    "list subscriptions": ("GET", r"^/subscriptions$"),
    "write an NSG": ("PUT", r"/networkSecurityGroups/[^/]+$"),
    "write a subnet": ("PUT", r"/subnets/[^/]+$"),
    "poll": ("GET", r"/locations/[^/]+/(operations|ascOperations|operationResults)/"),
}
"""Every call that the service makes, by method and path."""


@dataclass
class Answer:
    """An answer on its way to the service."""

    status: int
    headers: dict[str, str]
    body: bytes
    home: str
    thief: str
    document: Any = None

    def with_json(self, document: object) -> Answer:
        self.body = json.dumps(document).encode()
        return self

    def with_field(self, *path: str, value: object) -> Answer:
        """Change a field of the resource, or of the first one of a list."""
        document = json.loads(self.body or b"{}")
        target = document["value"][0] if isinstance(document.get("value"), list) else document
        *way, last = path
        for step in way:
            target = target.setdefault(step, {})
        target[last] = value
        return self.with_json(document)

    def without(self, *path: str) -> Answer:
        document = json.loads(self.body or b"{}")
        target = document["value"][0] if isinstance(document.get("value"), list) else document
        *way, last = path
        for step in way:
            target = target.get(step, {})
        target.pop(last, None)
        return self.with_json(document)

    def with_body(self, body: bytes, **headers: str) -> Answer:
        self.body = body
        self.headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self

    def with_status(self, status: int, **headers: str) -> Answer:
        self.status = status
        self.headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self


Manner = Callable[[Answer], Answer]
ERROR = {"error": {"code": "InternalServerError", "message": "An error occurred."}}
CRLF = "x\r\n2026-01-01 forged"


def body(text: str | bytes) -> Manner:
    return lambda answer: answer.with_body(text.encode() if isinstance(text, str) else text)


def prop(*path: str, value: object) -> Manner:
    return lambda answer: answer.with_field(*path, value=value)


def status(code: int, **headers: str) -> Manner:
    return lambda answer: answer.with_status(code, **headers)


def redirect(code: int) -> Manner:
    return lambda answer: answer.with_status(code, Location=f"{answer.thief}/stolen")


def link(name: str, address: str) -> Manner:
    """Send a header that leads to somebody else; a poll has it too."""

    def manner(answer: Answer) -> Answer:
        answer.headers[name] = address.format(thief=answer.thief, home=answer.home)
        if name == "Azure-AsyncOperation":
            answer.headers.pop("azure-asyncoperation", None)
        return answer

    return manner


def next_link(address: object) -> Manner:
    def manner(answer: Answer) -> Answer:
        document = json.loads(answer.body or b"{}")
        text = (
            address.format(thief=answer.thief, home=answer.home)
            if isinstance(address, str)
            else address
        )
        return answer.with_json({**document, "nextLink": text})

    return manner


PROPERTIES = "properties"
MANNERS: dict[str, Manner] = {
    "an empty list": body("[]"),
    "null": body("null"),
    "true": body("true"),
    "a number": body("42"),
    "a text": body('"text"'),
    "an empty object": body("{}"),
    "an error with status 200": lambda answer: answer.with_json(ERROR),
    "HTML": lambda a: a.with_body(b"<html>Sign in</html>", content_type="text/html"),
    "nothing": body(""),
    "half of it": lambda a: a.with_body(a.body[: len(a.body) // 2]),
    "deep": body("[" * 100_000),
    "too much": lambda a: a.with_body(b'{"id": "' + b"x" * (33 << 20) + b'"}'),
    "a bomb": lambda a: a.with_body(gzip.compress(b" " * (64 << 20)), content_encoding="gzip"),
    "gzip that is none": lambda a: a.with_body(b"{}", content_encoding="gzip"),
    "no UTF-8": body(b'{"id": "\xff\xfe"}'),
    "NaN": body('{"id": NaN}'),
    "a huge number": body('{"id": 1e400}'),
    "properties null": prop(PROPERTIES, value=None),
    "properties a list": prop(PROPERTIES, value=[]),
    "properties a text": prop(PROPERTIES, value="x"),
    "no properties": lambda a: a.without(PROPERTIES),
    "no id": lambda a: a.without("id"),
    "another id": prop(
        "id", value="/subscriptions/x/resourceGroups/y/providers/Microsoft.Network/z/w"
    ),
    "an id that is a number": prop("id", value=4),
    "an id with a line end": prop("id", value=CRLF),
    "an etag that is a number": prop("etag", value=4),
    "an etag that is an object": prop("etag", value={"a": 1}),
    "rules null": prop(PROPERTIES, "securityRules", value=None),
    "rules an object": prop(PROPERTIES, "securityRules", value={}),
    "rules of numbers": prop(PROPERTIES, "securityRules", value=[1, 2]),
    "rules of null": prop(PROPERTIES, "securityRules", value=[None]),
    "no rules": lambda a: a.without(PROPERTIES, "securityRules"),
    "subnets a text": prop(PROPERTIES, "subnets", value="x"),
    "subnets of numbers": prop(PROPERTIES, "subnets", value=[1]),
    "subnets with odd ids": prop(PROPERTIES, "subnets", value=[{"id": 4}]),
    "a subnet of nothing": prop(PROPERTIES, "subnets", value=[{}]),
    "an address space of texts": prop(PROPERTIES, "addressSpace", value="10.0.0.0/8"),
    "a CIDR that is none": prop(
        PROPERTIES, "addressSpace", value={"addressPrefixes": ["10.0.0.0/99"]}
    ),
    "a CIDR that is a number": prop(PROPERTIES, "addressSpace", value={"addressPrefixes": [4]}),
    "peerings of null": prop(PROPERTIES, "virtualNetworkPeerings", value=[None]),
    "a location that is a number": prop("location", value=4),
    "a subnet of a file system that is none": prop(PROPERTIES, "filesystemSubnet", value=["x"]),
    "a state that is a list": prop(PROPERTIES, "provisioningState", value=[]),
    "a status that is a number": prop("status", value=4),
    "a value that is null": lambda a: a.with_json({"value": None}),
    "a value that is an object": lambda a: a.with_json({"value": {}}),
    "a value of numbers": lambda a: a.with_json({"value": [1, None, []]}),
    "pages without end": next_link("{home}/subscriptions?api-version=x"),
    "a next page elsewhere": next_link("{thief}/stolen"),
    "a next page with a user": next_link("http://127.0.0.1@{thief}/stolen"),
    "a next page in a file": next_link("file:///etc/passwd"),
    "a next page that is an object": next_link({"a": 1}),
    "a poll elsewhere": link("Azure-AsyncOperation", "{thief}/stolen"),
    "a poll with a user": link("Azure-AsyncOperation", "{home}@localhost:1/stolen"),
    "a poll with a backslash": link("Azure-AsyncOperation", "{thief}\\@{home}/stolen"),
    "a location elsewhere": link("Location", "{thief}/stolen"),
    "moved": redirect(301),
    "found": redirect(302),
    "see other": redirect(303),
    "temporary redirect": redirect(307),
    "permanent redirect": redirect(308),
    "no content": lambda a: a.with_body(b"").with_status(204),
    "partial content": status(206),
    "a teapot": status(418),
    "status 599": status(599),
    "wait for ever": status(503, Retry_After="1e400"),
    "wait for less than nothing": status(503, Retry_After="-5"),
    "wait for a word": status(429, Retry_After="soon"),
    "wait for digits": status(429, Retry_After="9" * 5000),
    "wait for NaN": status(503, Retry_After="nan"),
    "wait in milliseconds": status(503, x_ms_retry_after_ms="1e400"),
}


@dataclass
class HostileArm:
    """What is attacked, and what was heard."""

    home: str = ""
    thief: str = ""
    call: str = ""
    manner: str = ""
    spoiled: int = 0
    stolen: list[str] = field(default_factory=list)

    def attack(self, call: str, manner: str) -> None:
        """Spoil the answers to a kind of call from now on."""
        self.call, self.manner, self.spoiled = call, manner, 0

    def rest(self) -> None:
        """Hand everything on."""
        self.call = self.manner = ""

    def spoils(self, request: Request) -> bool:
        if not self.call:
            return False
        method, path = CALLS[self.call]
        return request.method == method and bool(re.search(path, request.url.path, re.IGNORECASE))


@contextlib.contextmanager
def hostile_arm(emulator: str) -> Iterator[HostileArm]:
    """Serve a hostile ARM in front of an emulator, and somebody else's server beside it."""
    arm = HostileArm()
    upstream = httpx.AsyncClient(base_url=emulator, timeout=30)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await upstream.aclose()

    async def hand_on(request: Request) -> Response:
        headers = {k: v for k, v in request.headers.items() if k != "accept-encoding"}
        answered = await upstream.request(
            request.method,
            request.url.path,
            params=request.url.query,
            content=await request.body(),
            headers=headers,
        )
        skipped = ("content-length", "transfer-encoding", "connection", "date", "server")
        kept = {k: v for k, v in answered.headers.items() if k.lower() not in skipped}
        answer = Answer(answered.status_code, kept, answered.content, arm.home, arm.thief)
        if arm.spoils(request) and answer.status < 300:
            arm.spoiled += 1
            answer = MANNERS[arm.manner](answer)
        return Response(answer.body, answer.status, answer.headers)

    async def steal(request: Request) -> Response:
        arm.stolen.append(
            f"{request.method} {request.url.path} {request.headers.get('authorization')}"
        )
        return Response(
            json.dumps({"status": "Succeeded", "value": []}), media_type="application/json"
        )

    def application(endpoint: Any) -> Starlette:
        routes = [Route("/{path:path}", endpoint, methods=METHODS)]
        return Starlette(routes=routes, lifespan=lifespan if endpoint is hand_on else None)

    with serving(application(steal)) as thief, serving(application(hand_on)) as home:
        arm.thief, arm.home = (str(one.base_url).rstrip("/") for one in (thief, home))
        yield arm
