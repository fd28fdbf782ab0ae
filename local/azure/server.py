"""The embedded Azure as an HTTP server: ARM, sign-in, and `/_box`.

aiohttp serves it, because it lets a fault cut a connection in the middle.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from aiohttp import web
from pydantic import ValidationError

from local.azure.access import Access, Assignment
from local.azure.arm import Answer
from local.azure.controls import Buckets, Call, Fault, read_fault
from local.azure.errors import ArmError, too_many_requests
from local.azure.estate import Estate
from local.azure.events import EventGrid
from local.azure.filters import Subscription
from local.azure.identity import TENANT, Tokens, audience_of, metadata, principal_of
from local.azure.operations import Caller
from local.azure.routes import Asked, Routes
from local.azure.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FRESH = "x-ms-box-fresh"
PRINCIPAL = "x-ms-box-principal"
POLL = re.compile(
    r"/locations/[^/]+/(?:operations|operationresults|ascoperations)/[^/]+$", re.IGNORECASE
)
WITH_BODY = ("PUT", "PATCH", "POST")


class Box:
    """The embedded Azure.

    Attributes:
        estate: everything that exists in it.
        calls: every call under `/subscriptions`, in order of arrival.
        faults: what the next calls will meet.
        access: who may do what.
    """

    def __init__(self) -> None:
        self.estate = Estate()
        self.routes = Routes(self.estate)
        self.tokens = Tokens()
        self.events = EventGrid(self.estate)
        self.estate.on_change = self.events.raise_event
        self.reset()

    def reset(self) -> None:
        """Be as new."""
        self.estate.reset()
        self.events.reset()
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.buckets = Buckets()
        self.access = Access()

    def application(self) -> web.Application:
        """Return the web application."""
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/_box/{control:.*}", self._control)
        app.router.add_get("/metadata/endpoints", self._metadata)
        app.router.add_get("/metadata/identity/oauth2/token", self._token)
        app.router.add_get("/msi/token", self._token)
        app.router.add_get("/tenants", self._tenants)
        app.router.add_post("/topics/{name}/api/events", self._take)
        app.router.add_route("*", "/{path:.*}", self._answer)
        app.on_shutdown.append(self._close)
        return app

    async def _close(self, _: web.Application) -> None:
        await self.events.close()

    # -- the outcome topic ------------------------------------------------------------------------

    async def _take(self, request: web.Request) -> web.StreamResponse:
        """Take outcomes as an Event Grid custom topic does: CloudEvents, from whom it knows."""
        fault = self._next_fault("POST", request.path)
        if fault is not None and "cut" in fault.document:
            return cut(request)
        if fault is not None:
            answer = faulty(fault.document)
            return web.json_response(answer.body, status=answer.status, headers=answer.headers)
        if not self._may_publish(bearer(request)):
            return web.json_response({"error": {"code": "Unauthorized"}}, status=401)
        if not request.content_type.startswith("application/cloudevents"):
            return web.json_response({"error": {"code": "UnsupportedMediaType"}}, status=415)
        wrong = self.events.take(json.loads(await request.read()))
        if wrong is not None:
            return web.json_response(
                {"error": {"code": "BadRequest", "message": wrong}}, status=400
            )
        return web.Response()

    def _may_publish(self, token: str | None) -> bool:
        settings = self.estate.settings
        if not token or (settings.strictAuth and not self.tokens.is_ours(token)):
            return False
        return audience_of(token) in (None, settings.topicAudience)

    # -- signing in -------------------------------------------------------------------------------

    async def _metadata(self, request: web.Request) -> web.Response:
        return web.json_response(metadata(base_of(request)))

    async def _token(self, request: web.Request) -> web.Response:
        resource = request.query.get("resource", "")
        principal = request.query.get("principal_id") or request.query.get("client_id")
        issued = (
            self.tokens.issue(resource, principal) if principal else self.tokens.issue(resource)
        )
        return web.json_response(issued)

    async def _tenants(self, _: web.Request) -> web.Response:
        return web.json_response({"value": [{"id": f"/tenants/{TENANT}", "tenantId": TENANT}]})

    # -- ARM --------------------------------------------------------------------------------------

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one call: count it, let it fail where a fault says so, else do as it asks."""
        path = unquote(request.rel_url.raw_path)
        caller = self._caller(request)
        call = Call(
            n=len(self.calls) + 1,
            method=request.method,
            path=path,
            api_version=caller.api,
            if_match=request.headers.get("If-Match"),
            poll=is_poll(path),
            correlation_id=caller.correlation_id,
        )
        if path.lower().startswith("/subscriptions"):
            self.calls.append(call)
        if self.estate.settings.latencySeconds:
            await asyncio.sleep(self.estate.settings.latencySeconds)
        fault = self._next_fault(request.method, path)
        if fault is not None and fault.document.get("cut") == "before":
            return cut(request)
        if fault is not None and "cut" not in fault.document:
            answer = faulty(fault.document)
        else:
            answer = await self._answer_or_refuse(request, path, caller)
        if answer.operation is not None:
            self.estate.run(answer.operation)
        if fault is not None and fault.document.get("cut") == "after":
            return cut(request)
        call.status = answer.status
        return written(answer, caller)

    async def _answer_or_refuse(self, request: web.Request, path: str, caller: Caller) -> Answer:
        try:
            self._check_caller(request, path, caller)
            body = await read_body(request) if request.method in WITH_BODY else {}
            self.access.check(caller, request.method, path, body)
            asked = Asked(
                request.method,
                path,
                request.query,
                request.headers,
                body,
                caller,
                FRESH in request.headers,
            )
            return self.routes.answer(asked)
        except ArmError as error:
            return Answer(error.status, error.body, dict(error.headers))

    # -- who asks, and what stands in the way -----------------------------------------------------

    def _caller(self, request: web.Request) -> Caller:
        token = bearer(request)
        principal = principal_of(token) or request.headers.get(PRINCIPAL) or ""
        correlation = request.headers.get("x-ms-correlation-request-id", "") or str(uuid.uuid4())
        return Caller(
            principal, correlation, base_of(request), request.query.get("api-version", "")
        )

    def _check_caller(self, request: web.Request, path: str, caller: Caller) -> None:
        settings = self.estate.settings
        token = bearer(request)
        if settings.strictAuth and not self.tokens.is_ours(token):
            what = "is invalid" if token else "is missing"
            raise ArmError(
                401,
                "InvalidAuthenticationToken" if token else "AuthenticationFailed",
                f"Authentication failed. The 'Authorization' header {what}.",
                headers={"WWW-Authenticate": f'Bearer authorization_uri="{caller.base}/{TENANT}"'},
            )
        if not caller.api:
            raise ArmError(
                400,
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            )
        if settings.throttling:
            subscription = path.lower().partition("/subscriptions/")[2].partition("/")[0]
            write = request.method not in ("GET", "HEAD")
            seconds = self.buckets.take(subscription, caller.principal, write=write)
            if seconds is not None:
                raise too_many_requests(seconds)

    def _next_fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.left > 0 and fault.matches(method, path):
                fault.left -= 1
                return fault
        return None

    # -- the box's own controls -------------------------------------------------------------------

    async def _control(self, request: web.Request) -> web.Response:
        """Answer what stands under `/_box`."""
        name = request.match_info["control"].strip("/")
        control: Callable[[web.Request], Awaitable[Any]] | None = self.controls().get(
            (request.method, name)
        )
        if control is None:
            known = sorted({f"{method} /_box/{path}" for method, path in self.controls()})
            return web.json_response({"error": f"There is {', '.join(known)}."}, status=404)
        try:
            return web.json_response(await control(request))
        except ValidationError as error:
            wrong = [f"{dotted(one['loc'])}: {one['msg']}" for one in error.errors()]
            return web.json_response({"error": "; ".join(wrong)}, status=400)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)

    def controls(self) -> dict[tuple[str, str], Callable[[web.Request], Awaitable[Any]]]:
        """Return what can be asked of the box itself."""
        return {
            ("GET", "calls"): self._get_calls,
            ("DELETE", "calls"): self._forget_calls,
            ("GET", "settings"): self._get_settings,
            ("PATCH", "settings"): self._patch_settings,
            ("GET", "faults"): self._get_faults,
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): self._forget_faults,
            ("GET", "events"): self._get_events,
            ("DELETE", "events"): self._forget_events,
            ("GET", "outcomes"): self._get_outcomes,
            ("DELETE", "outcomes"): self._forget_outcomes,
            ("GET", "roleAssignments"): self._get_assignments,
            ("POST", "roleAssignments"): self._add_assignment,
            ("DELETE", "roleAssignments"): self._forget_assignments,
            ("GET", "webhooks"): self._get_webhooks,
            ("POST", "webhooks"): self._add_webhook,
            ("DELETE", "webhooks"): self._forget_webhooks,
            ("POST", "reset"): self._reset,
        }

    async def _get_calls(self, _: web.Request) -> Any:
        return {"value": [call.to_json() for call in self.calls]}

    async def _forget_calls(self, _: web.Request) -> Any:
        self.calls = []
        return {"value": []}

    async def _get_settings(self, _: web.Request) -> Any:
        return self.estate.settings.to_json()

    async def _patch_settings(self, request: web.Request) -> Any:
        self.estate.settings = self.estate.settings.changed(await read_control(request))
        return self.estate.settings.to_json()

    async def _get_faults(self, _: web.Request) -> Any:
        return {"value": [fault.to_json() for fault in self.faults if fault.left > 0]}

    async def _add_fault(self, request: web.Request) -> Any:
        fault = read_fault(await read_control(request))
        self.faults.append(fault)
        return fault.to_json()

    async def _forget_faults(self, _: web.Request) -> Any:
        self.faults = []
        return {"value": []}

    async def _get_events(self, _: web.Request) -> Any:
        return {"value": [raised.to_json() for raised in self.events.raised]}

    async def _forget_events(self, _: web.Request) -> Any:
        self.events.raised = []
        return {"value": []}

    async def _get_outcomes(self, _: web.Request) -> Any:
        return {"value": self.events.outcomes}

    async def _forget_outcomes(self, _: web.Request) -> Any:
        self.events.outcomes = []
        return {"value": []}

    async def _get_assignments(self, _: web.Request) -> Any:
        return {"value": [one.to_json() for one in self.access.assignments]}

    async def _add_assignment(self, request: web.Request) -> Any:
        self.access.assignments.append(Assignment.model_validate(await read_control(request)))
        return await self._get_assignments(request)

    async def _forget_assignments(self, request: web.Request) -> Any:
        self.access.assignments = []
        return await self._get_assignments(request)

    async def _get_webhooks(self, _: web.Request) -> Any:
        return {"value": [one.to_json() for one in self.events.subscriptions.values()]}

    async def _add_webhook(self, request: web.Request) -> Any:
        self.events.subscribe(Subscription.model_validate(await read_control(request)))
        return await self._get_webhooks(request)

    async def _forget_webhooks(self, request: web.Request) -> Any:
        self.events.subscriptions = {}
        return await self._get_webhooks(request)

    async def _reset(self, _: web.Request) -> Any:
        self.reset()
        return Settings().to_json()


def bearer(request: web.Request) -> str:
    """Return the token that a caller brought."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def base_of(request: web.Request) -> str:
    """Return scheme and host as the caller spelled them."""
    return f"{request.scheme}://{request.host}"


def is_poll(path: str) -> bool:
    """Whether a call asks how an operation is going."""
    return POLL.search(path) is not None


def cut(request: web.Request) -> web.StreamResponse:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def faulty(document: dict[str, Any]) -> Answer:
    """Return the answer that a fault asks for."""
    code = document.get("code", "InternalServerError")
    error = ArmError(document["status"], code, document.get("message", "A fault of the box."))
    headers = {"Retry-After": f"{document['retryAfter']:g}"} if "retryAfter" in document else {}
    return Answer(error.status, error.body, headers)


async def read_control(request: web.Request) -> dict[str, Any]:
    """Return the JSON object that a control is given; raises `ValueError`."""
    try:
        document = await request.json()
    except ValueError:
        document = None
    if isinstance(document, dict):
        return document
    raise ValueError("Give a JSON object.")


def dotted(place: tuple[int | str, ...]) -> str:
    """Spell where in a document something is wrong."""
    return ".".join(map(str, place)) or "body"


async def read_body(request: web.Request) -> dict[str, Any]:
    """Return the JSON object of a body; raises `ArmError`."""
    try:
        body = json.loads(await request.read() or b"{}")
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ArmError(
            400,
            "InvalidRequestContent",
            "The request content was invalid and could not be deserialized.",
        )
    return body


def written(answer: Answer, caller: Caller) -> web.Response:
    """Write an answer."""
    headers = {
        "Cache-Control": "no-cache",
        "x-ms-request-id": str(uuid.uuid4()),
        "x-ms-correlation-request-id": caller.correlation_id,
        **answer.headers,
    }
    if answer.body is None:
        return web.Response(status=answer.status, headers=headers)
    return web.json_response(answer.body, status=answer.status, headers=headers)
