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
from typing import TYPE_CHECKING

from shared.nsg.evaluation import DEFAULT_RULES, Chain
from shared.packets.space import bits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.nsg.evaluation import Witness
    from shared.nsg.rules import SecurityRule
    from shared.packets.space import Packet


class ProofVerdict(StrEnum):
    """What a proof comes to."""

    SATISFIED = "satisfied"
    VIOLATED = "violated"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Violation:
    """A packet on which a rule decides against a requirement.

    Attributes:
        decided_by: the rule.
        witness: the packet.
    """

    decided_by: SecurityRule
    witness: Witness


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


@dataclass(frozen=True, slots=True)
class DeadRule:
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
        self._count = len(chain.rules)
        self._all = (1 << self._count) - 1
        self._denies = self._all & ~chain.allows
        self._leaks: dict[int, Packet] = {}
        self._doubtful: list[int] = []
        self._leaks_known = False

    # -- allow rows -------------------------------------------------------------------------------

    def prove_allowed(self, flow: int) -> Proof:
        """Prove that every packet of a flow is allowed."""
        first = lowest(self.chain.meeting(flow, self._all, maybe=True))
        if first & self.chain.allows & self.chain.holding(flow, first):
            return Proof(ProofVerdict.SATISFIED, (self.chain.rules[first.bit_length() - 1].name,))
        violations = tuple(self._violations(flow))
        if violations:
            return Proof(ProofVerdict.VIOLATED, violations=violations)
        doubts = () if self.chain.is_exact else self._doubts_of_allowing(flow)
        if doubts:
            return Proof(ProofVerdict.UNDECIDED, undecided_because=doubts)
        return Proof(ProofVerdict.SATISFIED, self._deciders(flow, self.chain.allows))

    def _violations(self, flow: int) -> Iterator[Violation]:
        chain = self.chain
        for deny in bits(chain.meeting(flow, self._denies, maybe=False)):
            packet = chain.find((flow, deny), (1 << deny) - 1, certain=True)
            if packet is None and not chain.is_exact:
                packet = chain.denied_by(flow, deny)
            if packet is not None:
                yield Violation(chain.rules[deny], chain.witness(packet))

    def _doubts_of_allowing(self, flow: int) -> tuple[str, ...]:
        chain = self.chain
        reasons: dict[str, None] = {}
        for deny in bits(chain.meeting(flow, self._denies, maybe=True)):
            packet = chain.find((flow, deny), ((1 << deny) - 1) & chain.allows, certain=False)
            if packet is not None:
                reasons |= dict.fromkeys(self._reasons(packet, (flow, deny)))
        return tuple(reasons)

    def _deciders(self, flow: int, among: int) -> tuple[str, ...]:
        """Return the names of the rules that decide packets of a flow."""
        chain = self.chain
        return tuple(
            chain.rules[rule].name
            for rule in bits(chain.meeting(flow, among, maybe=True))
            if chain.find((flow, rule), (1 << rule) - 1, certain=False) is not None
        )

    # -- deny rows --------------------------------------------------------------------------------

    def prove_denied(self, flow: int) -> Proof:
        """Prove that no packet of a flow is allowed but for the permitted ones."""
        self._find_leaks()
        chain = self.chain
        violations = []
        for rule in self._leaks:
            packet = chain.find((flow, rule), self._before(rule), certain=True)
            if packet is not None:
                violations.append(Violation(chain.rules[rule], chain.witness(packet)))
        if violations:
            return Proof(ProofVerdict.VIOLATED, violations=tuple(violations))
        reasons: dict[str, None] = {}
        for rule in (*self._leaks, *self._doubtful):
            packet = chain.find((flow, rule), self._before(rule), certain=False)
            if packet is not None:
                reasons |= dict.fromkeys(self._reasons(packet, (flow, rule)))
        if reasons:
            return Proof(ProofVerdict.UNDECIDED, undecided_because=tuple(reasons))
        return Proof(ProofVerdict.SATISFIED, self._deciders(flow, self._denies))

    def excess(self) -> list[Violation]:
        """Return each rule that lets packets through which nobody asked for, with one of them."""
        self._find_leaks()
        chain = self.chain
        return [
            Violation(chain.rules[rule], chain.witness(packet))
            for rule, packet in self._leaks.items()
        ]

    def _find_leaks(self) -> None:
        if self._leaks_known:
            return
        self._leaks_known = True
        for rule in bits(self.chain.allows):
            packet = self.chain.find((rule,), self._before(rule), certain=True)
            if packet is not None:
                self._leaks[rule] = packet
            elif self.chain.is_exact:
                continue
            elif self.chain.find((rule,), self._before(rule), certain=False) is not None:
                self._doubtful.append(rule)

    def _before(self, rule: int) -> int:
        """Return the boxes that take packets away from a rule, or permit it to let them through."""
        return ((1 << rule) - 1) | self.permitted

    # -- dead rules -------------------------------------------------------------------------------

    def dead_rules(self) -> list[DeadRule]:
        """Return the rules that never decide, with what covers them; Azure's own left out."""
        self._find_leaks()
        chain = self.chain
        found = []
        for rule in range(self._count - len(DEFAULT_RULES) // 2):
            if rule in self._leaks or not chain.boxes[rule].is_visible:
                continue
            if chain.find((rule,), (1 << rule) - 1, certain=False) is None:
                found.append(DeadRule(chain.rules[rule], self._cover(rule)))
        return found

    def _cover(self, rule: int) -> tuple[str, ...]:
        """Return rules before a dead one that cover it: one if one does, else as few as are left."""
        needed = self.chain.meeting(rule, (1 << rule) - 1, maybe=False)
        if whole := self.chain.holding(rule, needed):
            needed = lowest(whole)
        for other in reversed(list(bits(needed))):
            if self.chain.find((rule,), needed & ~(1 << other), certain=False) is None:
                needed &= ~(1 << other)
        return tuple(self.chain.rules[other].name for other in bits(needed))

    # -- what is not known ------------------------------------------------------------------------

    def _reasons(self, packet: Packet, boxes: tuple[int, int]) -> Iterator[str]:
        """Yield why it cannot be told what becomes of a packet, in words."""
        chain = self.chain
        concerned = ((1 << boxes[1]) - 1) | self.permitted | 1 << boxes[0] | 1 << boxes[1]
        for box in bits(chain.doubts_at(packet, concerned, frozenset())):
            words = (chain.boxes[box].far_word, chain.boxes[box].near_word)
            for word in filter(None, words):
                yield describe(word)
            if not any(words):
                yield "how Azure matches a packet without ports against a rule with ports"


def lowest(number: int) -> int:
    """Return the lowest bit that is set, alone."""
    return number & -number


DESCRIPTIONS = {
    "virtualnetwork": "the extent of VirtualNetwork is not known",
    "internet": "the extent of VirtualNetwork, outside of which Internet lies, is not known",
}


def describe(word: str) -> str:
    """Say what is not known about a rule's word."""
    if word.startswith("/"):
        group = word.rpartition("/")[2]
        return f"the members of the application security group {group} are not known"
    if word.startswith("what "):
        return f"{word} is not known"
    return DESCRIPTIONS.get(word, f"what {word} stands for is not known")
