"""Changes: what a plan would do, one by one, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from shared.nsg.rules import Access

if TYPE_CHECKING:
    from shared.nsg.proofs import Violation
    from shared.nsg.witness import Witness
    from shared.planning.documents import Document, StandingRule


class Action(StrEnum):
    """What a change does; by the names of the contract."""

    CREATE = "create"
    UPDATE = "update"
    MOVE = "move"
    DELETE = "delete"
    CREATE_NSG = "createNetworkSecurityGroup"
    ASSOCIATE_SUBNET = "associateSubnet"


@dataclass(frozen=True, slots=True)
class Change:
    """One change.

    Attributes:
        action: what is done.
        name: of the rule, the NSG or the subnet.
        before: its document as it is; None where there is none.
        after: its document as it will be; None where there will be none.
        reason: why, in a sentence.
    """

    action: Action
    name: str
    before: Document | None
    after: Document | None
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Spell the change as the contract does."""
        return {
            "action": self.action.value,
            "name": self.name,
            "before": self.before,
            "after": self.after,
            "reason": self.reason,
        }


def deletion(standing: StandingRule, reason: str) -> Change:
    """Return the deletion of a rule."""
    return Change(Action.DELETE, standing.name, standing.document, None, reason)


def replacement(before: StandingRule | None, after: StandingRule, reason: str) -> Change:
    """Return the creation, the update or the mere move of a rule."""
    if before is None:
        return Change(Action.CREATE, after.name, None, after.document, reason)
    old, new = before.rule, after.rule
    same = (old.direction, old.access, old.flow) == (new.direction, new.access, new.flow)
    action = Action.MOVE if same else Action.UPDATE
    return Change(action, after.name, before.document, after.document, reason)


def shown(violation: Violation) -> str:
    """Say what a rule does to a packet, in words."""
    rule = violation.decided_by
    does = "denies" if rule.access is Access.DENY else "allows"
    return f"{rule.name} ({rule.priority}) {does} {packet_text(violation.witness)}"


def packet_text(witness: Witness) -> str:
    """Spell a packet on one line."""
    ports = witness.protocol.has_ports
    source = f"{witness.source}:{witness.source_port}" if ports else witness.source
    target = f"{witness.destination}:{witness.destination_port}" if ports else witness.destination
    return f"{witness.protocol.value} {source} → {target}"
