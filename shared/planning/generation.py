"""The rules that an intent comes to in an empty NSG: each row at the article's own priority."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.amlfs.advice import Notice, advise
from shared.amlfs.catalogue import load_catalogue
from shared.amlfs.requirements import Requirement, exception_requirements, requirements
from shared.errors import FieldError, InvalidInput
from shared.nsg.limits import LOWEST_PRIORITY, breaches
from shared.nsg.rules import Access, Direction, SecurityRule
from shared.nsg.service_tags import shipped_service_tags

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.amlfs.intent import Intent
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
    wanted = [
        *requirements(intent, catalogue, tags),
        *exception_requirements(intent, catalogue),
    ]
    servable = [requirement for requirement in wanted if requirement.missing_tag is None]
    rules = [rule for direction in Direction for rule in numbered(servable, direction)]
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
    """Give every requirement of one direction its priority, and sort by it."""
    own = [requirement for requirement in wanted if requirement.direction is direction]
    free = free_priorities(own)
    rules = [
        SecurityRule(
            name=requirement.name,
            priority=requirement.priority or next_free(free, direction),
            direction=direction,
            access=requirement.access,
            flow=requirement.flow,
            description=requirement.why,
        )
        for requirement in own
    ]
    return sorted(rules, key=lambda rule: rule.priority)


def free_priorities(wanted: Sequence[Requirement]) -> Iterator[int]:
    """Yield the numbers that no row takes: after the allow rows, then before them, nearest first.

    All of them precede the first deny row, which would overrule what stands behind it.
    """
    taken = {requirement.priority for requirement in wanted if requirement.priority}
    rows = [requirement for requirement in wanted if requirement.priority]
    last_allow = max(r.priority or 0 for r in rows if r.access is Access.ALLOW)
    first_deny = min(r.priority or 0 for r in rows if r.access is Access.DENY)
    yield from (n for n in range(last_allow + 1, first_deny) if n not in taken)
    yield from (n for n in range(last_allow, LOWEST_PRIORITY - 1, -1) if n not in taken)


def next_free(free: Iterator[int], direction: Direction) -> int:
    """Take the next free number; raises `InvalidInput` where none is left."""
    number = next(free, None)
    if number is None:
        raise InvalidInput(
            [
                FieldError(
                    "/intent/exceptions",
                    f"No priority is left for so many {direction} rules before the article's deny"
                    " row: merge exceptions, several prefixes or ports in one.",
                )
            ]
        )
    return number
