"""Regions: the boxes that questions are about, a span of the first axis and a *tail* of the others.

On the first axis nearly every box is different; the tails are few, boxes share them, and what is
worked out about one serves all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.packets.axis import Span

Packet = tuple[int, ...]
"""One atom on each axis."""

Table = list[int]
"""For each atom of an axis, the bit set of the boxes that count as holding it."""

Tables = tuple[Table, tuple[Table, ...]]
"""The table of the first axis, and those of the others."""


class Tail:
    """What a box holds of all axes but the first.

    Attributes:
        spans: one on each axis.
        boxes: bit set of the boxes that have it.
    """

    __slots__ = ("_covers", "_first_holders", "_maybe", "boxes", "spans")

    def __init__(self, spans: Iterable[Span]) -> None:
        self.spans = tuple(spans)
        self.boxes = 0
        self._maybe: Tail | None = None
        self._first_holders: dict[int, int] = {}
        self._covers: dict[int, list[int]] = {}

    @property
    def maybe(self) -> Tail:
        """All that it may hold; itself where nothing is in doubt."""
        if self._maybe is None:
            spans = tuple([span.maybe for span in self.spans])
            self._maybe = self if spans == self.spans else Tail(spans)
        return self._maybe

    @property
    def is_empty(self) -> bool:
        """Whether it holds nothing, by what is known."""
        return any(span.is_empty for span in self.spans)

    def first_holders(self, tables: tuple[Table, ...]) -> int:
        """Return the bit set of the boxes that hold the first atom of each of its spans."""
        found = self._first_holders.get(id(tables))
        if found is None:
            found = -1
            for span, table in zip(self.spans, tables, strict=True):
                found &= table[span.first]
            self._first_holders[id(tables)] = found
        return found

    def covers(self, tables: tuple[Table, ...]) -> list[int]:
        """Return for each of its axes the boxes that hold all of it from that axis on."""
        found = self._covers.get(id(tables))
        if found is None:
            found = [-1]
            for span, table in zip(reversed(self.spans), reversed(tables), strict=True):
                found.append(found[-1] & span.whole(table))
            found.reverse()
            self._covers[id(tables)] = found
        return found

    def touched(self, tables: tuple[Table, ...]) -> int:
        """Return the bit set of the boxes that hold some of it on every axis."""
        found = -1
        for span, table in zip(self.spans, tables, strict=True):
            found &= span.touched(table)
        return found

    def held_by(self, box: int, tables: tuple[Table, ...]) -> Tail:
        """Return what a box holds of it."""
        if self.covers(tables)[0] >> box & 1:
            return self
        pairs = zip(self.spans, tables, strict=True)
        return Tail([span.held_by(box, table) for span, table in pairs])


Region = tuple["Span", Tail]
"""A box that a question is about; no span of it is empty."""


def first_packet(region: Region) -> Packet:
    """Return the first packet of a region."""
    span, tail = region
    return (span.first, *[other.first for other in tail.spans])


def first_holders(region: Region, tables: Tables) -> int:
    """Return the bit set of the boxes that hold the first packet of a region."""
    (span, tail), (table, rest) = region, tables
    return table[span.first] & tail.first_holders(rest)


def holders(packet: Packet, tables: Tables) -> int:
    """Return the bit set of the boxes that hold a packet."""
    (first, *others), (table, rest) = packet, tables
    held = table[first]
    for atom, one in zip(others, rest, strict=True):
        held &= one[atom]
    return held


def covering(region: Region, others: int, tables: Tables) -> int:
    """Return the bit set of those of the other boxes that hold a whole region."""
    (span, tail), (table, rest) = region, tables
    others &= tail.covers(rest)[0]
    return others and others & span.whole(table)


def touching(region: Region, tables: Tables) -> int:
    """Return the bit set of the boxes that hold some of a region on every axis.

    They share a packet with it, where the tables are those of what is sure.
    """
    (span, tail), (table, rest) = region, tables
    return span.touched(table) & tail.touched(rest)


def held_by(region: Region, box: int, tables: Tables) -> Region | None:
    """Return what a box holds of a region, or None where that is nothing."""
    (span, tail), (table, rest) = region, tables
    tail = tail.held_by(box, rest)
    if any(one.first < 0 for one in tail.spans):
        return None
    span = span.held_by(box, table)
    return None if span.first < 0 else (span, tail)
