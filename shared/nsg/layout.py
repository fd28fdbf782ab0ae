"""The rules of one direction, and flows to ask about, as boxes in a space of packets.

The axes are the address at the far end, the address in the subnet, the protocol, the destination port
and the source port. Packets of TCP and UDP have ports, others have none: a box has up to two *parts*,
one for each kind of packets. Boxes that say the same of an axis share a span there.

A subnet's NSG sees inbound only packets whose destination is in the subnet, outbound only packets
whose source is: that is the universe, and what a rule matches outside of it counts for nothing.

Source: "How network security groups filter network traffic", Microsoft Learn.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from shared.nsg.extents import (
    ADDRESSES,
    OPPOSITES,
    PORT_LINE,
    doubtful_word,
    portless_bounds,
    ports_bounds,
    tag_background,
)
from shared.nsg.rules import Direction, Protocol
from shared.packets.axis import Axis, Bounds, Span
from shared.packets.background import BackgroundAxis
from shared.packets.region import Tail
from shared.packets.space import Space, bits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shared.nsg.extents import Extents
    from shared.nsg.rules import Flow
    from shared.nsg.service_tags import ServiceTags
    from shared.packets.intervals import Boundaries
    from shared.packets.region import Region, Tables

Words = tuple[str, ...]

Given = frozenset[tuple[int, str]]
"""Words of which it is given that a packet is in their set, each with its axis."""

NOTHING_GIVEN: Given = frozenset()

FAR, NEAR = 0, 1
"""The axes of addresses: the other end's, and that of the subnet that the NSG filters."""

PROTOCOLS = (Protocol.TCP, Protocol.UDP, Protocol.ICMP, Protocol.ESP, Protocol.AH)
"""The values on the axis of protocols."""

WITH_PORTS = 2
"""So many of them, the first, have ports."""


class Spans(dict[Words, Span]):
    """The spans of one axis by the words for them, each made when its words are first met."""

    def __init__(self, meaning: Callable[[Words], Bounds]) -> None:
        super().__init__()
        self._meaning = meaning

    def __missing__(self, words: Words) -> Span:
        span = self[words] = Span(self._meaning(words))
        return span


def protocol_spans() -> dict[Protocol, tuple[Span | None, Span | None]]:
    """Return what each protocol holds of those with ports, and of those without."""
    spans: dict[Protocol, tuple[Span | None, Span | None]] = {
        Protocol.ANY: (
            Span(Bounds((0, WITH_PORTS))),
            Span(Bounds((WITH_PORTS, len(PROTOCOLS)))),
        )
    }
    for i, protocol in enumerate(PROTOCOLS):
        span = Span(Bounds((i, i + 1)))
        spans[protocol] = (span, None) if i < WITH_PORTS else (None, span)
    return spans


class Layout:
    """The boxes of some flows of one direction.

    Attributes:
        space: flow i is box i.
        words: of each box whose addresses are uncertain, the words that make them so.
        open: bit set of the boxes about which something is unknown.
    """

    def __init__(
        self, direction: Direction, flows: Iterable[Flow], extents: Extents, universe: Boundaries
    ) -> None:
        """Lay out flows; see `Chain`."""
        self._inbound = direction is Direction.INBOUND
        self._far = Spans(extents.bounds)
        self._near = Spans(lambda words: extents.bounds_within(words, universe))
        self._protocols = protocol_spans()
        self._ports, self._source_ports = Spans(ports_bounds), Spans(ports_bounds)
        self._portless, self._source_portless = Spans(portless_bounds), Spans(portless_bounds)
        self._tails: dict[tuple[Words, Protocol, Words, Words], list[Tail]] = {}
        self._parts = [self._add(1 << box, flow) for box, flow in enumerate(flows)]
        self._count_tails()
        columns = self._columns()
        self.open = open_boxes(columns)
        self.words, self._naming = self._name_doubts()
        self.space = space_of(columns, extents.tags)
        self._regions: dict[tuple[int, bool], list[Region]] = {}
        self._tables: dict[tuple[bool, Given], Tables] = {}

    def _add(self, bit: int, flow: Flow) -> list[Region]:
        """Add a box; return its parts. What lies outside the universe has none."""
        far, near = flow.sources, flow.destinations
        if not self._inbound:
            far, near = near, far
        key = (near, flow.protocol, flow.destination_ports, flow.source_ports)
        tails = self._tails.get(key)
        if tails is None:
            tails = self._tails[key] = self._make_tails(*key)
        there = self._far[far]
        if not tails or there.maybe.is_empty:
            return []
        there.boxes |= bit
        for tail in tails:
            tail.boxes |= bit
        return [(there, tail) for tail in tails]

    def _make_tails(
        self, near: Words, protocol: Protocol, ports: Words, source_ports: Words
    ) -> list[Tail]:
        """Return what a box holds beside its far end, in packets with ports and in those without."""
        here = self._near[near]
        if here.maybe.is_empty:
            return []
        tails = []
        with_ports, without = self._protocols[protocol]
        if with_ports:
            spans = self._ports[ports], self._source_ports[source_ports]
            tails.append(Tail((here, with_ports, *spans)))
        if without:
            spans = self._portless[ports], self._source_portless[source_ports]
            tails.append(Tail((here, without, *spans)))
        return tails

    def _count_tails(self) -> None:
        """Tell the spans of each tail which boxes have it."""
        for tails in self._tails.values():
            for tail in tails:
                for span in tail.spans:
                    span.boxes |= tail.boxes

    def _columns(self) -> tuple[list[Span], ...]:
        """Return the spans of each axis."""
        return (
            [*self._far.values()],
            [*self._near.values()],
            [span for spans in self._protocols.values() for span in spans if span],
            [*self._ports.values(), *self._portless.values()],
            [*self._source_ports.values(), *self._source_portless.values()],
        )

    def _name_doubts(self) -> tuple[dict[int, Given], dict[tuple[int, str], int]]:
        """Return the words that make each box's addresses uncertain, and each word's boxes."""
        words: dict[int, Given] = defaultdict(frozenset)
        naming: dict[tuple[int, str], int] = defaultdict(int)
        for axis, spans in ((FAR, self._far), (NEAR, self._near)):
            for side, span in spans.items():
                if span.maybe is not span:
                    word = (axis, doubtful_word(side))
                    naming[word] |= span.boxes
                    for box in bits(span.boxes):
                        words[box] |= {word}
        return dict(words), dict(naming)

    def regions(self, box: int, maybe: bool) -> list[Region]:
        """Return the packets that a box holds, or may hold, as regions of the space."""
        if not self.open >> box & 1:
            return self._parts[box]
        found = self._regions.get((box, maybe))
        if found is None:
            parts = self._parts[box]
            if maybe:
                parts = [(span.maybe, tail.maybe) for span, tail in parts]
            found = [(s, tail) for s, tail in parts if not (s.is_empty or tail.is_empty)]
            self._regions[box, maybe] = found
        return found

    def given_by(self, box: int) -> Given:
        """Return what is given of a packet that is in a box."""
        return self.words.get(box, NOTHING_GIVEN)

    def is_open_by_ports(self, box: int) -> bool:
        """Whether it is unknown if a box holds packets without ports."""
        return any(
            span.maybe is not span for _, tail in self._parts[box] for span in tail.spans[1:]
        )

    def tables(self, maybe: bool, given: Given) -> Tables:
        """Return what each box counts as holding of packets of which something is given.

        A box that names a given word, and may hold the packet on that axis, does; one that names its
        opposite, and is not sure to, does not.
        """
        if not given:
            return self.space.maybe if maybe else self.space.sure
        found = self._tables.get((maybe, given))
        if found is None:
            far, near = (self._adjusted(axis, given, maybe=maybe) for axis in (FAR, NEAR))
            _, rest = self.space.maybe if maybe else self.space.sure
            rest = rest if near is rest[0] else (near, *rest[1:])
            found = self._tables[maybe, given] = (far, rest)
        return found

    def _adjusted(self, axis: int, given: Given, *, maybe: bool) -> list[int]:
        sure_table, maybe_table = self.space.axes[axis].sure, self.space.axes[axis].maybe
        pairs = zip(sure_table, maybe_table, strict=True)
        here = [word for place, word in given if place == axis]
        if maybe:
            opposites = [OPPOSITES[word] for word in here if word in OPPOSITES]
            others = self._boxes_naming(axis, opposites)
            not_others = ~others
            return [may & (does | not_others) for does, may in pairs] if others else maybe_table
        same = self._boxes_naming(axis, here)
        return [does | may & same for does, may in pairs] if same else sure_table

    def _boxes_naming(self, axis: int, words: Iterable[str]) -> int:
        boxes = 0
        for word in words:
            boxes |= self._naming.get((axis, word), 0)
        return boxes


def open_boxes(columns: Iterable[Iterable[Span]]) -> int:
    """Return the bit set of the boxes about which something is unknown."""
    boxes = 0
    for spans in columns:
        for span in spans:
            if span.maybe is not span:
                boxes |= span.boxes
    return boxes


def space_of(columns: tuple[list[Span], ...], tags: ServiceTags) -> Space:
    """Cut the axes."""
    far, near, protocols, ports, source_ports = columns
    names = frozenset(span.bounds.name for span in far if span.bounds.name is not None)
    return Space(
        [
            BackgroundAxis(far, ADDRESSES, tag_background(tags, names)),
            Axis(near, ADDRESSES),
            Axis(protocols, len(PROTOCOLS)),
            Axis(ports, PORT_LINE),
            Axis(source_ports, PORT_LINE),
        ]
    )
