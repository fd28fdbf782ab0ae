"""One direction of an NSG as boxes in a space of packets, rules in the order in which Azure asks them.

The lowest priority that matches decides, Azure's default rules come last. A subnet's NSG sees inbound
only packets whose destination is in the subnet, outbound only packets whose source is: that is the
universe, and what a rule matches outside of it counts for nothing. NSGs are stateful: a flow is
judged by its first packet.

Source: "Network security groups" and "How network security groups filter network traffic", Microsoft
Learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from shared.nsg.extents import (
    ADDRESSES,
    OPPOSITES,
    PORT_LINE,
    PORTLESS,
    PROTOCOLS,
    WITH_PORTS,
    doubtful_word,
    ports_bounds,
    protocol_bounds,
    tag_background,
)
from shared.nsg.rules import Access, Direction, Flow, Protocol, SecurityRule
from shared.packets.axis import Axis
from shared.packets.space import Region, Space, Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.nsg.extents import Extents
    from shared.packets.axis import Bounds
    from shared.packets.intervals import Boundaries
    from shared.packets.space import Packet, Tables

ANY, VNET, INTERNET = ("*",), ("VirtualNetwork",), ("Internet",)


def default_rule(
    name: str, priority: int, access: Access, sources: tuple[str, ...], targets: tuple[str, ...]
) -> SecurityRule:
    """Return one of Azure's default rules; its name tells the direction."""
    direction = Direction.INBOUND if name.endswith("InBound") else Direction.OUTBOUND
    return SecurityRule(
        name, priority, direction, access, Flow(Protocol.ANY, sources, targets), "Azure's default"
    )


DEFAULT_RULES = (
    default_rule("AllowVnetInBound", 65000, Access.ALLOW, VNET, VNET),
    default_rule("AllowAzureLoadBalancerInBound", 65001, Access.ALLOW, ("AzureLoadBalancer",), ANY),
    default_rule("DenyAllInBound", 65500, Access.DENY, ANY, ANY),
    default_rule("AllowVnetOutBound", 65000, Access.ALLOW, VNET, VNET),
    default_rule("AllowInternetOutBound", 65001, Access.ALLOW, ANY, INTERNET),
    default_rule("DenyAllOutBound", 65500, Access.DENY, ANY, ANY),
)
"""The rules that Azure adds to every NSG and nobody can remove."""


@dataclass(frozen=True, slots=True)
class Witness:
    """One packet that shows something.

    Attributes:
        protocol: never `*`.
        source: IPv4 address.
        source_port: 0 where the protocol has none.
        destination: IPv4 address.
        destination_port: 0 where the protocol has none.
    """

    protocol: Protocol
    source: str
    source_port: int
    destination: str
    destination_port: int


@dataclass(frozen=True, slots=True)
class Box:
    """A flow inside the universe: bounds on each axis, and the words that make them uncertain."""

    bounds: tuple[Bounds, ...]
    far_word: str | None
    near_word: str | None

    @property
    def is_visible(self) -> bool:
        """Whether the NSG can see any packet of it."""
        return bool(self.bounds[1].maybe)


Given = frozenset[tuple[int, str]]
"""Words of which it is given that the packet is in their set, each with its axis."""

NOTHING_GIVEN: Given = frozenset()

Case = tuple[Given, int | None]
"""What is given in a case, and the box of its packets."""

FAR, NEAR = 0, 1


class Chain:
    """The rules of one direction in a universe, with some flows to ask about.

    Attributes:
        rules: in the order in which Azure asks them, the default rules last.
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
        self.rules = [*sorted(own, key=lambda rule: rule.priority), *defaults]
        self._extents, self._universe = extents, universe
        self._near: dict[int, Bounds] = {}
        self.boxes = [self._box(rule.flow) for rule in self.rules]
        self.boxes += [self._box(flow) for flow in flows]
        self._cases = self._add_cases()
        self.space = self._space()
        self.allows = sum(
            1 << i for i, rule in enumerate(self.rules) if rule.access is Access.ALLOW
        )
        self.is_exact = all(bounds.is_exact for box in self.boxes for bounds in box.bounds)
        self._tables: dict[tuple[bool, Given], Tables] = {}
        self._regions: dict[tuple[int, bool], list[Region]] = {}
        self._spans: dict[tuple[int, int, bool], Span] = {}
        self._legals: dict[tuple[int, ...], list[Region]] = {}

    def _box(self, flow: Flow) -> Box:
        inbound = self.direction is Direction.INBOUND
        far, near = (
            (flow.sources, flow.destinations) if inbound else (flow.destinations, flow.sources)
        )
        extents = self._extents
        far_bounds, anywhere = extents.bounds(far), extents.bounds(near)
        near_bounds = self._near.get(id(anywhere))
        if near_bounds is None:
            near_bounds = self._near[id(anywhere)] = extents.within(anywhere, self._universe)
        return Box(
            (
                far_bounds,
                near_bounds,
                protocol_bounds(flow.protocol),
                ports_bounds(flow.destination_ports),
                ports_bounds(flow.source_ports),
            ),
            None if far_bounds.is_exact else doubtful_word(far, far_bounds),
            None if near_bounds.is_exact else doubtful_word(near, near_bounds),
        )

    def _add_cases(self) -> list[Case]:
        """Tell apart, where it matters, packets from or to the virtual network and all others.

        Whatever `VirtualNetwork` holds, an address is in it or in `Internet`: looked at in turn, the
        two cases are more than what either set's bounds say.
        """
        if not any(box.far_word in OPPOSITES for box in self.boxes):
            return [(NOTHING_GIVEN, None)]
        cases: list[Case] = []
        for word in (VNET, INTERNET):
            bounds = (self._extents.bounds(word), *self.boxes[-1].bounds[1:])
            cases.append((frozenset({(FAR, word[0].lower())}), len(self.boxes)))
            self.boxes.append(Box(bounds, word[0].lower(), None))
        return cases

    def _space(self) -> Space:
        columns = list(zip(*(box.bounds for box in self.boxes), strict=True))
        names = frozenset(bounds.name for bounds in columns[FAR] if bounds.name is not None)
        background = tag_background(self._extents.tags, names)
        return Space(
            [
                Axis(columns[0], ADDRESSES, background=background),
                Axis(columns[1], ADDRESSES, cuts=self._universe),
                Axis(columns[2], len(PROTOCOLS), cuts=(WITH_PORTS,)),
                Axis(columns[3], PORT_LINE, cuts=(PORTLESS,)),
                Axis(columns[4], PORT_LINE, cuts=(PORTLESS,)),
            ]
        )

    # -- regions and tables -----------------------------------------------------------------------

    def regions(self, box: int, *, maybe: bool) -> list[Region]:
        """Return the packets that a box holds, or may hold, as regions of the space."""
        key = (box, maybe)
        if key not in self._regions:
            far, near, *others = self.boxes[box].bounds
            sides = (self._span(FAR, far, maybe), self._span(NEAR, near, maybe))
            self._regions[key] = [(*sides, *rest) for rest in self._legal(tuple(others), maybe)]
        return self._regions[key]

    def _span(self, axis: int, bounds: Bounds, maybe: bool) -> Span:
        key = (axis, id(bounds), maybe)
        span = self._spans.get(key)
        if span is None:
            line = self.space.axes[axis]
            if bounds.name is not None:
                atoms = line.atoms_named(bounds.name)
            else:
                atoms = line.atoms_of(bounds.maybe if maybe else bounds.sure)
            span = self._spans[key] = Span(atoms)
        return span

    def _legal(self, others: tuple[Bounds, ...], maybe: bool) -> list[Region]:
        """Part protocols and ports: TCP and UDP have ports, the other protocols have none."""
        key = (*map(id, others), maybe)
        if key not in self._legals:
            spans = [self._span(axis, bounds, maybe) for axis, bounds in enumerate(others, 2)]
            parts = zip(*map(self._parted, (2, 3, 4), spans), strict=True)
            self._legals[key] = [part for part in parts if all(span.atoms for span in part)]
        return self._legals[key]

    def _parted(self, axis: int, span: Span) -> tuple[Span, Span]:
        """Part one span into what packets with ports and packets without have on its axis."""
        line, limit = self.space.axes[axis], LIMITS[axis]
        with_ports = [atom for atom in span.atoms if line.run(atom)[0] < limit]
        without = [atom for atom in span.atoms if line.run(atom)[0] >= limit]
        return Span(with_ports), Span(without)

    def given_by(self, *boxes: int) -> Given:
        """Return what is given of a packet that is in these boxes."""
        if self.is_exact:
            return NOTHING_GIVEN
        words = (
            (axis, word)
            for box in boxes
            for axis, word in ((FAR, self.boxes[box].far_word), (NEAR, self.boxes[box].near_word))
        )
        return frozenset((axis, word) for axis, word in words if word is not None)

    def tables(self, *, maybe: bool, given: Given) -> Tables:
        """Return what each box counts as holding of packets of which something is given.

        A box that names a given word holds the packet on that axis, however little is known of the
        word's set; one that names its opposite does not.
        """
        tables = self.space.maybe if maybe else self.space.sure
        if not given:
            return tables
        key = (maybe, given)
        if key not in self._tables:
            self._tables[key] = tuple(
                self._adjusted(table, axis, given) for axis, table in enumerate(tables)
            )
        return self._tables[key]

    def _adjusted(self, table: list[int], axis: int, given: Given) -> list[int]:
        words = {word for place, word in given if place == axis}
        if not words:
            return table
        opposites = {OPPOSITES.get(word) for word in words} - {None}
        add = drop = 0
        for i, box in enumerate(self.boxes):
            word = (box.far_word, box.near_word)[axis]
            add |= (word in words) << i
            drop |= (word in opposites) << i
        return [(held | add) & ~drop for held in table]

    # -- questions --------------------------------------------------------------------------------

    def denied_by(self, flow: int, deny: int) -> Packet | None:
        """Return a packet of a flow that is surely denied, by this rule or maybe by one before it.

        No allow rule before it may hold the packet, and no deny rule before it surely does.
        """
        given = self.given_by(flow, deny)
        sure, maybe = (self.tables(maybe=maybe, given=given) for maybe in (False, True))
        tables = tuple(
            [m & self.allows | s & ~self.allows for s, m in zip(*pair, strict=True)]
            for pair in zip(sure, maybe, strict=True)
        )
        regions = self._shared((flow, deny), NOTHING_GIVEN, None, maybe=False)
        packets = (self.space.find(region, (1 << deny) - 1, tables) for region in regions)
        return next((packet for packet in packets if packet is not None), None)

    def find(self, boxes: tuple[int, ...], others: int, *, certain: bool) -> Packet | None:
        """Return a packet that all of some boxes hold and none of the others does.

        Args:
            boxes: one or two.
            others: bit set of boxes.
            certain: True finds a packet of which this holds whatever is unknown; False also one of
                which it may hold, so that None is certain.
        """
        given = self.given_by(*boxes)
        for known, case in [(NOTHING_GIVEN, None)] if certain else self._cases:
            theirs = self.tables(maybe=certain, given=given | known)
            for region in self._shared(boxes, known, case, maybe=not certain):
                packet = self.space.find(region, others, theirs)
                if packet is not None:
                    return packet
        return None

    def _shared(
        self, boxes: tuple[int, ...], known: Given, case: int | None, *, maybe: bool
    ) -> Iterator[Region]:
        """Yield the packets that all of these boxes hold, in a case."""
        first, *others = boxes
        mine = self.tables(maybe=maybe, given=self.given_by(first) | known)
        if case is not None and self.boxes[first].far_word is not None:
            others = [*others, first]  # in a case, even the first box may hold less
        for region in self.regions(first, maybe=maybe):
            for box in others:
                region = tuple(  # noqa: PLW2901 - what is left of it
                    span.held_by(box, table) for span, table in zip(region, mine, strict=True)
                )
            if case is not None:
                far = region[FAR].held_by(case, self.space.maybe[FAR])
                region = (far, *region[1:])  # noqa: PLW2901 - what is left of it
            yield region

    def meeting(self, box: int, others: int, *, maybe: bool) -> int:
        """Return the bit set of those of the other boxes that share a packet with a box, or may."""
        tables = self.tables(maybe=maybe, given=self.given_by(box))
        met = 0
        for region in self.regions(box, maybe=maybe):
            met |= self.space.touching(region, tables)
        return met & others

    def holding(self, box: int, others: int) -> int:
        """Return the bit set of those of the other boxes that surely hold all of a box."""
        tables = self.tables(maybe=False, given=self.given_by(box))
        held = others
        for region in self.regions(box, maybe=True):
            for span, table in zip(region, tables, strict=True):
                held &= span.held_whole(table) if span.atoms else -1
        return held

    def doubts_at(self, packet: Packet, boxes: int, given: Given) -> int:
        """Return the bit set of those boxes that may hold a packet, and may not."""
        may = self.space.holders(packet, self.tables(maybe=True, given=given))
        does = self.space.holders(packet, self.tables(maybe=False, given=given))
        return may & ~does & boxes

    def witness(self, packet: Packet) -> Witness:
        """Return a real packet of these atoms: usable addresses, common ports."""
        far, near, protocol, port, source_port = (
            axis.run(atom) for axis, atom in zip(self.space.axes, packet, strict=True)
        )
        there, here = (str(IPv4Address(usable_address(*run))) for run in (far, near))
        inbound = self.direction is Direction.INBOUND
        return Witness(
            protocol=PROTOCOLS[protocol[0]],
            source=there if inbound else here,
            source_port=likely(source_port, (1024,)),
            destination=here if inbound else there,
            destination_port=likely(port, (443, 22)),
        )


LIMITS = (0, 0, WITH_PORTS, PORTLESS, PORTLESS)
"""Where on each axis the values of packets without ports begin."""

RESERVED = 4
"""Addresses at the start of a subnet that no host has.

Source: "Virtual network frequently asked questions", Microsoft Learn: the first four and the last.
"""


def usable_address(first: int, end: int) -> int:
    """Return an address of a run; one that a host may have where the run is a subnet."""
    return min(first + RESERVED, end - 1)


def likely(run: tuple[int, int], ports: tuple[int, ...]) -> int:
    """Return a port of a run, one of these if it can be; 0 for a packet without ports."""
    first, end = run
    if first >= PORTLESS:
        return 0
    return next((port for port in ports if first <= port < end), max(first, min(1, end - 1)))
