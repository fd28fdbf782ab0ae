"""What rules that stay mean for each row that may need a rule of its own.

Asked about a row, they tell whether they serve it by themselves, which of them would take its packets,
and which leak.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from shared.nsg.evaluation import Chain
from shared.nsg.limits import LOWEST_PRIORITY
from shared.nsg.proofs import ProofVerdict, Prover
from shared.nsg.rules import Access
from shared.packets.space import bits
from shared.planning.placement import NO_LIMIT, AllowSeat

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """Some rules of one direction, asked about each row.

    Attributes:
        taken: their priorities.
    """

    def __init__(self, ground: Ground, rules: Sequence[SecurityRule]) -> None:
        """Lay the rules out."""
        self._chain = ground.chain(rules)
        self._rows = ground.rows
        self._boxes = {row.name: box for box, row in enumerate(ground.rows, len(self._chain.rules))}
        self.taken = frozenset(rule.priority for rule in self._chain.own_rules)

    @cached_property
    def _prover(self) -> Prover:
        rows = (row for row in self._rows if row.access is Access.ALLOW)
        return Prover(self._chain, sum(1 << self._boxes[row.name] for row in rows))

    def served_until(self, row: Requirement) -> int | None:
        """Return the priority of the last rule that serves an allow row; None where it is not."""
        proof = self._prover.prove_allowed(self._boxes[row.name])
        if proof.verdict is not ProofVerdict.SATISFIED:
            return None
        return max((self._chain.rules[box].priority for box in self._deciders(row)), default=0)

    def limit(self, row: Requirement) -> int:
        """Return the first priority at which a rule may deny packets of an allow row."""
        denies = (
            self._chain.rules[box].priority
            for box in self._deciders(row)
            if not self._chain.allows >> box & 1
        )
        return min(denies, default=NO_LIMIT)

    def sure_limit(self, row: Requirement) -> int:
        """Return the first priority at which a rule surely denies packets of an allow row."""
        return min((v.decided_by.priority for v in self._takers(row)), default=NO_LIMIT)

    def blockers(self, row: Requirement) -> tuple[Violation, ...]:
        """Return the rules for which there is no place for an allow row, each with a packet it takes.

        A rule behind a free place does not block: the row could stand there. Where others of ours need
        every place before the first rule that takes packets, that rule it is.
        """
        found = [v for v in self._takers(row) if v.decided_by.priority in self.taken]
        free = next(n for n in itertools.count(LOWEST_PRIORITY) if n not in self.taken)
        first = min((v.decided_by.priority for v in found), default=NO_LIMIT)
        before = [v for v in found if v.decided_by.priority < free]
        return tuple(before or [v for v in found if v.decided_by.priority == first])

    def _takers(self, row: Requirement) -> tuple[Violation, ...]:
        """Return the rules that surely take packets of an allow row."""
        return self._prover.prove_allowed(self._boxes[row.name]).violations

    def is_denied(self, row: Requirement) -> bool:
        """Whether a deny row holds."""
        proof = self._prover.prove_denied(self._boxes[row.name])
        return proof.verdict is ProofVerdict.SATISFIED

    def leaks(self, row: Requirement, *, certain: bool) -> tuple[int, ...]:
        """Return the priorities of the rules that leak packets of a deny row, or may."""
        rules = self._prover.leaking(self._boxes[row.name], certain=certain)
        return tuple(sorted({rule.priority for rule in rules} & self.taken))

    def cut_by(self, row: Requirement) -> frozenset[str]:
        """Return the names of the allow rows that may share a packet with a deny row."""
        deny = self._boxes[row.name]
        return frozenset(
            other.name
            for other in self._rows
            if other.access is Access.ALLOW
            and self._chain.find_shared((self._boxes[other.name], deny), 0, certain=False)
        )

    def _deciders(self, row: Requirement) -> set[int]:
        """Return the rules that may decide a packet of a row."""
        return {*bits(self._chain.may_decide(self._boxes[row.name]))}
