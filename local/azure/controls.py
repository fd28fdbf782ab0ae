"""Breaking and counting: calls, faults and throttling, as `/_box` sets and shows them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Control(BaseModel):
    """What a control of the box takes and shows, in ARM's spelling."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, strict=True
    )

    def to_json(self) -> dict[str, Any]:
        """Spell it."""
        return self.model_dump(by_alias=True)


READS, WRITES = (250.0, 25.0), (200.0, 10.0)
"""Size of a bucket and refill per second: per subscription, region and principal.

Source: "Understand how Azure Resource Manager throttles requests", Microsoft Learn.
"""

FAULT_FIELDS: dict[str, type | tuple[type, ...]] = {
    "method": str,
    "path": str,
    "times": int,
    "status": int,
    "code": str,
    "message": str,
    "retryAfter": (int, float),
    "cut": str,
}


@dataclass(slots=True)
class Call:
    """One call under `/subscriptions`; its status stays None where the connection was cut."""

    n: int
    method: str
    path: str
    api_version: str
    if_match: str | None
    poll: bool
    correlation_id: str
    status: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Spell the call as the contract does."""
        return {
            "n": self.n,
            "method": self.method,
            "path": self.path,
            "apiVersion": self.api_version,
            "ifMatch": self.if_match,
            "status": self.status,
            "poll": self.poll,
            "correlationId": self.correlation_id,
        }


@dataclass(slots=True)
class Fault:
    """An answer that the next calls get in place of their effect, or a cut connection."""

    document: dict[str, Any]
    left: int

    def matches(self, method: str, path: str) -> bool:
        """Whether a call is one of those that the fault is for."""
        wanted = str(self.document.get("method", "*"))
        glob = str(self.document.get("path", "*"))
        return fnmatchcase(method.lower(), wanted.lower()) and fnmatchcase(
            path.lower(), glob.lower()
        )

    def to_json(self) -> dict[str, Any]:
        """Spell the fault with what is left of it."""
        return self.document | {"times": self.left}


def read_fault(document: dict[str, Any]) -> Fault:
    """Read a fault; raises `ValueError`."""
    document = {name: value for name, value in document.items() if value is not None}
    for name, value in document.items():
        if name not in FAULT_FIELDS:
            raise ValueError(f"No field is called {name}; there is {', '.join(FAULT_FIELDS)}.")
        is_one = isinstance(value, FAULT_FIELDS[name]) and not isinstance(value, bool)
        if not is_one:
            raise ValueError(f"{name} cannot be {value!r}.")
    if document.get("cut") not in (None, "before", "after"):
        raise ValueError("cut is before or after.")
    if "cut" not in document and not 200 <= document.get("status", 0) <= 599:
        raise ValueError("Give a status from 200 to 599, or cut.")
    if document.get("times", 1) < 1:
        raise ValueError("times is a number from 1.")
    return Fault(document, document.get("times", 1))


@dataclass(slots=True)
class Buckets:
    """ARM's token buckets."""

    _levels: dict[tuple[str, str, bool], tuple[float, float]] = field(default_factory=dict)

    def take(self, subscription: str, principal: str, *, write: bool) -> float | None:
        """Take a token; returns the seconds until there is one, or None where there was."""
        size, refill = WRITES if write else READS
        now = time.monotonic()
        level, since = self._levels.get((subscription, principal, write), (size, now))
        level = min(size, level + (now - since) * refill)
        if level < 1:
            self._levels[subscription, principal, write] = level, now
            return max(1.0, (1 - level) / refill)
        self._levels[subscription, principal, write] = level - 1, now
        return None
