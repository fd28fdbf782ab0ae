"""The Functions host's endpoint for Event Grid: `/runtime/webhooks/EventGrid?functionName=…`.

It shakes hands in both schemas, splits arrays into events, and calls the function once for each. A
function that fails makes the answer 500, so that Event Grid delivers again.

Source: "Azure Event Grid trigger for Azure Functions" and "CloudEvents v1.0 schema with Azure Event
Grid", Microsoft Learn.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

PATH = "/runtime/webhooks/EventGrid"
VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"


async def receive(request: Request, call: Callable[[dict[str, Any]], Awaitable[None]]) -> Response:
    """Answer one delivery; `call` is given each event."""
    if request.method == "OPTIONS":
        origin = request.headers.get("WebHook-Request-Origin", "*")
        return Response(headers={"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"})
    try:
        body = json.loads(await request.body())
    except ValueError:
        return Response(status_code=HTTPStatus.BAD_REQUEST)
    events = body if isinstance(body, list) else [body]
    if not all(isinstance(event, dict) for event in events):
        return Response(status_code=HTTPStatus.BAD_REQUEST)
    for event in events:
        kind = request.headers.get("aeg-event-type", "").lower()
        if kind == "subscriptionvalidation" or event.get("eventType") == VALIDATION:
            data = event.get("data")
            code = data.get("validationCode") if isinstance(data, dict) else None
            return JSONResponse({"validationResponse": code})
    results = await asyncio.gather(*map(call, events), return_exceptions=True)
    failed = any(isinstance(result, BaseException) for result in results)
    return Response(status_code=HTTPStatus.INTERNAL_SERVER_ERROR if failed else HTTPStatus.ACCEPTED)
