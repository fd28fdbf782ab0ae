"""Proofs: what the rules of one direction surely allow, surely deny, and what nobody can tell.

Three answers to "is this flow allowed?":

- *satisfied*: no packet of it may be denied. Allow rules count for what they surely hold, deny rules
  for what they may hold.
- *violated*: some packet of it is surely denied, and is shown. Allow rules count for what they may
  hold, deny rules for what they surely hold.
- *undecided*: neither; what is not known is named.

For a deny row the question is turned round: may a packet pass that no permitted flow holds?
`docs/proofs.md` argues why neither claim can be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from shared.nsg.doubts import describe
from shared.packets.budget import TooIntricateError
from shared.packets.intervals import NOTHING
from shared.packets.space import bits, lowest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.nsg.evaluation import Chain
    from shared.nsg.rules import SecurityRule
    from shared.nsg.witness import Witness
    from shared.packets.intervals import Boundaries
    from shared.packets.region import Packet


class ProofVerdict(StrEnum):
    """What a proof comes to."""

    SATISFIED = "satisfied"
    VIOLATED = "violated"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class CutOff:
    """Which addresses a deny rule takes from a flow; worked out when they are asked for."""

    chain: Chain
    flow: int
    deny: int

    def boundaries(self) -> Boundaries:
        """Return the addresses; nothing where it cannot be told, or would take too long."""
        try:
            return self.chain.far_end_cut_off(self.flow, self.deny)
        except TooIntricateError:
            return NOTHING


class Violation(NamedTuple):
    """A packet on which a rule decides against a requirement.

    Attributes:
        decided_by: the rule.
        chain: the rules that it is one of.
        packet: in the chain's space.
        cut_off: of a flow that must pass, which addresses at its other end the rule takes away.
    """

    decided_by: SecurityRule
    chain: Chain
    packet: Packet
    cut_off: CutOff | None = None

    @property
    def witness(self) -> Witness:
        """The packet, in addresses and ports."""
        return self.chain.witness(self.packet)


@dataclass(frozen=True, slots=True)
class Proof:
    """The answer to "do these rules honour this requirement?".

    Attributes:
        verdict: satisfied, violated or undecided.
        satisfied_by: names of the rules that decide its packets.
        violations: one for each rule that decides against it.
        undecided_because: what is not known, in words.
    """

    verdict: ProofVerdict
    satisfied_by: tuple[str, ...] = ()
    violations: tuple[Violation, ...] = ()
    undecided_because: tuple[str, ...] = ()


class DeadRule(NamedTuple):
    """A rule that never decides anything.

    Attributes:
        rule: the rule.
        covered_by: names of the rules before it that together take all its packets.
    """

    rule: SecurityRule
    covered_by: tuple[str, ...]


class Prover:
    """Answers questions about one direction.

    The flows of the chain that a requirement or the caller permits are `permitted`; what passes
    beyond them is excess.
    """

    def __init__(self, chain: Chain, permitted: int) -> None:
        """Take a chain and the bit set of its permitted flows."""
        self.chain = chain
        self.permitted = permitted
        self._leaks: dict[int, Violation] = {}
        self._doubtful: list[int] = []
        self._dead: dict[int, int] = {}
        self._perhaps_dead: list[int] = []
        self._may_hold: dict[int, int] = {}
        for rule, held in enumerate(chain.first_holders()):
            before, is_allow = (1 << rule) - 1, chain.allows >> rule & 1
            if held & before or (is_allow and held & permitted):
                self._look_closer(rule, held & before)
            elif is_allow:
                self._note_leak(rule, chain.first_packet(rule), held)

    def _look_closer(self, rule: int, earlier: int) -> None:
        """Note whether a rule leaks or is dead, some boxes holding its first packet.

        Earlier rules are asked one by one whether they take all its packets; whether they do so
        together is for `dead_rules` to find out, since not everybody asks.
        """
        chain, before = self.chain, (1 << rule) - 1
        covers = chain.covering(rule)
        if covers & before:
            self._dead[rule] = lowest(covers & before)
        elif chain.allows >> rule & 1 and not covers & self.permitted and self._may_leak(rule):
            return
        elif earlier and rule < len(chain.own_rules):
            self._perhaps_dead.append(rule)

    def _may_leak(self, rule: int) -> bool:
        """Whether an allow rule may let a packet through that nobody permits; it is noted.

        A packet that surely gets through makes it a leak, one that may a doubtful rule.
        """
        chain, others = self.chain, self._before(rule)
        if chain.find(rule, others, certain=False) is None:
            return False
        packet = chain.find(rule, others, certain=True)
        if packet is None:
            self._doubtful.append(rule)
        else:
            self._note_leak(rule, packet, chain.may_hold(packet))
        return True

    def _note_leak(self, rule: int, packet: Packet, may_hold: int) -> None:
        self._leaks[rule] = Violation(self.chain.rules[rule], self.chain, packet)
        self._may_hold[rule] = may_hold

    def _before(self, rule: int) -> int:
        """Return the boxes that take packets away from a rule, or permit it to let them through."""
        return ((1 << rule) - 1) | self.permitted

    # -- allow rows -------------------------------------------------------------------------------

    def prove_allowed(self, flow: int) -> Proof:
        """Prove that every packet of a flow is allowed."""
        violations = self._denied(flow)
        if violations:
            return Proof(ProofVerdict.VIOLATED, violations=violations)
        chain, allows = self.chain, self.chain.allows
        deciders, reasons = 0, set[str]()
        for answer in chain.deciders(flow, certain=False):
            for first, doubts in answer.cases:
                deciders |= first | doubts & allows
                if not first & allows or doubts & ~allows:
                    boxes = ((first << 1) - 1) | 1 << flow
                    reasons.update(chain.doubts(answer.packet, boxes))
        if reasons:
            return undecided(reasons)
        return Proof(ProofVerdict.SATISFIED, self._names(deciders & allows))

    def _denied(self, flow: int) -> tuple[Violation, ...]:
        """Return each deny rule that decides packets of a flow, with one that is surely denied."""
        try:
            found = self._deniers(flow)
        except TooIntricateError:
            found = self._deniers_one_by_one(flow)
            if not found:
                raise
        chain = self.chain
        return tuple(
            Violation(chain.rules[rule], chain, found[rule], CutOff(chain, flow, rule))
            for rule in sorted(found)
        )

    def _deniers(self, flow: int) -> dict[int, Packet]:
        found: dict[int, Packet] = {}
        blamed: dict[int, Packet] = {}
        for cases, packet in self.chain.deciders(flow, certain=True):
            if any((first | doubts) & self.chain.allows for first, doubts in cases):
                continue
            if len(set(cases)) == 1 and not cases[0][1]:
                found.setdefault(lone_bit(cases[0][0]), packet)
            else:
                # Denied in any case; the rule named decides where VirtualNetwork is all private.
                likely, _ = cases[0 if self.chain.is_private(packet) else -1]
                blamed.setdefault(lone_bit(likely), packet)
        return blamed | found

    def _deniers_one_by_one(self, flow: int) -> dict[int, Packet]:
        """Look at one deny rule after the other: slower, but each ends at its first packet."""
        chain = self.chain
        pairs = (
            (rule, chain.find_shared((rule, flow), (1 << rule) - 1, certain=True))
            for rule in bits(chain.meeting(flow) & ~chain.allows)
        )
        return {rule: packet for rule, packet in pairs if packet is not None}

    # -- deny rows --------------------------------------------------------------------------------

    def prove_denied(self, flow: int) -> Proof:
        """Prove that no packet of a flow is allowed but for the permitted ones."""
        violations = self._leaks_in(flow)
        if violations:
            return Proof(ProofVerdict.VIOLATED, violations=violations)
        reasons = self._doubts_in(flow)
        if reasons:
            return undecided(reasons)
        deciders = self.chain.may_decide(flow) & ~self.chain.allows
        return Proof(ProofVerdict.SATISFIED, self._names(deciders))

    def _leaks_in(self, flow: int) -> tuple[Violation, ...]:
        """Return each rule that surely lets a packet of a flow through, with the packet."""
        chain, found = self.chain, []
        near = chain.meeting(flow) if chain.surely[flow] else 0
        for rule, violation in self._leaks.items():
            if not near >> rule & 1:
                continue
            if chain.holders(violation.packet) >> flow & 1:
                found.append(violation)
            else:
                packet = chain.find_shared((rule, flow), self._before(rule), certain=True)
                if packet is not None:
                    found.append(Violation(chain.rules[rule], chain, packet))
        return tuple(found)

    def _doubts_in(self, flow: int) -> set[str]:
        """Return what is not known where a rule may let a packet of a flow through."""
        chain, reasons, words = self.chain, set[str](), self.chain.doubts_of(flow)
        for rule in (*self._leaks, *self._doubtful):
            if self._may_hold.get(rule, 0) >> flow & 1:
                reasons |= words
                continue
            packet = chain.find_shared((rule, flow), self._before(rule), certain=False)
            if packet is not None:
                boxes = ((2 << rule) - 1) | self.permitted | 1 << flow
                reasons.update(chain.doubts(packet, boxes))
        return reasons

    def leaking(self, flow: int, *, certain: bool) -> list[SecurityRule]:
        """Return the rules that let packets of a flow through which nobody asked for, or may do so."""
        chain = self.chain
        return [
            chain.rules[rule]
            for rule in (*self._leaks, *self._doubtful)
            if chain.find_shared((rule, flow), self._before(rule), certain=certain) is not None
        ]

    def excess(self) -> list[Violation]:
        """Return each rule that lets packets through which nobody asked for, with one of them."""
        return [*self._leaks.values()]

    # -- dead rules -------------------------------------------------------------------------------

    def dead_rules(self) -> list[DeadRule]:
        """Return the rules that never decide, with what covers them; Azure's own left out.

        A rule that matches nothing that the NSG can see is not dead: it speaks of other subnets.
        """
        chain, dead = self.chain, dict(self._dead)
        for rule in self._perhaps_dead:
            if chain.find(rule, (1 << rule) - 1, certain=False) is None:
                dead[rule] = self._cover(rule)
        return [
            DeadRule(chain.rules[rule], self._names(dead[rule]))
            for rule in sorted(dead)
            if rule < len(chain.own_rules) and chain.maybe[rule]
        ]

    def _cover(self, rule: int) -> int:
        """Return rules before a dead one that cover it together, none of them without need."""
        chain, cover = self.chain, 0
        while (packet := chain.find(rule, cover, certain=False)) is not None:
            cover |= lowest(chain.may_hold(packet) & ~cover)  # an earlier rule: there is one
        for other in reversed(list(bits(cover))):
            if chain.find(rule, cover & ~(1 << other), certain=False) is None:
                cover &= ~(1 << other)
        return cover

    # -- words ------------------------------------------------------------------------------------

    def _names(self, rules: int) -> tuple[str, ...]:
        return tuple([self.chain.rules[rule].name for rule in bits(rules)])


def lone_bit(number: int) -> int:
    """Return the position of the one bit that is set."""
    return number.bit_length() - 1


def undecided(words: Iterable[str]) -> Proof:
    """Return that nobody can tell, because of what these words stand for."""
    reasons = tuple(sorted(map(describe, words)))
    return Proof(ProofVerdict.UNDECIDED, undecided_because=reasons)
