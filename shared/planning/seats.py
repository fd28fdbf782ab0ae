"""Seats: what the rules that do not move mean for each row that may need a rule.

The rules that do not move are the foreign ones. Asked once about each row, they tell whether they
serve it by themselves, which of them would take its packets, and which leak.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shared.nsg.evaluation import Chain
from shared.nsg.proofs import ProofVerdict, Prover
from shared.nsg.rules import Access
from shared.packets.space import TooIntricateError, bits
from shared.planning.placement import NO_LIMIT, AllowSeat, DenySeat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.amlfs.requirements import Requirement
    from shared.nsg.extents import Extents
    from shared.nsg.proofs import Violation
    from shared.nsg.rules import Direction, SecurityRule
    from shared.packets.intervals import Boundaries


@dataclass(frozen=True, slots=True)
class Ground:
    """What one direction's rules are looked at against.

    Attributes:
        direction: inbound or outbound.
        rows: the rows of this direction that can have a rule, in the article's order.
        extents: what address words stand for.
        universe: the addresses of the file system's subnet.
    """

    direction: Direction
    rows: tuple[Requirement, ...]
    extents: Extents
    universe: Boundaries

    def chain(self, rules: Sequence[SecurityRule]) -> Chain:
        """Lay rules out with the rows as the flows that can be asked about."""
        flows = [row.flow for row in self.rows]
        return Chain(self.direction, rules, flows, self.extents, self.universe)


def bare_seats(rows: Sequence[Requirement]) -> list[AllowSeat]:
    """Return the seat of each allow row of a direction where there are no rules yet."""
    allows = [row for row in rows if row.access is Access.ALLOW]
    last = max(row.priority or 0 for row in allows)
    return [
        AllowSeat(row.name, wish=row.priority or last, is_article=row.priority is not None)
        for row in allows
    ]


class Standing:
    """The rules of one direction that do not move, asked about each row."""

    def __init__(self, ground: Ground, rules: Sequence[SecurityRule]) -> None:
        self._ground = ground
        self._chain = ground.chain(rules)
        first = len(self._chain.rules)
        self._boxes = {row.name: box for box, row in enumerate(ground.rows, first)}
        permitted = sum(
            1 << self._boxes[row.name] for row in ground.rows if row.access is Access.ALLOW
        )
        self._prover = Prover(self._chain, permitted)
        self.taken = frozenset(rule.priority for rule in self._chain.own_rules)

    def allow_seats(self, places: Mapping[str, int], right: set[str]) -> list[AllowSeat]:
        """Return the seat of each allow row.

        Args:
            places: where the managed rule of a row stands, by the row's name.
            right: names of the rows whose managed rule is right and stays.
        """
        rows = {row.name: row for row in self._ground.rows}
        return [
            replace(
                seat,
                current=places.get(seat.name),
                limit=self._limit(rows[seat.name]),
                sure_limit=self._sure_limit(rows[seat.name]),
                served_until=None if seat.name in right else self._served_until(rows[seat.name]),
            )
            for seat in bare_seats(self._ground.rows)
        ]

    def deny_seats(self, places: Mapping[str, int], right: set[str]) -> list[DenySeat]:
        """Return the seat of each deny row that needs a rule; see `allow_seats`."""
        rows = [row for row in self._ground.rows if row.access is Access.DENY]
        return [
            DenySeat(
                name=row.name,
                wish=row.priority or NO_LIMIT - 1,
                current=places.get(row.name),
                cuts=self._cut_by(row),
                leaks=self._leaks(row),
            )
            for row in rows
            if row.name in right or not self._is_denied(row)
        ]

    def blockers(self, row: Requirement) -> tuple[Violation, ...]:
        """Return the rules that take packets of an allow row, each with one of them."""
        return self._prover.prove_allowed(self._boxes[row.name]).violations

    # -- what the rules that stay say -------------------------------------------------------------

    def _served_until(self, row: Requirement) -> int | None:
        """Return the priority of the last rule that serves an allow row; None where it is not."""
        proof = self._prover.prove_allowed(self._boxes[row.name])
        if proof.verdict is not ProofVerdict.SATISFIED:
            return None
        return max((self._chain.rules[box].priority for box in self._deciders(row)), default=0)

    def _limit(self, row: Requirement) -> int:
        """Return the first priority at which a foreign rule may deny packets of an allow row."""
        denies = (
            self._chain.rules[box].priority
            for box in self._deciders(row)
            if not self._chain.allows >> box & 1
        )
        return min(denies, default=NO_LIMIT)

    def _sure_limit(self, row: Requirement) -> int:
        """Return the first priority at which a foreign rule surely denies packets of an allow row."""
        return min((v.decided_by.priority for v in self.blockers(row)), default=NO_LIMIT)

    def _deciders(self, row: Requirement) -> set[int]:
        """Return the rules that may decide a packet of a row."""
        box = self._boxes[row.name]
        try:
            answers = [a | b for a, b, _ in self._chain.deciders(box, certain=False)]
        except TooIntricateError:
            answers = [self._chain.meeting(box, (1 << len(self._chain.rules)) - 1)]
        return {rule for answer in answers for rule in bits(answer)}

    def _is_denied(self, row: Requirement) -> bool:
        proof = self._prover.prove_denied(self._boxes[row.name])
        return proof.verdict is ProofVerdict.SATISFIED

    def _leaks(self, row: Requirement) -> tuple[int, ...]:
        """Return the priorities of the foreign rules that leak packets of a deny row."""
        proof = self._prover.prove_denied(self._boxes[row.name])
        places = {violation.decided_by.priority for violation in proof.violations}
        return tuple(sorted(places & self.taken))

    def _cut_by(self, row: Requirement) -> frozenset[str]:
        """Return the names of the allow rows that may share a packet with a deny row."""
        deny = self._boxes[row.name]
        return frozenset(
            other.name
            for other in self._ground.rows
            if other.access is Access.ALLOW
            and self._chain.find_shared((self._boxes[other.name], deny), 0, certain=False)
        )
