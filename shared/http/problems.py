"""Problem details (RFC 9457): how every failure reads over HTTP."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import azure.functions as func

from shared.errors import (
    ArmRefused,
    Conflict,
    GuardError,
    InternalFailure,
    InvalidInput,
    Misconfigured,
    NotFound,
    OutsideAllowedScopes,
    PreconditionFailed,
    TooComplex,
    Transient,
    Withdrawn,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.errors import ArmAnswer, FieldError

TYPE_PREFIX = "urn:amlfs-network-guard:problem:"
MEDIA_TYPE = "application/problem+json"
ERRORS_SHOWN = 100
RETRY_SECONDS = 30
"""Said to callers where ARM does not say when to come back."""

KINDS: dict[type[GuardError], tuple[HTTPStatus, str, str]] = {
    Withdrawn: (HTTPStatus.CONFLICT, "withdrawn", "No longer permitted"),
    InternalFailure: (HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error", "Internal error"),
    TooComplex: (HTTPStatus.UNPROCESSABLE_ENTITY, "too-intricate", "Too intricate"),
    Misconfigured: (HTTPStatus.INTERNAL_SERVER_ERROR, "misconfigured", "Misconfigured"),
    OutsideAllowedScopes: (
        HTTPStatus.FORBIDDEN,
        "outside-allowed-scopes",
        "Outside the allowed scopes",
    ),
    NotFound: (HTTPStatus.NOT_FOUND, "not-found", "Not found"),
    PreconditionFailed: (HTTPStatus.PRECONDITION_FAILED, "changed-meanwhile", "Changed meanwhile"),
    ArmRefused: (HTTPStatus.BAD_GATEWAY, "arm-refused", "Azure refused"),
}


class Problem(Exception):
    """A failure as the caller will read it.

    Attributes:
        status: the HTTP status.
        kind: ends the problem's `type`; stable, for programs.
        title: what kind of problem this is; the same for all of its kind.
        detail: what happened this time and what to do.
        errors: what is wrong with the input, place by place.
        facts: further members of the document.
        retry_after: seconds after which to try again.
    """

    def __init__(
        self,
        status: HTTPStatus,
        kind: str,
        title: str,
        detail: str,
        errors: Sequence[FieldError] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.errors = errors
        self.facts: Mapping[str, Any] = {}
        self.retry_after: int | None = None

    def to_json(self, instance: str) -> dict[str, Any]:
        """Return the problem document for the request with this path."""
        document: dict[str, Any] = {
            "type": TYPE_PREFIX + self.kind,
            "title": self.title,
            "status": self.status.value,
            "detail": self.detail,
            "instance": instance,
            **self.facts,
        }
        if self.errors:
            document["errors"] = [
                {"pointer": error.pointer, "message": error.message}
                for error in self.errors[:ERRORS_SHOWN]
            ]
        return document

    def to_response(self, instance: str) -> func.HttpResponse:
        """Write the problem document."""
        return written(self.to_json(instance), self.retry_after)


def written(document: Mapping[str, Any], retry_after: int | None) -> func.HttpResponse:
    """Write a problem document."""
    return func.HttpResponse(
        json.dumps(document, indent=2, ensure_ascii=False),
        status_code=document["status"],
        headers={"Retry-After": str(retry_after)} if retry_after is not None else {},
        mimetype=MEDIA_TYPE,
    )


def problem_of(error: GuardError) -> Problem:
    """Translate a failure that the service foresees."""
    if isinstance(error, InvalidInput):
        return invalid_input(error.errors)
    if isinstance(error, Transient):
        problem = try_again(error)
    elif isinstance(error, Conflict):
        problem = Problem(HTTPStatus.CONFLICT, error.kind, "Conflict", str(error))
        problem.facts = error.facts
    else:
        kind = next((known for known in KINDS if isinstance(error, known)), None)
        if kind is None:
            raise error
        problem = Problem(*KINDS[kind], str(error))
    if error.arm is not None:
        problem.facts = {**problem.facts, "arm": arm_json(error.arm)}
    return problem


def try_again(error: Transient) -> Problem:
    """Return the problem of what goes away by itself."""
    status, kind, title = HTTPStatus.SERVICE_UNAVAILABLE, "try-again", "Try again later"
    if error.is_throttled:
        status, kind, title = HTTPStatus.TOO_MANY_REQUESTS, "throttled", "Too many requests"
    problem = Problem(status, kind, title, str(error))
    problem.retry_after = RETRY_SECONDS if error.delay is None else max(1, math.ceil(error.delay))
    return problem


def arm_json(arm: ArmAnswer) -> dict[str, Any]:
    """Spell what ARM answered as the contract does."""
    answer = asdict(arm)
    return {"status": answer["status"], "code": answer["code"], "requestId": answer["request_id"]}


def invalid_input(errors: Sequence[FieldError]) -> Problem:
    """Return the problem of a document that cannot be used."""
    number = "One thing is" if len(errors) == 1 else f"{len(errors)} things are"
    shown = f"; the first {ERRORS_SHOWN} are listed" if len(errors) > ERRORS_SHOWN else ""
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid-input",
        "Invalid input",
        f"{number} wrong with the request{shown}. Each error points at its place and says what"
        " to do.",
        errors,
    )


def internal_error() -> Problem:
    """Return the problem of a failure that nobody foresaw."""
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal-error",
        "Internal error",
        "The service failed in a way that it did not foresee. Its log says how.",
    )
