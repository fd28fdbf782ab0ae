"""Long applies: accepted with 202, carried out by a queue-triggered worker, asked about with GET.

This is the pattern that Logic Apps follow by themselves: 202 with `Location` and `Retry-After`, then GET
until the answer is another one. The record of an operation is in the store, so that it survives the
process; the queue's message carries its id alone.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from shared.cloud.store import open_store
from shared.context import correlation_id
from shared.errors import NotFound, PreconditionFailed
from shared.guards.housekeeping import IDEMPOTENCY, OPERATION
from shared.http.answers import answered, json_response
from shared.http.problems import Problem, written
from shared.settings import read_settings

if TYPE_CHECKING:
    import azure.functions as func

    from shared.cloud.store import Record, Store


LEASE_SECONDS = 20
"""A worker that has not been heard of for so long is taken to be gone."""

POLL_SECONDS = 2
"""Said to callers as `Retry-After`."""

QUEUED, RUNNING, DONE, FAILED = "queued", "running", "done", "failed"


def is_asynchronous(request: func.HttpRequest) -> bool:
    """Whether the caller prefers to be answered before the work is done (RFC 7240)."""
    preferences = re.split("[,;]", request.headers.get("prefer", "").lower())
    return "respond-async" in (preference.partition("=")[0].strip() for preference in preferences)


async def accept_operation(
    request: func.HttpRequest, body: object, queue: func.Out[str], by: str
) -> func.HttpResponse:
    """Note an operation, have it carried out, and say where to ask about it.

    The same `Idempotency-Key` names the same operation; with another body it is refused.
    """
    store = open_store(read_settings())
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    stated = request.headers.get("idempotency-key")
    named = hashlib.sha256(stated.encode()).hexdigest() if stated else None
    key = await operation_id(store, named) if named else str(uuid.uuid4())
    operation = {
        "idempotency": named,
        "status": QUEUED,
        "request": body,
        "digest": digest,
        "correlationId": correlation_id(),
        "heard": time.time(),
        "by": by,
    }
    try:
        record = await store.create(OPERATION, key, operation)
    except PreconditionFailed:
        record = await read_operation(store, key)
        if record.body["digest"] != digest:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "Idempotency key reused",
                "This Idempotency-Key came with another body before: use a new one.",
            ) from None
    if record.body["status"] == QUEUED:
        queue.set(key)
    return pending(request, record, HTTPStatus.ACCEPTED)


async def operation_id(store: Store, named: str) -> str:
    """Return the id of the operation that an `Idempotency-Key` names, a new one for a new key.

    It does not follow from the key: who guesses a key must not find an operation by it.
    """
    fresh = str(uuid.uuid4())
    try:
        await store.create(IDEMPOTENCY, named, {"operation": fresh})
    except PreconditionFailed:
        record = await store.get(IDEMPOTENCY, named)
        known = record.body.get("operation") if record is not None else None
        return known if isinstance(known, str) else fresh
    return fresh


@answered()
async def report_operation(request: func.HttpRequest, *, queue: func.Out[str]) -> func.HttpResponse:
    """Answer `GET /api/operations/{id}`: 202 while it runs, then its answer or its problem."""
    store = open_store(read_settings())
    record = await read_operation(store, request.route_params["id"])
    status = record.body["status"]
    if status == DONE:
        return json_response(record.body["answer"])
    if status == FAILED:
        return written(record.body["problem"], record.body.get("retryAfter"))
    if time.time() - record.body["heard"] > LEASE_SECONDS:  # its message or its worker was lost
        queue.set(record.key)
    return pending(request, record, HTTPStatus.ACCEPTED)


async def read_operation(store: Store, key: str) -> Record:
    """Return an operation; raises `NotFound`."""
    record = await store.get(OPERATION, key)
    if record is None:
        raise NotFound(f"There is no operation {key}.")
    return record


async def update(store: Store, record: Record, **fields: Any) -> Record:
    """Write some fields of an operation, and that it was heard of."""
    body = {**record.body, **fields, "heard": time.time()}
    return await store.replace(OPERATION, record.key, body, record.version)


def pending(request: func.HttpRequest, record: Record, status: HTTPStatus) -> func.HttpResponse:
    """Return that an operation is not done, and where to ask again."""
    root = request.url.partition("/api/")[0]
    headers = {
        "Location": f"{root}/api/operations/{record.key}",
        "Retry-After": str(POLL_SECONDS),
    }
    shown = {"id": record.key, "status": record.body["status"]}
    return json_response(shown, status.value, headers)
