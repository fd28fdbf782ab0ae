"""One direction of a plan: which rows get a rule, and what becomes of the managed rules there are.

A managed rule is *right* when it means exactly its row: it stays, where it is if that place is valid.
One that allows only a part of its row is *narrow*: with others it may be enough, then it stays too.
Every other one is written anew where its row needs a rule, and goes where the rules that stay serve
the row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.nsg.rules import Access
from shared.planning.documents import meaning, moved, written
from shared.planning.placement import place
from shared.planning.seats import Standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.amlfs.requirements import Requirement
    from shared.nsg.proofs import Violation
    from shared.planning.documents import StandingRule
    from shared.planning.placement import Placement
    from shared.planning.seats import Ground


@dataclass(frozen=True, slots=True)
class Blocked:
    """An allow row for which no place is valid.

    Attributes:
        row: the row.
        by: the rules that take its packets, each with one of them.
    """

    row: Requirement
    by: tuple[Violation, ...]


@dataclass(frozen=True, slots=True)
class PlannedRows:
    """What one direction comes to.

    Attributes:
        rules: the rule of each row after the plan, by the row's name; None for a row without one.
        blocked: rows that can be placed nowhere.
    """

    rules: dict[str, StandingRule | None]
    blocked: tuple[Blocked, ...]


def plan_rows(
    ground: Ground, fixed: Sequence[StandingRule], own: Mapping[str, StandingRule]
) -> PlannedRows:
    """Plan the rows of one direction.

    Args:
        ground: the rows and what their words stand for.
        fixed: rules that stay as they are, in either direction.
        own: the managed rule of each row that has one, by the row's name.
    """
    right, narrow = judge(ground, own)
    places = {
        name: rule.rule.priority
        for name, rule in own.items()
        if rule.rule.direction is ground.direction
    }
    while True:
        staying = [*fixed, *(own[name] for name in sorted(narrow))]
        standing = Standing(ground, meaning(staying))
        placement = place(
            standing.allow_seats(places, right),
            standing.deny_seats(places, right),
            standing.taken,
        )
        lacking = narrow & placement.priorities.keys()
        if not lacking:
            break
        narrow -= lacking
    rules = {
        row.name: placed(row, own.get(row.name), placement, right, narrow) for row in ground.rows
    }
    blocked = tuple(
        Blocked(row, standing.blockers(row))
        for row in ground.rows
        if row.name in placement.unplaced
    )
    return PlannedRows(rules, blocked)


def judge(ground: Ground, own: Mapping[str, StandingRule]) -> tuple[set[str], set[str]]:
    """Return the names of the rows whose managed rule is right, and of those where it is narrow."""
    fitting, right = set[str](), set[str]()
    rules = {n: r for n, r in own.items() if r.rule.direction is ground.direction and r.is_readable}
    chain = ground.chain(meaning(rules.values()))
    boxes = {rule.name: box for box, rule in enumerate(chain.own_rules)}
    for row_box, row in enumerate(ground.rows, len(chain.rules)):
        if row.name not in rules or rules[row.name].rule.access is not row.access:
            continue
        box = boxes[rules[row.name].name]
        if chain.find(box, 1 << row_box, certain=False) is None:
            fitting.add(row.name)
            if chain.find(row_box, 1 << box, certain=False) is None:
                right.add(row.name)
    allows = {row.name for row in ground.rows if row.access is Access.ALLOW}
    return right, (fitting - right) & allows


def placed(
    row: Requirement,
    rule: StandingRule | None,
    placement: Placement,
    right: set[str],
    narrow: set[str],
) -> StandingRule | None:
    """Return the rule of a row after the plan."""
    slot = placement.priorities.get(row.name)
    if slot is None:
        is_of_use = row.name in narrow or row.name in right
        is_free = rule is not None and rule.rule.priority not in placement.priorities.values()
        return rule if is_of_use and is_free else None
    if rule is None or row.name not in right:
        return written(row, slot, rule)
    return rule if rule.rule.priority == slot else moved(slot, rule)
