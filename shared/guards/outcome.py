"""Outcomes as values: what a guard did or found, with a sentence for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shared.amlfs.summary import NAMED, listed


class OutcomeType(StrEnum):
    """What an outcome is about; behind `amlfs.guard.` it is the CloudEvent's type."""

    DRIFT_DETECTED = "driftDetected"
    RESTORED = "restored"
    BLOCKED = "blocked"
    FAILED = "failed"
    RESOLVED = "resolved"
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    REMINDER = "reminder"
    REGISTERED = "registered"
    CHANGED = "changed"
    DELETED = "deleted"


NEVER_LAST = frozenset(
    {OutcomeType.REGISTERED, OutcomeType.CHANGED, OutcomeType.DELETED, OutcomeType.REMINDER}
)
"""These say nothing about the network: they are no guard's `lastOutcome`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One outcome, before it is published.

    Attributes:
        kind: its type.
        data: the CloudEvent's data, without what every outcome has.
        id: of the event; None: a new one.
        at: its time, in seconds since the epoch; None: when it is decided.
    """

    kind: OutcomeType
    data: dict[str, Any] = field(default_factory=dict)
    id: str | None = None
    at: float | None = None

    @property
    def is_last(self) -> bool:
        """Whether it counts as the guard's last outcome."""
        return self.kind not in NEVER_LAST


def summarize_outcome(kind: OutcomeType, data: dict[str, Any]) -> str:
    """Return an outcome in one or two sentences."""
    names = list(dict.fromkeys(str(change["name"]) for change in data.get("changes", ())))
    changes = listed(names[:NAMED], len(names))
    verdict = f" The network is {data['verdictAfter']}." if data.get("verdictAfter") else ""
    reason = str(data.get("reason") or "")
    by = f" by {data['by']}" if data.get("by") else ""
    match kind:
        case OutcomeType.RESTORED:
            return f"Restored {changes}.{verdict}"
        case OutcomeType.DRIFT_DETECTED:
            return f"Drift found and not restored: {changes or findings(data)}.{verdict}"
        case OutcomeType.BLOCKED:
            return f"The guard may not restore everything: {findings(data)}.{verdict}"
        case OutcomeType.RESOLVED:
            return "The network is right again; this guard did not write."
        case OutcomeType.REGISTERED | OutcomeType.CHANGED | OutcomeType.DELETED:
            less = "; ".join(data.get("weakened", ()))
            return f"The guard was {kind.value}{by}{': ' * bool(less)}{less}."
        case _:
            return reason


def findings(data: dict[str, Any]) -> str:
    """Return what remains, in words."""
    remaining = [finding(one) for one in data.get("remaining", ())]
    return listed(remaining[:NAMED], len(remaining)) or "see findings"


def finding(one: dict[str, Any]) -> str:
    """Return one finding in words."""
    rule = one.get("rule")
    if rule is None:
        return str(one.get("message") or one["kind"]).rstrip(".")
    blocked = one.get("requirement")
    what = f"{blocked} is blocked by" if blocked else "more passes through"
    return f"{what} {rule['name']} ({rule['priority']})"
