"""One direction of an NSG: its rules in the order in which Azure asks them, and questions to them.

The lowest priority that matches decides, Azure's default rules come last. NSGs are stateful: a flow
is judged by its first packet. `layout` makes boxes of the rules.

Source: "Network security groups" and "How network security groups filter network traffic", Microsoft
Learn.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from shared.nsg.default_rules import DEFAULT_RULES
from shared.nsg.extents import INTERNET as OUTSIDE
from shared.nsg.extents import OPPOSITES, VIRTUAL_NETWORK, read_prefix
from shared.nsg.layout import FAR, NEAR, PROTOCOLS, Given, Layout
from shared.nsg.rules import Access, Direction
from shared.nsg.witness import Witness, dotted, likely, usable_address
from shared.packets.intervals import holds, union
from shared.packets.region import (
    covering,
    first_holders,
    first_packet,
    held_by,
    holders,
    touching,
)
from shared.packets.space import bits, deciders, find

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.nsg.extents import Extents
    from shared.nsg.rules import Flow, SecurityRule
    from shared.packets.intervals import Boundaries
    from shared.packets.region import Packet

PRIVATE = union(read_prefix(p) or () for p in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))

CASES: tuple[Given, ...] = (frozenset({(FAR, VIRTUAL_NETWORK)}), frozenset({(FAR, OUTSIDE)}))
"""Whatever `VirtualNetwork` holds, an address is in it or in `Internet`.

Looked at in turn, the two cases tell more than the bounds of either set.
"""


class Chain:
    """The rules of one direction in a universe, with some flows to ask about.

    Attributes:
        own_rules: in the order in which Azure asks them.
        rules: the same, and behind them the default rules.
        space: rule i is box i, flow k is box len(rules) + k.
        allows: bit set of the allow rules.
    """

    def __init__(
        self,
        direction: Direction,
        rules: Sequence[SecurityRule],
        flows: Sequence[Flow],
        extents: Extents,
        universe: Boundaries,
    ) -> None:
        """Lay the rules and flows out as boxes.

        Args:
            direction: inbound, the universe is where packets go to; outbound, where they come from.
            rules: of both directions or one, in any order.
            flows: of this direction.
            extents: what address words stand for.
            universe: addresses of the subnet that the NSG filters.
        """
        self.direction = direction
        own = [rule for rule in rules if rule.direction is direction]
        defaults = [rule for rule in DEFAULT_RULES if rule.direction is direction]
        self.own_rules = sorted(own, key=attrgetter("priority"))
        self.rules = [*self.own_rules, *defaults]
        self.allows = sum(
            1 << i for i, rule in enumerate(self.rules) if rule.access is Access.ALLOW
        )
        boxes = [*(rule.flow for rule in self.rules), *flows]
        self._layout = Layout(direction, boxes, extents, universe)
        self.space, self.regions = self._layout.space, self._layout.regions
        self.tables, self.given_by = self._layout.tables, self._layout.given_by

    # -- questions --------------------------------------------------------------------------------

    def find(self, box: int, others: int, *, certain: bool) -> Packet | None:
        """Return a packet that a box holds and none of the others does.

        Args:
            box: where to look.
            others: bit set of boxes.
            certain: True finds a packet of which this holds whatever is unknown; False also one of
                which it may hold, so that None is certain.
        """
        return self._find_given(box, others, certain, self.given_by(box))

    def first_holders(self) -> list[int]:
        """Return for each rule the boxes that may hold its first packet, beside itself.

        Where it surely holds none, every box counts as holding it.
        """
        every = [self.regions(rule, False) for rule in range(len(self.rules))]
        tables = self.space.maybe
        return [first_holders(regions[0], tables) if regions else -1 for regions in every]

    def first_packet(self, rule: int) -> Packet:
        """Return the first packet that a rule surely holds."""
        return first_packet(self.regions(rule, False)[0])

    def find_in_cases(self, box: int, others: int) -> Packet | None:
        """Return what `find` returns that is not certain, or None where both cases rule it out."""
        given = self.given_by(box)
        cases = (self._find_given(box, others, False, given | case) for case in CASES)
        return next((packet for packet in cases if packet is not None), None)

    def _find_given(self, box: int, others: int, certain: bool, given: Given) -> Packet | None:
        for region in self.regions(box, not certain):
            packet = find(region, others, self.tables(certain, given))
            if packet is not None:
                return packet
        return None

    def find_shared(self, boxes: tuple[int, int], others: int, *, certain: bool) -> Packet | None:
        """Return a packet that two boxes hold and none of the others does; see `find`."""
        first, second = boxes
        mine = self.tables(not certain, self.given_by(first))
        theirs = self.tables(certain, self.given_by(first) | self.given_by(second))
        for region in self.regions(first, not certain):
            shared = held_by(region, second, mine)
            if shared is not None:
                packet = find(shared, others, theirs)
                if packet is not None:
                    return packet
        return None

    def far_end_cut_off(self, flow: int, deny: int) -> Boundaries:
        """Return the addresses at a flow's other end that a deny rule takes from it, in part or all."""
        given, before = self.given_by(flow) | self.given_by(deny), (1 << deny) - 1
        theirs = self.tables(True, given)
        found: set[int] = set()
        for region in self.regions(flow, False):
            shared = held_by(region, deny, self.space.sure)
            if shared is not None:
                far, tail = shared
                regions = ((atom, (far.part([atom]), tail)) for atom in far.every)
                found.update(a for a, r in regions if find(r, before, theirs))
        return self.space.axes[FAR].runs_of(found)

    def deciders(self, flow: int, *, certain: bool) -> Iterator[tuple[int, int, Packet]]:
        """Yield each different answer to which rule decides a packet of a flow.

        Args:
            flow: a box.
            certain: True asks about the packets that are surely of the flow, False about all that
                may be.

        Yields:
            The first rule that surely holds the packet and the rules before it that may, as bit
            sets, and such a packet.
        """
        given, every = self.given_by(flow), (1 << len(self.rules)) - 1
        sure, maybe = (self.tables(maybe, given) for maybe in (False, True))
        for region in self.regions(flow, not certain):
            answers = deciders(region, every, sure, maybe)
            yield from ((first, doubts, packet) for (first, doubts), packet in answers.items())

    def cases_of(self, first: int, doubts: int) -> Iterator[tuple[int, int]]:
        """Yield what an answer of `deciders` comes to where the packet is in VirtualNetwork or not."""
        for case in CASES:
            (word,) = case
            opposite = (FAR, OPPOSITES[word[1]])
            does = sum(1 << b for b in bits(doubts) if self._doubted_for(b) == {word})
            doesnt = sum(1 << b for b in bits(doubts) if opposite in self._doubted_for(b))
            decider = (does | first) & -(does | first)
            yield decider, doubts & ~doesnt & (decider - 1)

    def _doubted_for(self, box: int) -> Given:
        """Return the words that make a box uncertain; more than one where its ports do too."""
        words = self.given_by(box)
        return words | {(NEAR, "")} if self._layout.is_open_by_ports(box) else words

    def covering(self, box: int, others: int) -> int:
        """Return the bit set of those of the other boxes that surely hold all that a box may hold."""
        for region in self.regions(box, True):
            tables = self.tables(False, self.given_by(box))
            others = covering(region, others, tables)
        return others

    def meeting(self, box: int, others: int) -> int:
        """Return the bit set of those of the other boxes that surely share a packet with a box."""
        tables = self.tables(False, self.given_by(box))
        met = 0
        for region in self.regions(box, True):
            met |= touching(region, tables)
        return met & others

    def touching(self, box: int) -> int:
        """Return the bit set of the boxes that may surely share a packet with a box."""
        touched = self._layout.open
        for region in self.regions(box, False):
            touched |= touching(region, self.space.sure)
        return touched

    def holders(self, packet: Packet) -> int:
        """Return the bit set of the boxes that surely hold a packet."""
        return holders(packet, self.space.sure)

    def may_hold(self, box: int, packet: Packet, given: Given) -> bool:
        """Whether a box may hold a packet of which something is given."""
        return bool(holders(packet, self.tables(True, given)) >> box & 1)

    def doubts_of(self, box: int) -> set[str]:
        """Return the words that make a box uncertain; the empty one stands for portless packets."""
        return {word for _, word in self.given_by(box) or {(NEAR, "")}}

    def doubts(self, packet: Packet, boxes: int) -> list[str]:
        """Return the words that make it uncertain whether some boxes hold a packet."""
        may = holders(packet, self.space.maybe) & boxes
        doubted = may & ~self.holders(packet)
        return sorted(set().union(*map(self.doubts_of, bits(doubted))))

    def is_private(self, packet: Packet) -> bool:
        """Whether the far end of a packet's witness has an address of RFC 1918."""
        address = usable_address(*self.space.axes[FAR].run(packet[FAR]))
        return holds(PRIVATE, address)

    def witness(self, packet: Packet) -> Witness:
        """Return a real packet of these atoms: usable addresses, common ports."""
        far, near, protocol, port, source_port = [
            axis.run(atom) for axis, atom in zip(self.space.axes, packet, strict=True)
        ]
        there, here = dotted(usable_address(*far)), dotted(usable_address(*near))
        if self.direction is Direction.OUTBOUND:
            here, there = there, here
        return Witness(
            PROTOCOLS[protocol[0]],
            there,
            likely(source_port, (1024,)),
            here,
            likely(port, (443, 22)),
        )
