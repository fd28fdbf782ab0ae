"""How a guard reads over HTTP, and the filters of the list."""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from shared.cloud.resources import parse_id, same_id
from shared.guards.guard import Guard, Mode, UnreadableGuard, iso
from shared.http.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.guards.repository import AnyGuard

WORDS = {
    "verdict": ("compliant", "noncompliant", "undecided"),
    "mode": tuple(mode.value for mode in Mode),
    "suspended": ("true", "false"),
    "circuit": ("open", "closed"),
}
"""What the filters that have a fixed set of values can be."""


def guard_json(guard: AnyGuard, now: float | None = None) -> dict[str, Any]:
    """Return a guard as the contract has it; one that cannot be read says why."""
    if isinstance(guard, UnreadableGuard):
        return {"name": guard.name, "unreadable": guard.reason}
    now = time.time() if now is None else now
    statement, status = guard.statement, guard.status
    is_suspended = guard.is_suspended(now)
    return {
        "name": guard.name,
        "intent": statement.to_json()["intent"],
        "mode": statement.mode.value,
        "foreignRules": statement.foreign_rules.value,
        "reassociate": statement.reassociate,
        "allowShared": statement.allow_shared,
        "suspended": is_suspended,
        "declared": guard.declared,
        **({"declarationError": guard.declaration_error} if guard.declaration_error else {}),
        "catalogue": guard.catalogue,
        "suspension": suspension_json(guard) if is_suspended else None,
        "conflict": {"guard": guard.conflict.guard, "resource": guard.conflict.resource}
        if guard.conflict
        else None,
        "summary": guard.findings.summary,
        "findings": {
            "changes": list(guard.findings.changes),
            "remaining": list(guard.findings.remaining),
            "notices": list(guard.findings.notices),
        },
        "status": {
            "verdict": shown_verdict(guard),
            "circuit": "open" if guard.circuit.is_open else "closed",
            "since": status.since,
            "lastOutcome": status.last_outcome,
            "lastChecked": status.last_checked,
            "reason": reason_of(guard, is_suspended=is_suspended),
        },
    }


def shown_verdict(guard: Guard) -> str | None:
    """Return the verdict; of a guard in conflict with another, nobody looked for it yet."""
    return guard.status.verdict or ("undecided" if guard.conflict else None)


def suspension_json(guard: Guard) -> dict[str, Any] | None:
    """Return why and until when a guard is suspended."""
    suspension = guard.suspension
    if suspension is None:
        return None
    until = iso(suspension.until) if suspension.until is not None else None
    return {"reason": suspension.reason, "until": until, "by": suspension.by}


def reason_of(guard: Guard, *, is_suspended: bool) -> str | None:
    """Return why a guard is not simply right, in a sentence; None where it is."""
    if guard.conflict is not None:
        return f"The guard {guard.conflict.guard} has {guard.conflict.resource} already."
    if guard.failure is not None:
        return guard.failure.reason
    if guard.circuit.is_open:
        return "The circuit is open: somebody else keeps undoing what the guard restores."
    if is_suspended:
        return "The guard is suspended: it restores nothing."
    if guard.status.verdict in (None, "compliant"):
        return None
    return guard.findings.summary or None


@dataclass(frozen=True, slots=True)
class GuardFilter:
    """Which guards a caller wants to see; an empty field takes all."""

    verdict: str = ""
    mode: str = ""
    suspended: str = ""
    circuit: str = ""
    nsg_id: str = ""
    subscription: str = ""

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> GuardFilter:
        """Read the filters; raises `Problem` 400 for a word that none of them knows."""
        words = {name: query.get(name, "") for name in WORDS}
        for name, word in words.items():
            if word and word not in WORDS[name]:
                raise Problem(
                    HTTPStatus.BAD_REQUEST,
                    "wrong-query",
                    "Wrong query",
                    f"?{name}= is {' or '.join(WORDS[name])}, and not {word!r}.",
                )
        return cls(
            **words,
            nsg_id=query.get("networkSecurityGroupId", ""),
            subscription=query.get("subscriptionId", ""),
        )

    def passes(self, guard: AnyGuard, now: float) -> bool:
        """Whether a guard is wanted; one that cannot be read is where nothing is asked of its state."""
        is_of_nsg = not self.nsg_id or same_id(self.nsg_id, guard.nsg_id)
        if not is_of_nsg or not self._is_of_subscription(guard.nsg_id):
            return False
        asked = {self.verdict, self.mode, self.suspended, self.circuit} - {""}
        if isinstance(guard, UnreadableGuard):
            return not asked
        status = guard_json(guard, now)["status"]
        return (
            self.verdict in ("", status["verdict"])
            and self.mode in ("", guard.statement.mode.value)
            and self.suspended in ("", str(guard.is_suspended(now)).lower())
            and self.circuit in ("", status["circuit"])
        )

    def _is_of_subscription(self, nsg_id: str) -> bool:
        if not self.subscription:
            return True
        try:
            return same_id(self.subscription, parse_id(nsg_id).subscription)
        except IndexError:
            return False
