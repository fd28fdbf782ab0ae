"""One direction of a plan: which rows get a rule, and what becomes of the managed rules there are.

A managed rule is *right* when it does what its row wants and lets nothing else through: it stays, where
it is if that place is valid. One that does only a part of it is *narrow*: with others it may be enough,
then it stays too. Every other one is written anew where its row needs a rule, and goes where the rules
that stay serve the row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shared.nsg.limits import HIGHEST_PRIORITY
from shared.nsg.rules import Access
from shared.planning.documents import meaning, moved, written
from shared.planning.placement import DenySeat, place
from shared.planning.seats import Standing, bare_seats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.amlfs.requirements import Requirement
    from shared.nsg.proofs import Violation
    from shared.nsg.rules import SecurityRule
    from shared.planning.documents import StandingRule
    from shared.planning.placement import AllowSeat, Placement
    from shared.planning.seats import Ground


ROUNDS = 10
"""Judging and placing settle in two or three; more would be a circle."""


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
        if rule.rule.direction is ground.direction and rule.is_readable
    }
    seated = {name: own[name].rule for name in right}
    for _ in range(ROUNDS):
        staying = [*fixed, *(own[name] for name in sorted(narrow))]
        seats = Seats(ground, meaning(staying), seated, places)
        placement = place(seats.allows(), seats.denies(), seats.foreign.taken)
        lacking = lacking_of(ground, narrow, placement)
        moved_ones = {
            name: rule._replace(priority=placement.priorities[name])
            for name, rule in seated.items()
            if placement.priorities.get(name, rule.priority) != rule.priority
        }
        if not lacking and not moved_ones:
            break
        narrow -= lacking
        seated |= moved_ones
    rules = {
        row.name: placed(row, own.get(row.name), placement, right, narrow) for row in ground.rows
    }
    blocked = tuple(
        Blocked(row, seats.foreign.blockers(row))
        for row in ground.rows
        if row.name in placement.unplaced
    )
    return PlannedRows(rules, blocked)


class Seats:
    """What each row of a direction needs.

    Attributes:
        foreign: the rules that do not move; they limit where ours can stand.
    """

    def __init__(
        self,
        ground: Ground,
        fixed: Sequence[SecurityRule],
        right: Mapping[str, SecurityRule],
        places: Mapping[str, int],
    ) -> None:
        """Look at the rows.

        Args:
            ground: the rows and what their words stand for.
            fixed: the rules that do not move.
            right: the managed rule of each row that means exactly the row: it stays as well.
            places: where the managed rule of a row stands, by the row's name.
        """
        self._ground = ground
        self._right = right
        self._places = places
        self.foreign = Standing(ground, fixed)
        allows = [rule for rule in right.values() if rule.access is Access.ALLOW]
        self._serving = Standing(ground, [*fixed, *allows]) if allows else self.foreign
        has_denies = len(allows) < len(right)
        self._staying = Standing(ground, [*fixed, *right.values()]) if has_denies else self._serving

    def allows(self) -> list[AllowSeat]:
        """Return the seat of each allow row."""
        rows = {row.name: row for row in self._ground.rows}
        return [
            replace(
                seat,
                current=self._places.get(seat.name),
                limit=self.foreign.limit(rows[seat.name]),
                sure_limit=self.foreign.sure_limit(rows[seat.name]),
                served_until=None
                if seat.name in self._right
                else self._serving.served_until(rows[seat.name]),
            )
            for seat in bare_seats(self._ground.rows)
        ]

    def denies(self) -> list[DenySeat]:
        """Return the seat of each deny row that has a right rule or needs one."""
        return [
            DenySeat(
                name=row.name,
                wish=row.priority or HIGHEST_PRIORITY,
                current=self._places.get(row.name),
                cuts=self.foreign.cut_by(row),
                leaks=tuple(sorted(self.foreign.leaks(row, certain=True))),
                doubts=tuple(sorted(self.foreign.leaks(row, certain=False))),
            )
            for row in self._ground.rows
            if row.access is Access.DENY
            and (row.name in self._right or not self._staying.is_denied(row))
        ]


def lacking_of(ground: Ground, narrow: set[str], placement: Placement) -> set[str]:
    """Return the rows whose narrow rule is not enough, or stands in the way of others."""
    denies = {row.name for row in ground.rows if row.access is Access.DENY}
    in_the_way = denies if placement.unplaced else set()
    return narrow & ({*placement.priorities, *placement.unplaced} | in_the_way)


def judge(ground: Ground, own: Mapping[str, StandingRule]) -> tuple[set[str], set[str]]:
    """Return the names of the rows whose managed rule is right, and of those where it is narrow."""
    right, narrow = set[str](), set[str]()
    rules = {n: r for n, r in own.items() if r.rule.direction is ground.direction and r.is_readable}
    chain = ground.chain(meaning(rules.values()))
    boxes = {rule.name: box for box, rule in enumerate(chain.own_rules)}
    rows = dict(enumerate(ground.rows, len(chain.rules)))
    permitted = sum(1 << box for box, row in rows.items() if row.access is Access.ALLOW)
    for row_box, row in rows.items():
        if row.name not in rules or rules[row.name].rule.access is not row.access:
            continue
        box = boxes[rules[row.name].name]
        within = permitted if row.access is Access.ALLOW else 1 << row_box
        if chain.find(box, within, certain=False) is None:
            is_whole = chain.find(row_box, 1 << box, certain=False) is None
            (right if is_whole else narrow).add(row.name)
    return right, narrow


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
