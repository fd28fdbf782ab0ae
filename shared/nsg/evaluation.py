"""One direction of an NSG: its rules in the order in which Azure asks them, and questions to them.

The lowest priority that matches decides, Azure's default rules come last. NSGs are stateful: a flow
is judged by its first packet. `layout` makes boxes of the rules.

Source: "Network security groups" and "How network security groups filter network traffic", Microsoft
Learn.
"""

from __future__ import annotations

from collections import defaultdict
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from shared.nsg.default_rules import DEFAULT_RULES
from shared.nsg.extents import read_prefix
from shared.nsg.layout import FAR, PROTOCOLS, Layout
from shared.nsg.rules import Access, Direction
from shared.nsg.witness import Witness, dotted, likely, usable_address
from shared.packets.budget import TooIntricateError
from shared.packets.intervals import holds, union
from shared.packets.region import first_packet
from shared.packets.space import Order, bits, deciders, find, lowest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.nsg.extents import Extents
    from shared.nsg.layout import Case
    from shared.nsg.rules import Flow, SecurityRule
    from shared.packets.intervals import Boundaries
    from shared.packets.region import Packet, Region, View

PRIVATE = union(read_prefix(p) or () for p in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))


class Answer(NamedTuple):
    """Who decides a packet.

    Attributes:
        cases: for each case that the packet may be of, the first rule that surely holds it and the
            rules before that which may, as bit sets.
        packet: one of those with this answer.
    """

    cases: tuple[tuple[int, int], ...]
    packet: Packet


class Chain:
    """The rules of one direction in a universe, with some flows to ask about.

    Attributes:
        own_rules: in the order in which Azure asks them.
        rules: the same, and behind them the default rules.
        every: bit set of all of them: rule i is box i, flow k is box len(rules) + k.
        allows: bit set of the allow rules.
        maybe: for each box, the packets that it may hold, as regions of the space.
        surely: for each box, those that it holds in any case; the same list where all is known.
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
        self.every = (1 << len(self.rules)) - 1
        self.allows = sum(
            [1 << i for i, rule in enumerate(self.rules) if rule.access is Access.ALLOW]
        )
        boxes = [*[rule.flow for rule in self.rules], *flows]
        self._layout = Layout(direction, boxes, extents, universe)
        self._space = self._layout.space
        self.maybe, self.surely = self._layout.maybe, self._layout.surely
        self._in_a_case = sum(self._layout.naming.values())
        self._answers: dict[tuple[int, bool], list[Answer]] = {}

    def _cases_of(self, *boxes: int) -> list[Case]:
        """Return the cases in which all of some boxes hold packets."""
        mask = 0
        for box in boxes:
            mask |= 1 << box
        return [case for case in self._layout.cases if not case.void & mask]

    def _sure_given(self, *boxes: int) -> View:
        """Return the view of what boxes surely hold of packets that are in some boxes."""
        if not self._layout.words:
            return self._space.sure
        given = self._layout.given_by(boxes[0])
        return self._layout.sure_given(given.union(*map(self._layout.given_by, boxes[1:])))

    # -- a packet of a box, outside of others -----------------------------------------------------

    def find(self, box: int, others: int, *, certain: bool) -> Packet | None:
        """Return a packet that a box holds and none of the others does.

        Args:
            box: where to look.
            others: bit set of boxes.
            certain: True finds a packet of which this holds whatever is unknown; False also one of
                which it may hold, so that None is certain.
        """
        if certain:
            return self._outside(self.surely[box], others)
        return self._perhaps_outside(self.maybe[box], others, (box,))

    def find_shared(self, boxes: tuple[int, int], others: int, *, certain: bool) -> Packet | None:
        """Return a packet that two boxes hold and none of the others does; see `find`."""
        first, second = boxes
        if certain:
            return self._outside(self._surely_shared(first, second), others)
        regions = (self._space.maybe.shared(region, second) for region in self.maybe[first])
        return self._perhaps_outside([region for region in regions if region], others, boxes)

    def _outside(self, regions: Sequence[Region], others: int) -> Packet | None:
        """Return a packet of some regions that none of the others may hold."""
        for region in regions:
            packet = find(region, others, self._space.maybe)
            if packet is not None:
                return packet
        return None

    def _perhaps_outside(
        self, regions: Sequence[Region], others: int, boxes: tuple[int, ...]
    ) -> Packet | None:
        """Return a packet of regions of some boxes of which it is not sure that another holds it."""
        view = self._sure_given(*boxes)
        for case in self._cases_of(*boxes):
            for region in regions:
                packet = find(region, case.of(others), view)
                if packet is not None:
                    return packet
        return None

    def _surely_shared(self, first: int, second: int) -> list[Region]:
        """Return the packets that two boxes hold in any case, as regions."""
        view, layout = self._sure_given(first), self._layout
        boxes = [second]
        boxes += [layout.certain[side] for side, b in layout.naming.items() if b >> second & 1]
        regions: list[Region | None] = [*self.surely[first]]
        for box in boxes:
            regions = [region and view.shared(region, box) for region in regions]
        return [region for region in regions if region]

    def far_end_cut_off(self, flow: int, deny: int) -> Boundaries:
        """Return the addresses at a flow's other end that a deny rule takes from it, in part or all.

        Those that the same earlier rules may hold are asked about together.
        """
        before, far_axis, view = (1 << deny) - 1, self._space.axes[FAR], self._space.maybe
        found: set[int] = set()
        for far, tail in self._surely_shared(flow, deny):
            alike: dict[int, list[int]] = defaultdict(list)
            for atom in far_axis.every(far):
                alike[view.tables[FAR][atom] & before].append(atom)
            for atoms in alike.values():
                if find((far.part(atoms[:1]), tail), before, view) is not None:
                    found.update(atoms)
        return far_axis.runs_of(found)

    # -- who holds what ---------------------------------------------------------------------------

    def first_holders(self) -> list[int]:
        """Return for each rule the boxes that may hold its first packet, beside itself.

        Where it surely holds none, every box counts as holding it.
        """
        first_holders = self._space.maybe.first_holders
        rules = self.surely[: len(self.rules)]
        return [first_holders(regions[0]) if regions else -1 for regions in rules]

    def first_packet(self, rule: int) -> Packet:
        """Return the first packet that a rule surely holds."""
        return first_packet(self.surely[rule][0])

    def covering(self, box: int) -> int:
        """Return the bit set of boxes that surely hold all that a box may hold, itself included."""
        view, covers = self._sure_given(box), ~self._in_a_case
        if self._in_a_case >> box & 1:
            (case,) = self._cases_of(box)
            covers = ~case.void
        for region in self.maybe[box]:
            covers &= view.covering(region)
        return covers

    def meeting(self, box: int) -> int:
        """Return the bit set of the rules that may share a packet with a box."""
        met = 0
        for region in self.maybe[box]:
            met |= self._space.maybe.touching(region)
        return met & self.every

    def holders(self, packet: Packet) -> int:
        """Return the bit set of the boxes that surely hold a packet."""
        held = self._space.sure.holders(packet)
        for side, boxes in self._layout.naming.items():
            if not held >> self._layout.certain[side] & 1:
                held &= ~boxes
        return held

    def may_hold(self, packet: Packet) -> int:
        """Return the bit set of the boxes that may hold a packet."""
        return self._space.maybe.holders(packet)

    # -- who decides ------------------------------------------------------------------------------

    def deciders(self, flow: int, *, certain: bool) -> list[Answer]:
        """Return each different answer to which rule decides a packet of a flow.

        Args:
            flow: a box.
            certain: True asks about the packets that are surely of the flow, False about all that
                may be.
        """
        regions = self.surely[flow] if certain else self.maybe[flow]
        known = flow, regions is self.maybe[flow]
        if known not in self._answers:
            self._answers[known] = list(self._decided(flow, regions))
        return self._answers[known]

    def may_decide(self, flow: int) -> int:
        """Return the bit set of the rules that may decide a packet of a flow.

        Where there are too many kinds of packets to tell, all that may share one with it.
        """
        try:
            answers = self.deciders(flow, certain=False)
        except TooIntricateError:
            return self.meeting(flow)
        found = 0
        for answer in answers:
            for first, doubts in answer.cases:
                found |= first | doubts
        return found

    def _decided(self, flow: int, regions: Sequence[Region]) -> Iterator[Answer]:
        cases, view = self._cases_of(flow), self._sure_given(flow)
        if len(cases) > 1:
            asked, final = self.every, self.every & ~self._in_a_case
        else:
            asked = final = self.every & ~cases[0].void
        order = Order(asked, final, aside=sum(case.barred for case in cases))
        for region in regions:
            answers = deciders(region, order, view, self._space.maybe)
            for (held, may), packet in answers.items():
                each = [
                    decided(held & asked & ~case.void, may & asked & ~case.void)
                    for case in cases
                    if not held & case.barred
                ]
                yield Answer(tuple(each), packet)

    # -- words ------------------------------------------------------------------------------------

    def doubts_of(self, box: int) -> set[str]:
        """Return the words that make a box uncertain; the empty one stands for portless packets."""
        words = {word for _, word in self._layout.given_by(box)}
        words |= {side for side, boxes in self._layout.naming.items() if boxes >> box & 1}
        return words or {""}

    def doubts(self, packet: Packet, boxes: int) -> list[str]:
        """Return the words that make it uncertain whether some boxes hold a packet."""
        doubted = self.may_hold(packet) & ~self.holders(packet) & boxes
        return sorted(set().union(*map(self.doubts_of, bits(doubted))))

    def is_private(self, packet: Packet) -> bool:
        """Whether the far end of a packet's witness has an address of RFC 1918."""
        address = usable_address(*self._space.axes[FAR].run(packet[FAR]))
        return holds(PRIVATE, address)

    def witness(self, packet: Packet) -> Witness:
        """Return a real packet of these atoms: usable addresses, common ports."""
        far, near, protocol, port, source_port = [
            axis.run(atom) for axis, atom in zip(self._space.axes, packet, strict=True)
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


def decided(held: int, may: int) -> tuple[int, int]:
    """Return the first of the rules that surely hold a packet, and those before it that may."""
    first = lowest(held)
    return first, may & ~held & (first - 1)
