"""`answered` runs an operation in its time, and turns whatever goes wrong into a problem document."""

from __future__ import annotations

import functools
import json
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ParamSpec
from urllib.parse import urlsplit

import azure.functions as func

from shared.context import invocation, plain_correlation
from shared.errors import GuardError
from shared.http.problems import Problem, internal_error, problem_of
from shared.packets.budget import budget
from shared.pools import compute, of_requests
from shared.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    Operation = Callable[..., Awaitable[func.HttpResponse]]

log = logging.getLogger(__name__)

P = ParamSpec("P")

CORRELATION = "x-ms-correlation-request-id"

OF_THE_PLATFORM = ("code", "clientId")
"""Query parameters that the Functions host reads itself."""


def answered(*query: str) -> Callable[[Operation], Operation]:
    """Have every failure of an operation answered with a problem document, and in time.

    Args:
        query: the query parameters that the operation knows; any other one is refused.
    """

    def decorate(operation: Operation) -> Operation:
        @functools.wraps(operation)
        async def answer(request: func.HttpRequest, **bindings: Any) -> func.HttpResponse:
            correlation = plain_correlation(request.headers.get(CORRELATION))
            try:
                check_query(request, query)
                with of_requests(), budget():
                    async with invocation(read_settings().request_seconds, correlation):
                        response = await operation(request, **bindings)
            except Exception as error:  # noqa: BLE001 - answered, and logged where nobody foresaw it
                response = problem_for(error, operation).to_response(urlsplit(request.url).path)
            response.headers[CORRELATION] = correlation
            return response

        return answer

    return decorate


def problem_for(error: Exception, operation: Operation) -> Problem:
    """Return the problem of a failure; logs one that nobody foresaw."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, GuardError):
        return problem_of(error)
    log.error("%s failed in an unforeseen way", operation.__name__, exc_info=error)
    return internal_error()


def check_query(request: func.HttpRequest, known: Iterable[str]) -> None:
    """Raise `Problem` 400 for a query parameter that the operation does not know."""
    unknown = [
        name
        for name in request.params
        if name not in (*known, *OF_THE_PLATFORM) and not name.lower().startswith("x-ms-")
    ]
    if unknown:
        has = f"there is {', '.join(known)}" if known else "this call has none"
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "wrong-query",
            "Wrong query",
            f"There is no query parameter {unknown[0]!r}: {has}.",
        )


async def json_answer(
    spell: Callable[P, object], *args: P.args, **options: P.kwargs
) -> func.HttpResponse:
    """Return a JSON answer that is worked out, and written, off the event loop."""

    def spelled() -> bytes:
        return json.dumps(spell(*args, **options), indent=2, ensure_ascii=False).encode()

    return func.HttpResponse(await compute(spelled), mimetype="application/json")


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
