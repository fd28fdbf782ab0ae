"""Regions, the boxes that questions are about, and views, which say who else holds their packets.

A region is a span of the first axis and a *tail* of the others. On the first axis nearly every box is
different; the tails are few, boxes share them, and what is worked out about one serves all.
"""

from __future__ import annotations

from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shared.packets.axis import Axis, Span, Table

Packet = tuple[int, ...]
"""One atom on each axis."""


class Tail:
    """What a box holds of all axes but the first.

    Attributes:
        spans: one on each axis.
        boxes: bit set of the boxes that have it.
    """

    __slots__ = ("_more", "boxes", "spans")

    def __init__(self, spans: Iterable[Span]) -> None:
        self.spans = tuple(spans)
        self.boxes = 0
        self._more: Tail | None = None

    @property
    def maybe(self) -> Tail:
        """All that it may hold; itself where nothing is in doubt."""
        if self._more is None and any(span.more for span in self.spans):
            self._more = Tail([span.maybe for span in self.spans])
        return self._more or self

    @property
    def is_empty(self) -> bool:
        """Whether it holds nothing, by what is known."""
        return any(span.is_empty for span in self.spans)


Region = tuple["Span", Tail]
"""A box that a question is about; no span of it is empty."""


def first_packet(region: Region) -> Packet:
    """Return the first packet of a region."""
    span, tail = region
    return (span.first, *[other.first for other in tail.spans])


class View:
    """Who holds what, in one way of counting: what each box surely holds, or all that it may.

    Attributes:
        axes: in the order in which coordinates are chosen; the most selective first is fastest.
        tables: one for each axis.
    """

    def __init__(self, axes: Sequence[Axis], tables: Sequence[Table]) -> None:
        self.axes, self.tables = tuple(axes), tuple(tables)
        self._first, *self._rest = self.tables
        self._whole: list[dict[Span, int]] = [{} for _ in axes]
        self._some: list[dict[Span, int]] = [{} for _ in axes]
        self._first_holders: dict[Tail, int] = {}
        self._covers: dict[Tail, list[int]] = {}

    def holders(self, packet: Packet) -> int:
        """Return the bit set of the boxes that hold a packet."""
        held = -1
        for atom, table in zip(packet, self.tables, strict=True):
            held &= table[atom]
        return held

    def first_holders(self, region: Region) -> int:
        """Return the bit set of the boxes that hold the first packet of a region."""
        span, tail = region
        held = self._first_holders.get(tail)
        if held is None:
            held = -1
            for one, table in zip(tail.spans, self._rest, strict=True):
                held &= table[one.first]
            self._first_holders[tail] = held
        return held & self._first[span.first]

    def covering(self, region: Region) -> int:
        """Return the bit set of the boxes that hold a whole region."""
        span, tail = region
        every = self.axes[0].every(span)
        held = self._first[span.first] if len(every) == 1 else self._all_of(0, span)
        return held & self.covers(tail)[0]

    def covers(self, tail: Tail) -> list[int]:
        """Return for each axis of a tail the boxes that hold all of it from that axis on."""
        found = self._covers.get(tail)
        if found is None:
            found = [-1]
            for depth in range(len(tail.spans), 0, -1):
                found.append(found[-1] & self._all_of(depth, tail.spans[depth - 1]))
            found.reverse()
            self._covers[tail] = found
        return found

    def touching(self, region: Region) -> int:
        """Return the bit set of the boxes that hold some of a region on every axis.

        They share a packet with it, where the view is of what is sure.
        """
        span, tail = region
        held = -1
        for depth, one in enumerate((span, *tail.spans)):
            held &= self._some_of(depth, one)
        return held

    def shared(self, region: Region, box: int) -> Region | None:
        """Return what a box holds of a region, or None where that is nothing."""
        span, tail = region
        parts = [self._part(depth, one, box) for depth, one in enumerate((span, *tail.spans))]
        if any(part.first < 0 for part in parts):
            return None
        first, *rest = parts
        return first, tail if rest == [*tail.spans] else Tail(rest)

    def _all_of(self, depth: int, span: Span) -> int:
        """Return the bit set of the boxes that hold all of a span."""
        whole = self._whole[depth]
        found = whole.get(span)
        if found is None:
            held = self._held(depth, span)
            found = whole[span] = held[0] if len(held) == 1 else reduce(and_, held)
        return found

    def _some_of(self, depth: int, span: Span) -> int:
        """Return the bit set of the boxes that hold some of a span."""
        some = self._some[depth]
        found = some.get(span)
        if found is None:
            found = some[span] = reduce(or_, self._held(depth, span))
        return found

    def _held(self, depth: int, span: Span) -> Sequence[int]:
        table = self.tables[depth]
        return [table[atom] for atom in self.axes[depth].every(span)]

    def _part(self, depth: int, span: Span, box: int) -> Span:
        """Return what a box holds of a span."""
        if self._all_of(depth, span) >> box & 1:
            return span
        table = self.tables[depth]
        return span.part([a for a in self.axes[depth].every(span) if table[a] >> box & 1])
