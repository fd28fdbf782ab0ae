"""The rules that an intent comes to in an empty NSG: each row at the article's own priority."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.amlfs.advice import Notice, advise
from shared.amlfs.catalogue import load_catalogue
from shared.amlfs.requirements import wanted_rules
from shared.errors import FieldError, InvalidInput
from shared.nsg.limits import HIGHEST_PRIORITY, breaches
from shared.nsg.rules import Access, Direction
from shared.nsg.service_tags import shipped_service_tags
from shared.planning.placement import DenySeat, place
from shared.planning.seats import bare_seats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.amlfs.intent import Intent
    from shared.amlfs.requirements import Requirement
    from shared.nsg.rules import SecurityRule
    from shared.nsg.service_tags import ServiceTags


@dataclass(frozen=True, slots=True)
class GeneratedRules:
    """What `generate` answers.

    Attributes:
        intent: what the rules are for.
        catalogue: the revision of the article that they follow.
        rules: inbound then outbound, by priority: the article's order.
        notices: what is worth knowing about them.
    """

    intent: Intent
    catalogue: str
    rules: tuple[SecurityRule, ...]
    notices: tuple[Notice, ...]


def generate(intent: Intent, revision: str, tags: ServiceTags | None = None) -> GeneratedRules:
    """Return the rules that an empty NSG needs to honour the intent.

    Raises:
        InvalidInput: the rules do not fit into one NSG.
    """
    tags = tags or shipped_service_tags(intent.location.cloud)
    catalogue = load_catalogue(revision)
    wanted = wanted_rules(intent, catalogue, tags)
    rules = [rule for direction in Direction for rule in numbered(wanted, direction)]
    broken = breaches(rules)
    if broken:
        raise InvalidInput(
            [
                FieldError(
                    "/intent",
                    f"ARM would refuse {b.rule or 'the rules'}: {b.message} Give fewer, larger"
                    " prefixes.",
                )
                for b in broken
            ]
        )
    return GeneratedRules(
        intent, catalogue.revision, tuple(rules), tuple(advise(intent, catalogue, tags))
    )


def numbered(wanted: Sequence[Requirement], direction: Direction) -> list[SecurityRule]:
    """Give every requirement of one direction its priority, and sort by it.

    What the article lacks stands behind its allow rows and before its deny rows, which move up where
    there is too little room.
    """
    own = [requirement for requirement in wanted if requirement.direction is direction]
    allows = bare_seats(own)
    names = frozenset(seat.name for seat in allows)
    denies = [
        DenySeat(row.name, row.priority or HIGHEST_PRIORITY, cuts=names)
        for row in own
        if row.access is Access.DENY
    ]
    priorities = place(allows, denies, taken=()).priorities
    rules = [requirement.rule_at(priorities[requirement.name]) for requirement in own]
    return sorted(rules, key=lambda rule: rule.priority)
