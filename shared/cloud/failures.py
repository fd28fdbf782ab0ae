"""What Azure's SDKs raise, in the service's own words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from shared.cloud.transport import Distrusted
from shared.errors import (
    ArmAnswer,
    ArmRefused,
    Busy,
    Conflict,
    NotFound,
    OutcomeUnknown,
    PreconditionFailed,
    Transient,
    UnexpectedAnswer,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from azure.core.exceptions import AzureError

    from shared.errors import GuardError

BUSY = {"AnotherOperationInProgress", "RetryableError", "ReferencedResourceNotProvisioned"}
"""ARM's words for another operation on the same resource; recorded as 409 and 429."""

LOCKED = "ScopeLocked"
"""A management lock forbids the write. Source: "Lock your resources", Microsoft Learn."""

CANCELED = "Canceled"
"""How the poll of a write ends that a later write has superseded (recorded)."""


def translate(error: AzureError, what: str) -> GuardError:
    """Return the service's own error for one of the SDK's; `what` names what was tried."""
    if isinstance(error, HttpResponseError) and error.response is not None:
        return refusal(error, what)
    if isinstance(error, Distrusted):
        return UnexpectedAnswer(f"{what}: {error}", ArmAnswer(None, "UnexpectedAnswer", None))
    if isinstance(error, ClientAuthenticationError):
        return ArmRefused(
            f"{what}: no sign-in works ({first_line(error)}). In Azure, give the Function app a"
            " managed identity; elsewhere sign in with 'az login'.",
            ArmAnswer(None, "CredentialUnavailable", None),
        )
    if isinstance(error, ServiceResponseError):
        return OutcomeUnknown(
            f"{what}: the connection to Azure broke before an answer came.",
            arm=ArmAnswer(None, None, None),
        )
    if isinstance(error, ServiceRequestError):
        return Transient(
            f"{what}: Azure cannot be reached ({first_line(error)}).",
            arm=ArmAnswer(None, None, None),
        )
    return ArmRefused(f"{what}: {first_line(error)}", ArmAnswer(None, None, None))


def refusal(error: HttpResponseError, what: str) -> GuardError:
    """Translate an answer that is a refusal."""
    status = error.status_code or 0
    code, message = code_and_message(error)
    headers: Mapping[str, str] = getattr(error.response, "headers", {})
    arm = ArmAnswer(status, code, headers.get("x-ms-request-id"))
    text = f"{what}: {message} (ARM: {status} {code})"
    delay = retry_after(headers.get("Retry-After"))
    if code == CANCELED or code in BUSY or (status == 409 and delay):
        return Busy(text, delay, arm, is_throttled=status == 429)
    if status in (408, 429, 502, 503, 504):
        return Transient(text, delay, arm, is_throttled=status == 429)
    if status == 409:
        return Conflict("locked" if code == LOCKED else "arm-conflict", text, arm=arm)
    if 200 <= status < 300:
        return UnexpectedAnswer(f"{what}: {status} is no answer that ARM gives here.", arm)
    by_status = {404: NotFound, 412: PreconditionFailed}
    return by_status.get(status, ArmRefused)(text, arm)


def code_and_message(error: HttpResponseError) -> tuple[str, str]:
    """Return ARM's error code and message."""
    found: Any = error.error
    if found is not None and getattr(found, "code", None):
        return str(found.code), str(found.message or "").strip()
    try:
        body = json.loads(error.response.text()) if error.response is not None else {}
    except (ValueError, AttributeError):
        body = {}
    inner = body.get("error", body) if isinstance(body, dict) else {}
    if isinstance(inner, dict) and inner.get("code"):
        return str(inner["code"]), str(inner.get("message", ""))
    return "Unknown", first_line(error)


def retry_after(text: str | None) -> float | None:
    """Read the seconds of a `Retry-After` header; None where it says nothing."""
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if seconds > 0 else None


def first_line(error: Exception) -> str:
    """Return the first line of what an SDK says, which may go on for pages."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
