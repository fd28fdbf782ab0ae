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
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, NamedTuple

from shared.nsg.extents import (
    ADDRESSES,
    PORT_LINE,
    SIDES,
    doubtful_word,
    portless_bounds,
    ports_bounds,
    tag_background,
)
from shared.nsg.rules import ANY, Direction, Flow, Protocol
from shared.packets.axis import Axis, Bounds, Span
from shared.packets.background import BackgroundAxis
from shared.packets.intervals import union
from shared.packets.region import Tail, View
from shared.packets.space import Space, bits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from shared.nsg.extents import Extents
    from shared.nsg.service_tags import ServiceTags
    from shared.packets.intervals import Boundaries
    from shared.packets.region import Region

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


class Case(NamedTuple):
    """One way in which what is not known of `VirtualNetwork` may be for a packet.

    Attributes:
        void: bit set of the boxes that hold no packet then.
        barred: bit set of a box of packets of which this cannot be so.
    """

    void: int = 0
    barred: int = 0

    def of(self, others: int) -> int:
        """Return the boxes to stay outside of, in this case, to be outside of some others."""
        return others & ~self.void | self.barred


class Spans(dict[Words, Span]):
    """The spans of one axis by the words for them, each made when its words are first met."""

    def __init__(self, meaning: Callable[[Words], Bounds]) -> None:
        super().__init__()
        self._meaning = meaning

    def __missing__(self, words: Words) -> Span:
        span = self[words] = Span(self._meaning(words))
        return span


CERTAINLY = "certainly in"
"""No rule's word, with a side's behind it: together they stand for what that surely holds."""


class FarSpans(Spans):
    """The spans of the far end; those of `SIDES` hold all that they may."""

    def __init__(self, extents: Extents) -> None:
        super().__init__(extents.bounds)
        self._sides: dict[str, list[Span]] = {side: [] for side in SIDES}

    def __missing__(self, words: Words) -> Span:
        if words[0] == CERTAINLY:
            span = self[words] = Span(Bounds(self._meaning(words[1:]).sure))
            return span
        bounds = self._meaning(words)
        side = bounds.doubt and doubtful_word(words)
        if side in SIDES:
            span = self[words] = Span(Bounds(union(bounds[:2])))
            self._sides[side].append(span)
        else:
            span = self[words] = Span(bounds)
        return span

    def naming(self, side: str) -> int:
        """Return the bit set of the boxes that name a side of which something is unknown."""
        return reduce(or_, [span.boxes for span in self._sides[side]], 0)


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

    Whatever `VirtualNetwork` is, an address is in it or in `Internet`. Where its extent is not known,
    a box that names one of these two holds all that it may be, in one of two `cases` of a packet.

    Attributes:
        space: flow i is box i; behind them come the boxes of `certain`.
        maybe: for each box, the packets that it may hold, as regions.
        surely: for each box, those that it holds in any case.
        cases: the far end is in VirtualNetwork, or in Internet; one case where this is known.
        naming: for either word, bit set of the boxes for whose far end it leaves a doubt.
        certain: for either word, the box of the packets whose far end is in its set in any case.
        words: of each box whose addresses are uncertain otherwise, the words that make them so.
    """

    def __init__(
        self, direction: Direction, flows: Sequence[Flow], extents: Extents, universe: Boundaries
    ) -> None:
        """Lay out flows; see `Chain`."""
        self._inbound = direction is Direction.INBOUND
        self._far = FarSpans(extents)
        self._near = Spans(lambda words: extents.bounds_within(words, universe))
        self._protocols = protocol_spans()
        self._ports, self._source_ports = Spans(ports_bounds), Spans(ports_bounds)
        self._portless, self._source_portless = Spans(portless_bounds), Spans(portless_bounds)
        self._tails: dict[tuple[Words, Protocol, Words, Words], list[Tail]] = {}
        sides = () if extents.is_known else SIDES
        self.certain = {side: box for box, side in enumerate(sides, len(flows))}
        every = [*flows, *(self._certainly(side) for side in sides)]
        self._parts = [self._add(1 << box, flow) for box, flow in enumerate(every)]
        self._count_tails()
        columns = self._columns()
        self.space = space_of(columns, extents.tags)
        self.naming = {side: self._far.naming(side) for side in sides}
        self.cases = self._cases()
        self.words, self._uncertain = self._name_doubts()
        self.maybe, self.surely = self._regions(open_boxes(columns))
        self._given: dict[Given, View] = {NOTHING_GIVEN: self.space.sure}

    def _certainly(self, side: str) -> Flow:
        """Return the flow of the packets whose far end is in a side's set in any case."""
        ends = ((CERTAINLY, side), ANY)
        return Flow(Protocol.ANY, *(ends if self._inbound else reversed(ends)))

    def _add(self, bit: int, flow: Flow) -> list[Region]:
        """Add a box; return its parts. What lies outside the universe has none."""
        protocol, far, near, source_ports, ports = flow
        if not self._inbound:
            far, near = near, far
        key = (near, protocol, ports, source_ports)
        tails = self._tails.get(key)
        if tails is None:
            tails = self._tails[key] = self._make_tails(*key)
        there = self._far[far]
        if not tails or there.is_void:
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
        if here.is_void:
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

    # -- what is not known ------------------------------------------------------------------------

    def _cases(self) -> tuple[Case, ...]:
        """Return the two cases of a far end; the first is VirtualNetwork's."""
        if not self.certain:
            return (Case(),)
        inside, outside = SIDES
        return (
            Case(void=self.naming[outside], barred=1 << self.certain[outside]),
            Case(void=self.naming[inside], barred=1 << self.certain[inside]),
        )

    def _name_doubts(self) -> tuple[dict[int, Given], dict[tuple[int, str], int]]:
        """Return the words that make each box's addresses uncertain, and each word's boxes."""
        words: dict[int, Given] = {}
        naming: dict[tuple[int, str], int] = defaultdict(int)
        for axis, spans in ((FAR, self._far), (NEAR, self._near)):
            for side, span in spans.items():
                if span.more:
                    word = (axis, doubtful_word(side))
                    naming[word] |= span.boxes
                    for box in bits(span.boxes):
                        words[box] = words.get(box, NOTHING_GIVEN) | {word}
        return words, naming

    def _regions(self, doubted: int) -> tuple[list[list[Region]], list[list[Region]]]:
        """Return for each box what it may hold, and what it holds in any case."""
        maybe, surely = self._parts[:], self._parts[:]
        for box in bits(doubted):
            maybe[box] = [(span.maybe, tail.maybe) for span, tail in self._parts[box]]
        for side, boxes in self.naming.items():
            certain = self._far[CERTAINLY, side]
            for box in bits(boxes):
                surely[box] = [(certain, tail) for _, tail in self._parts[box]]
            doubted |= boxes
        for box in bits(doubted):
            surely[box] = [
                (s, tail) for s, tail in surely[box] if not (s.is_empty or tail.is_empty)
            ]
        return maybe, surely

    def given_by(self, box: int) -> Given:
        """Return what is given of a packet that is in a box."""
        return self.words.get(box, NOTHING_GIVEN)

    def sure_given(self, given: Given) -> View:
        """Return the view of what boxes surely hold of packets of which something is given.

        A box that names a given word, and may hold the packet on that axis, does.
        """
        view = self._given.get(given)
        if view is None:
            tables = [*self.space.sure.tables]
            for axis, word in given:
                same, may = self._uncertain[axis, word], self.space.maybe.tables[axis]
                pairs = zip(tables[axis], may, strict=True)
                tables[axis] = [does | held & same for does, held in pairs]
            view = self._given[given] = View(self.space.axes, tables)
        return view


def open_boxes(columns: Iterable[Iterable[Span]]) -> int:
    """Return the bit set of the boxes about which something is unknown."""
    boxes = 0
    for spans in columns:
        for span in spans:
            if span.more:
                boxes |= span.boxes
    return boxes


def space_of(columns: tuple[list[Span], ...], tags: ServiceTags) -> Space:
    """Cut the axes."""
    far, near, protocols, ports, source_ports = columns
    names = frozenset([span.bounds.name for span in far if span.bounds.name is not None])
    return Space(
        [
            BackgroundAxis(far, ADDRESSES, tag_background(tags, names)),
            Axis(near, ADDRESSES),
            Axis(protocols, len(PROTOCOLS)),
            Axis(ports, PORT_LINE),
            Axis(source_ports, PORT_LINE),
        ]
    )
