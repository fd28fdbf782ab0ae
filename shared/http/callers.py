"""Who calls: for the log line of every write, and for the outcomes that a request causes.

Source: "Work with user identities in Azure App Service authentication", Microsoft Learn: with sign-in
on, the platform sets the `X-MS-CLIENT-PRINCIPAL-…` headers itself; without it, anybody can send them.
The platform appends the caller's address to `X-Forwarded-For`; what stands before it is the caller's
own claim.
"""

from __future__ import annotations

import ipaddress
import logging
from typing import TYPE_CHECKING

from shared.context import correlation_id
from shared.keys import is_signed_in
from shared.log_events import log_event

if TYPE_CHECKING:
    from collections.abc import Iterable

    import azure.functions as func

log = logging.getLogger("amlfs.writes")

UNKNOWN = "unknown"


def caller_of(request: func.HttpRequest) -> str:
    """Return the signed-in principal where sign-in is on, else the caller's address."""
    headers = request.headers
    if is_signed_in():
        for name in ("x-ms-client-principal-name", "x-ms-client-principal-id"):
            if headers.get(name):
                return str(headers[name])
    forwarded = headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    return address_in(forwarded) or UNKNOWN


def address_in(text: str) -> str | None:
    """Return the IP address in a text that may have a port behind it, or None."""
    for candidate in (text, text.rpartition(":")[0]):
        try:
            return str(ipaddress.ip_address(candidate.strip("[]")))
        except ValueError:
            continue
    return None


def log_write(by: str, what: str, nsg_id: str | None, changes: Iterable[str] = ()) -> None:
    """Log a write over HTTP in one line."""
    log_event(
        log,
        "write",
        caller=by,
        write=what,
        networkSecurityGroupId=nsg_id,
        changes=", ".join(changes),
        correlationId=correlation_id(),
    )
