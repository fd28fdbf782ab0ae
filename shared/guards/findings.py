"""What a look at a guard's live state found, in the words of outcomes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.amlfs.verification import Verdict
from shared.cloud.resources import parent_id
from shared.planning.changes import packet_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shared.amlfs.statement import IntentStatement
    from shared.amlfs.verification import Verification
    from shared.applying.live import Live
    from shared.nsg.proofs import Violation
    from shared.planning.changes import Change
    from shared.planning.rows import Blocked

READ_ONLY = ("id", "etag", "type", "provisioningState")


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a guard is looked at.

    Attributes:
        kind: `event`, `settle`, `sweep`, `request` or `registration`.
        resource: the resource that an event speaks of.
        event_id: the event's id.
        principal: who made the change, by the event's claims; it is told, never trusted.
    """

    kind: str
    resource: str | None = None
    event_id: str | None = None
    principal: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Spell it for an outcome."""
        known = {
            "kind": self.kind,
            "resource": self.resource,
            "eventId": self.event_id,
            "principal": self.principal,
        }
        return {name: value for name, value in known.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look found and, perhaps, did.

    Attributes:
        verdict: on rules and association, as they are now.
        verdict_before: as they were found.
        changes: what was restored, or would be.
        applied: whether it was.
        remaining: what is wrong and stays so under the guard's policy, in words with packets.
        subnet_id: the file system's subnet, by its id.
        watched: ids of the resources whose changes concern the guard.
        is_refused: whether the guard's policy forbids every write.
    """

    verdict: str
    verdict_before: str
    changes: tuple[dict[str, Any], ...] = ()
    applied: bool = False
    remaining: tuple[dict[str, Any], ...] = ()
    subnet_id: str | None = None
    watched: tuple[str, ...] = ()
    is_refused: bool = False

    @property
    def digest(self) -> str:
        """The same for the same set of changes."""
        return digest_of([*self.changes])

    @property
    def remaining_digest(self) -> str:
        """The same for the same remaining trouble."""
        return digest_of([*self.remaining])


def digest_of(value: object) -> str:
    """Return a digest of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def change_json(change: Change) -> dict[str, Any]:
    """Spell a change without what differs each time."""
    return {
        "action": change.action.value,
        "name": change.name,
        "after": stable(change.after),
        "reason": change.reason,
    }


def stable(value: Any) -> Any:
    """Return a document without etags and states."""
    if isinstance(value, dict):
        return {k: stable(v) for k, v in value.items() if k not in READ_ONLY}
    return value


def remaining_of(
    after: Verification, blocked: Sequence[Blocked], problem: dict[str, Any] | None = None
) -> tuple[dict[str, Any], ...]:
    """Return what stays wrong: rows that cannot be placed, packets that still pass, a refusal."""
    found = [problem] if problem else []
    for one in blocked:
        found += [
            {"kind": "requirementBlocked", "requirement": one.row.name, **violation_json(by)}
            for by in one.by
        ]
    found += [{"kind": "excess", **violation_json(one)} for one in after.excess]
    return tuple(found)


def violation_json(violation: Violation) -> dict[str, Any]:
    """Spell a rule and a packet that it decides."""
    rule, witness = violation.decided_by, violation.witness
    return {
        "rule": {
            "name": rule.name,
            "priority": rule.priority,
            "direction": rule.direction.value,
        },
        "packet": packet_text(witness),
        "witness": {
            "protocol": witness.protocol.value,
            "source": witness.source,
            "sourcePort": witness.source_port,
            "destination": witness.destination,
            "destinationPort": witness.destination_port,
        },
    }


def verdict_of(verification: Verification, is_associated: bool | None) -> str:
    """Return the verdict on rules and association together."""
    if is_associated is False:
        return Verdict.NONCOMPLIANT.value
    return verification.verdict.value


def watched_by(statement: IntentStatement, live: Live | None = None) -> tuple[str, ...]:
    """Return the ids, without case, of what concerns an intent: NSG, networks, file system."""
    stated: Iterable[str | None] = (
        statement.network_security_group_id,
        statement.file_system_id,
        *(network_of(subnet.id) for subnet in statement.client_subnets or ()),
        network_of(statement.file_system_subnet.id if statement.file_system_subnet else None),
        network_of(live.subnet.id if live and live.subnet else None),
    )
    return tuple(sorted({one.lower() for one in stated if one}))


def network_of(subnet_id: str | None) -> str | None:
    """Return the virtual network of a subnet."""
    return parent_id(subnet_id) if subnet_id else None
