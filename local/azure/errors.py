"""The refusals of Azure Resource Manager, worded as live ARM worded them in recordings."""

from __future__ import annotations

import math
from typing import Any


class ArmError(Exception):
    """An answer that is a refusal.

    Attributes:
        status: the HTTP status.
        body: the error document.
        headers: besides the usual ones.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: list[dict[str, str]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        error: dict[str, Any] = {"code": code, "message": message}
        if details is not None:
            error["details"] = details
        self.body = {"error": error}
        self.headers = headers or {}


def bad_request(code: str, message: str) -> ArmError:
    """The network provider refuses a body."""
    return ArmError(400, code, message, [])


def resource_not_found(type_name: str, name: str, group: str) -> ArmError:
    """The gateway knows no such top-level resource."""
    return ArmError(
        404,
        "ResourceNotFound",
        f"The Resource '{type_name}/{name}' under resource group '{group}' was not found."
        " For more details please go to https://aka.ms/ARMResourceNotFoundFix",
        headers={"x-ms-failure-cause": "gateway"},
    )


def child_not_found(resource_id: str) -> ArmError:
    """The provider knows the parent, but not the child."""
    return ArmError(404, "NotFound", f"Resource {resource_id} not found.", [])


def group_not_found(group: str) -> ArmError:
    """The resource group was deleted."""
    return ArmError(
        404,
        "ResourceGroupNotFound",
        f"Resource group '{group}' could not be found.",
        headers={"x-ms-failure-cause": "gateway"},
    )


def etag_mismatch(given: str, current: str, resource_id: str) -> ArmError:
    """`If-Match` names another state. Seen on sibling network resources; for NSGs an assumption."""
    detail = {
        "code": "PreconditionFailedEtagMismatch",
        "message": f"Etag provided in if-match header {given} does not match etag {current} of"
        f" resource {resource_id} in NRP data store.",
    }
    return ArmError(412, "PreconditionFailed", "Precondition failed.", [detail])


def already_exists(resource_id: str) -> ArmError:
    """`If-None-Match: *` on what exists. An assumption: not recorded for network resources."""
    detail = {
        "code": "PreconditionFailedResourceExists",
        "message": f"Resource {resource_id} exists already.",
    }
    return ArmError(412, "PreconditionFailed", "Precondition failed.", [detail])


def retryable(operation: str, resource_id: str, retry_after: float | None) -> ArmError:
    """A child's write meets its parent in the middle of another operation."""
    seconds = 12 if retry_after is None else round(retry_after)
    detail = {
        "code": "RetryableErrorDueToAnotherOperation",
        "message": f"Operation {operation} is updating resource {resource_id}."
        f" The call can be retried in {seconds} seconds.",
    }
    headers = {} if retry_after is None else {"Retry-After": seconds_text(retry_after)}
    return ArmError(429, "RetryableError", "A retryable error occurred.", [detail], headers)


def in_progress(operation_uri: str) -> ArmError:
    """A resource that is being deleted takes no other write."""
    return ArmError(
        409,
        "AnotherOperationInProgress",
        "Another operation on this or dependent resource is in progress. To retrieve status of the"
        f" operation use uri: {operation_uri}.",
        [],
    )


def too_many_requests(retry_after: float) -> ArmError:
    """A token bucket is empty."""
    return ArmError(
        429,
        "TooManyRequests",
        "Too many requests. Please try again after sometime.",
        headers={"Retry-After": seconds_text(retry_after)},
    )


def seconds_text(seconds: float) -> str:
    """Spell a number of seconds for a header: whole ones, as ARM's clients demand."""
    return str(math.ceil(seconds))
