"""One direction of an NSG as boxes in a space of packets, rules in the order in which Azure asks them.

The lowest priority that matches decides, Azure's default rules come last. A subnet's NSG sees inbound
only packets whose destination is in the subnet, outbound only packets whose source is: that is the
universe, and what a rule matches outside of it counts for nothing. NSGs are stateful: a flow is
judged by its first packet.

Source: "Network security groups" and "How network security groups filter network traffic", Microsoft
Learn.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from shared.nsg.default_rules import DEFAULT_RULES
from shared.nsg.extents import (
    ADDRESSES,
    OPPOSITES,
    PORT_LINE,
    PORTLESS,
    PROTOCOLS,
    VIRTUAL_NETWORK,
    WITH_PORTS,
    doubtful_word,
    ports_bounds,
    protocol_bounds,
    read_prefix,
    tag_background,
)
from shared.nsg.extents import INTERNET as OUTSIDE
from shared.nsg.rules import Access, Direction
from shared.nsg.witness import Witness, dotted, likely, usable_address
from shared.packets.axis import Axis
from shared.packets.intervals import holds, union
from shared.packets.space import Space, Span, bits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.nsg.extents import Extents
    from shared.nsg.rules import Flow, SecurityRule
    from shared.packets.axis import Bounds
    from shared.packets.intervals import Boundaries
    from shared.packets.space import Packet, Region, Tables

Given = frozenset[tuple[int, str]]
"""Words of which it is given that a packet is in their set, each with its axis."""

NOTHING_GIVEN: Given = frozenset()

FAR, NEAR = 0, 1
"""The axes of addresses: the other end's, and that of the subnet that the NSG filters."""

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
        is_exact: whether all is known, so that what is possible is certain.
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
        self._words: dict[int, Given] = {}
        self._columns: tuple[list[Bounds], ...] = ([], [], [], [], [])
        for flow in (*(rule.flow for rule in self.rules), *flows):
            self._add(flow, extents, universe)
        self.is_exact = all(bounds.is_exact for column in self._columns for bounds in set(column))
        self.space = self._space(extents, universe)
        self._tables: dict[tuple[bool, Given], Tables] = {}
        self._spans: dict[tuple[int, int, bool], Span] = {}
        self._parts: dict[tuple[int, int, bool], tuple[Span, Span]] = {}
        self._legals: dict[tuple[int, ...], list[Region]] = {}
        self._regions: dict[bool, dict[int, list[Region]]] = {False: {}, True: {}}

    def _add(self, flow: Flow, extents: Extents, universe: Boundaries) -> None:
        """Add a box for a flow, and note the words that make its bounds uncertain."""
        far_words, near_words = flow.sources, flow.destinations
        if self.direction is Direction.OUTBOUND:
            far_words, near_words = near_words, far_words
        far, near = extents.bounds(far_words), extents.bounds_within(near_words, universe)
        if not (far.is_exact and near.is_exact):
            ends = ((FAR, far_words, far), (NEAR, near_words, near))
            self._words[len(self._columns[FAR])] = frozenset(
                (axis, doubtful_word(words)) for axis, words, end in ends if not end.is_exact
            )
        self._columns[0].append(far)
        self._columns[1].append(near)
        self._columns[2].append(protocol_bounds(flow.protocol))
        self._columns[3].append(ports_bounds(flow.destination_ports))
        self._columns[4].append(ports_bounds(flow.source_ports))

    def _space(self, extents: Extents, universe: Boundaries) -> Space:
        far, near, protocols, ports, source_ports = self._columns
        names = frozenset(bounds.name for bounds in far if bounds.name is not None)
        return Space(
            [
                Axis(far, ADDRESSES, background=tag_background(extents.tags, names)),
                Axis(near, ADDRESSES, cuts=universe),
                Axis(protocols, len(PROTOCOLS), cuts=(WITH_PORTS,)),
                Axis(ports, PORT_LINE, cuts=(PORTLESS,)),
                Axis(source_ports, PORT_LINE, cuts=(PORTLESS,)),
            ]
        )

    # -- regions and tables -----------------------------------------------------------------------

    def regions(self, box: int, *, maybe: bool) -> list[Region]:
        """Return the packets that a box holds, or may hold, as regions of the space."""
        known = self._regions[maybe]
        found = known.get(box)
        if found is None:
            far, near, *others = [column[box] for column in self._columns]
            there, here = self._span(FAR, far, maybe), self._span(NEAR, near, maybe)
            legal = self._legal(tuple(others), maybe) if there.atoms and here.atoms else []
            found = known[box] = [(there, here, *rest) for rest in legal]
        return found

    def _span(self, axis: int, bounds: Bounds, maybe: bool) -> Span:
        maybe = maybe and bool(bounds.doubt)
        key = (axis, id(bounds), maybe)
        span = self._spans.get(key)
        if span is None:
            line = self.space.axes[axis]
            if bounds.name is not None:
                atoms = line.atoms_named(bounds.name)
            else:
                atoms = line.atoms_of(bounds.sure)
                if maybe:
                    atoms = list(dict.fromkeys(atoms + line.atoms_of(bounds.doubt)))
            span = self._spans[key] = Span(atoms)
        return span

    def _legal(self, others: tuple[Bounds, ...], maybe: bool) -> list[Region]:
        """Part protocols and ports: TCP and UDP have ports, the other protocols have none."""
        key = (*map(id, others), maybe)
        found = self._legals.get(key)
        if found is None:
            parted = [self._parted(axis, bounds, maybe) for axis, bounds in enumerate(others, 2)]
            found = [part for part in zip(*parted, strict=True) if all(span.atoms for span in part)]
            self._legals[key] = found
        return found

    def _parted(self, axis: int, bounds: Bounds, maybe: bool) -> tuple[Span, Span]:
        """Part what packets with ports and packets without have on an axis; it is cut in between."""
        key = (axis, id(bounds), maybe)
        parts = self._parts.get(key)
        if parts is None:
            atoms, zones = self._span(axis, bounds, maybe).atoms, self.space.axes[axis].zones
            with_ports = Span([atom for atom in atoms if not zones[atom]])
            parts = with_ports, Span([atom for atom in atoms if zones[atom]])
            self._parts[key] = parts
        return parts

    def given_by(self, box: int) -> Given:
        """Return what is given of a packet that is in a box."""
        return self._words.get(box, NOTHING_GIVEN)

    def tables(self, *, maybe: bool, given: Given = NOTHING_GIVEN) -> Tables:
        """Return what each box counts as holding of packets of which something is given.

        A box that names a given word, and may hold the packet on that axis, does; one that names its
        opposite, and is not sure to, does not.
        """
        if not given:
            return self.space.maybe if maybe else self.space.sure
        key = (maybe, given)
        if key not in self._tables:
            self._tables[key] = tuple(
                self._adjusted(axis, given, maybe) for axis in range(len(self.space.axes))
            )
        return self._tables[key]

    def _adjusted(self, axis: int, given: Given, maybe: bool) -> list[int]:
        sure_table, maybe_table = self.space.sure[axis], self.space.maybe[axis]
        opposites = {(place, OPPOSITES[word]) for place, word in given if word in OPPOSITES}
        same = other = 0
        for box, words in self._words.items():
            here = {(place, word) for place, word in words if place == axis}
            same |= bool(here & given) << box
            other |= bool(here & opposites) << box
        if not (same or other):
            return maybe_table if maybe else sure_table
        pairs = zip(sure_table, maybe_table, strict=True)
        if maybe:
            return [may & ~(other & ~does) for does, may in pairs]
        return [does | may & same for does, may in pairs]

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

    def find_in_cases(self, box: int, others: int) -> Packet | None:
        """Return what `find` returns that is not certain, or None where both cases rule it out."""
        if self.find(box, others, certain=False) is None:
            return None
        given = self.given_by(box)
        cases = (self._find_given(box, others, False, given | case) for case in CASES)
        return next((packet for packet in cases if packet is not None), None)

    def _find_given(self, box: int, others: int, certain: bool, given: Given) -> Packet | None:
        tables = self.tables(maybe=certain, given=given)
        for region in self.regions(box, maybe=not certain):
            packet = self.space.find(region, others, tables)
            if packet is not None:
                return packet
        return None

    def find_shared(self, boxes: tuple[int, int], others: int, *, certain: bool) -> Packet | None:
        """Return a packet that two boxes hold and none of the others does; see `find`."""
        first, second = boxes
        mine = self.tables(maybe=not certain, given=self.given_by(first))
        theirs = self.tables(maybe=certain, given=self.given_by(first) | self.given_by(second))
        for region in self.regions(first, maybe=not certain):
            pairs = zip(region, mine, strict=True)
            shared = tuple(span.held_by(second, table) for span, table in pairs)
            if all(span.atoms for span in shared):
                packet = self.space.find(shared, others, theirs)
                if packet is not None:
                    return packet
        return None

    def far_end_cut_off(self, flow: int, deny: int) -> Boundaries:
        """Return the addresses at a flow's other end that a deny rule takes from it, in part or all."""
        sure, given = self.space.sure, self.given_by(flow) | self.given_by(deny)
        others, theirs = (1 << deny) - 1, self.tables(maybe=True, given=given)
        found: set[int] = set()
        for far, *rest in self.regions(flow, maybe=False):
            pairs = zip(rest, sure[NEAR:], strict=True)
            shared = [span.held_by(deny, table) for span, table in pairs]
            if all(span.atoms for span in shared):
                atoms = far.held_by(deny, sure[FAR]).atoms
                regions = ((atom, (Span([atom]), *shared)) for atom in atoms)
                found.update(a for a, r in regions if self.space.find(r, others, theirs))
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
        sure, maybe = (self.tables(maybe=maybe, given=given) for maybe in (False, True))
        for region in self.regions(flow, maybe=not certain):
            answers = self.space.deciders(region, every, sure, maybe)
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
        words = self._words.get(box, NOTHING_GIVEN)
        exact = all(column[box].is_exact for column in self._columns[2:])
        return words if exact else words | {(len(self._columns), "ports")}

    def holding(self, box: int, others: int) -> int:
        """Return the bit set of those of the other boxes that surely hold all of a box."""
        tables = self.tables(maybe=False, given=self.given_by(box))
        held = others
        for region in self.regions(box, maybe=True):
            held &= self.space.holding(region, tables)
        return held

    def meeting(self, box: int, others: int) -> int:
        """Return the bit set of those of the other boxes that surely share a packet with a box."""
        tables = self.tables(maybe=False, given=self.given_by(box))
        met = 0
        for region in self.regions(box, maybe=True):
            met |= self.space.touching(region, tables)
        return met & others

    def holds(self, box: int, packet: Packet) -> bool:
        """Whether a box surely holds a packet."""
        return bool(self.space.holders(packet, self.space.sure) >> box & 1)

    def doubts(self, packet: Packet, boxes: int) -> list[str]:
        """Return the words that make it uncertain whether some boxes hold a packet.

        The empty word stands for the ports of a packet without ports.
        """
        may = self.space.holders(packet, self.space.maybe) & boxes
        doubted = may & ~self.space.holders(packet, self.space.sure)
        words = [self._words.get(box, {(NEAR, "")}) for box in bits(doubted)]
        return sorted({word for given in words for _, word in given})

    def is_private(self, packet: Packet) -> bool:
        """Whether the far end of a packet's witness has an address of RFC 1918."""
        address = usable_address(*self.space.axes[FAR].run(packet[FAR]))
        return holds(PRIVATE, address)

    def witness(self, packet: Packet) -> Witness:
        """Return a real packet of these atoms: usable addresses, common ports."""
        far, near, protocol, port, source_port = (
            axis.run(atom) for axis, atom in zip(self.space.axes, packet, strict=True)
        )
        there, here = (dotted(usable_address(*run)) for run in (far, near))
        inbound = self.direction is Direction.INBOUND
        return Witness(
            protocol=PROTOCOLS[protocol[0]],
            source=there if inbound else here,
            source_port=likely(source_port, (1024,)),
            destination=here if inbound else there,
            destination_port=likely(port, (443, 22)),
        )
