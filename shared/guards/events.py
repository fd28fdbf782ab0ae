"""Reading events: of an event the resource id counts, and nothing else is trusted.

Whatever the event says, the state is read again. What an event cannot say (it is late, lost, or comes
before a read shows the change) the second look and the sweep find out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from shared.guards.observation import Cause

RESOURCE = re.compile(
    r"(/subscriptions/PART/resourcegroups/PART/providers/(?:microsoft\.network/"
    r"(?:networksecuritygroups|virtualnetworks)|microsoft\.storagecache/amlfilesystems)/PART)"
    r"(?:/(?:securityrules|subnets|virtualnetworkpeerings)/PART)?".replace(
        "PART", r"[!-.0-~]{1,128}"
    ),
    re.IGNORECASE | re.ASCII,
)
"""What guards can watch: an NSG, a virtual network or a file system, named by itself or a child."""

LONGEST = 256
"""Characters of what an event says of itself and of who made the change."""

TYPES = re.compile(r"Microsoft\.Resources\.Resource(?:Write|Delete|Action)Success", re.IGNORECASE)

PRINCIPALS = (
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn",
    "name",
    "http://schemas.microsoft.com/identity/claims/objectidentifier",
    "oid",
    "appid",
)
"""Claims that name who made a change, the clearest first."""


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """What an event says.

    Attributes:
        resource: the resource that guards may watch, as the event spells it.
        cause: for outcomes.
        correlation_id: of the change.
    """

    resource: str
    cause: Cause
    correlation_id: str | None = None


def read_event(event: Any) -> ResourceChange | None:
    """Read an event of either schema, as `azure-functions` hands it over; None for one of no interest.

    Raises:
        ValueError: it is malformed: no type or subject.
    """
    kind = getattr(event, "event_type", None) or getattr(event, "type", None)
    data = data_of(event)
    subject = event.subject or data.get("resourceUri")
    if not isinstance(kind, str) or not isinstance(subject, str):
        raise ValueError(f"an event without type or subject: {event.id}")  # noqa: TRY004
    found = RESOURCE.fullmatch(subject.rstrip("/"))
    if found is None or not TYPES.fullmatch(kind):
        return None
    correlation = data.get("correlationId")
    return ResourceChange(
        found[1],
        Cause("event", subject.rstrip("/"), str(event.id)[:LONGEST], principal_of(data)),
        correlation if isinstance(correlation, str) else None,
    )


def data_of(event: Any) -> dict[str, Any]:
    """Return an event's data; both schemas have it as a JSON object."""
    data = event.get_json() if hasattr(event, "get_json") else event.data
    return data if isinstance(data, dict) else {}


def principal_of(data: dict[str, Any]) -> str | None:
    """Return who made the change, by the claims that came with it; they may be empty."""
    claims = data.get("claims")
    if not isinstance(claims, dict):
        return None
    return next((str(claims[name])[:LONGEST] for name in PRINCIPALS if claims.get(name)), None)
