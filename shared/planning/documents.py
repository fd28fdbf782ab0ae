"""Rules as documents: what stands in an NSG's body, kept as it is, and what is written there.

A plan never rebuilds a rule that it does not change: its document goes back byte for byte, unknown
fields included. In a rule of ours that it does change, it replaces the fields that it knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.nsg.parsing import ADDRESS_FIELDS, PORT_FIELDS, read_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shared.amlfs.requirements import Requirement
    from shared.errors import FieldError
    from shared.nsg.rules import SecurityRule

Document = dict[str, Any]

KNOWN_FIELDS = frozenset(
    field for fields in (*ADDRESS_FIELDS.values(), *PORT_FIELDS.values()) for field in fields
)


@dataclass(frozen=True, slots=True)
class StandingRule:
    """A rule of an NSG: how it is written, and what it means.

    Attributes:
        document: as it stands in the NSG's body.
        rules: what it means: one rule; for a document that cannot be read, all it might mean.
    """

    document: Document
    rules: tuple[SecurityRule, ...]

    @property
    def name(self) -> str:
        """The rule's name."""
        return self.rules[0].name

    @property
    def rule(self) -> SecurityRule:
        """What it means; of one that cannot be read, one of the things it might mean."""
        return self.rules[0]

    @property
    def is_readable(self) -> bool:
        """Whether it is known what it means."""
        return len(self.rules) == 1 and self.rule.priority > 0


def read_documents(
    documents: Sequence[Any], at: str = "/securityRules"
) -> tuple[list[StandingRule], tuple[FieldError, ...]]:
    """Read the rules of an NSG, each beside its document, and everything that is wrong with them."""
    together = read_rules(documents, at)
    if not together.errors:
        pairs = zip(documents, together.rules, strict=True)
        return [StandingRule(document, (rule,)) for document, rule in pairs], ()
    alone = [read_rules([document], at).rules for document in documents]
    pairs_of_many = zip(documents, alone, strict=True)
    return [StandingRule(d, rules) for d, rules in pairs_of_many], together.errors


def meaning(standing: Iterable[StandingRule]) -> list[SecurityRule]:
    """Return what some rules mean."""
    return [rule for one in standing for rule in one.rules]


def written(row: Requirement, priority: int, current: StandingRule | None) -> StandingRule:
    """Return the rule that serves a row in this place, written over the one that stands there."""
    rule = row.rule_at(priority)
    if current is None:
        return StandingRule(rule.to_arm(), (rule,))
    old, new = current.document, rule.to_arm()["properties"]
    nested = isinstance(old.get("properties"), dict)
    fields = old["properties"] if nested else old
    fields = {k: v for k, v in fields.items() if k not in KNOWN_FIELDS} | new
    document = {**old, "properties": fields} if nested else fields
    return StandingRule(document, (rule._replace(name=current.name),))


def moved(priority: int, current: StandingRule) -> StandingRule:
    """Return a rule with another priority and nothing else changed."""
    old = current.document
    nested = isinstance(old.get("properties"), dict)
    document = (
        {**old, "properties": {**old["properties"], "priority": priority}}
        if nested
        else {**old, "priority": priority}
    )
    return StandingRule(document, (current.rule._replace(priority=priority),))
