"""`answered` runs an operation in its time, and turns whatever goes wrong into a problem document."""

from __future__ import annotations

import functools
import json
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import azure.functions as func

from shared.context import invocation
from shared.errors import GuardError
from shared.http.problems import Problem, internal_error, problem_of
from shared.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Operation = Callable[..., Awaitable[func.HttpResponse]]

log = logging.getLogger(__name__)

CORRELATION = "x-ms-correlation-request-id"


def answered(operation: Operation) -> Operation:
    """Have every failure of an operation answered with a problem document, and in time."""

    @functools.wraps(operation)
    async def answer(request: func.HttpRequest, **bindings: Any) -> func.HttpResponse:
        try:
            seconds = read_settings().request_seconds
            async with invocation(seconds, request.headers.get(CORRELATION)):
                return await operation(request, **bindings)
        except Problem as problem:
            failure = problem
        except GuardError as error:
            failure = problem_of(error)
        except Exception:
            log.exception("%s failed in an unforeseen way", operation.__name__)
            failure = internal_error()
        return failure.to_response(urlsplit(request.url).path)

    return answer


def json_response(
    body: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> func.HttpResponse:
    """Return a JSON answer; one without a body where there is nothing to say."""
    return func.HttpResponse(
        json.dumps(body, indent=2, ensure_ascii=False) if body is not None else b"",
        status_code=status,
        headers=dict(headers or {}),
        mimetype="application/json",
    )
