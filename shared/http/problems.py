"""Problem details (RFC 9457): how every failure reads over HTTP."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

import azure.functions as func

from shared.errors import GuardError, InvalidInput, NotBuilt, TooIntricate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.errors import FieldError

TYPE_PREFIX = "urn:amlfs-network-guard:problem:"
MEDIA_TYPE = "application/problem+json"
ERRORS_SHOWN = 100


class Problem(Exception):
    """A failure as the caller will read it.

    Attributes:
        status: the HTTP status.
        kind: ends the problem's `type`; stable, for programs.
        title: what kind of problem this is; the same for all of its kind.
        detail: what happened this time and what to do.
        errors: what is wrong with the input, place by place.
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

    def to_response(self, instance: str) -> func.HttpResponse:
        """Write the problem document for the request with this path."""
        document: dict[str, object] = {
            "type": TYPE_PREFIX + self.kind,
            "title": self.title,
            "status": self.status.value,
            "detail": self.detail,
            "instance": instance,
        }
        if self.errors:
            document["errors"] = [
                {"pointer": error.pointer, "message": error.message}
                for error in self.errors[:ERRORS_SHOWN]
            ]
        return func.HttpResponse(
            json.dumps(document, indent=2, ensure_ascii=False),
            status_code=self.status.value,
            mimetype=MEDIA_TYPE,
        )


def problem_of(error: GuardError) -> Problem:
    """Translate a failure that the service foresees."""
    if isinstance(error, InvalidInput):
        return invalid_input(error.errors)
    if isinstance(error, TooIntricate):
        return Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "too-intricate", "Too intricate", str(error)
        )
    if isinstance(error, NotBuilt):
        return Problem(HTTPStatus.NOT_IMPLEMENTED, "not-built", "Not built yet", str(error))
    raise error


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
