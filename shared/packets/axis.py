"""An axis: one coordinate of packets, cut into atoms that no box tells apart."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from itertools import accumulate, chain, pairwise
from operator import xor
from typing import TYPE_CHECKING, NamedTuple

from shared.packets.intervals import NOTHING, Boundaries, union

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

Table = list[int]
"""For each atom of an axis, ascending, the bit set of the boxes that count as holding it."""

MANY, FEW = 64, 32
"""Of many atoms under few boxes it pays to look for those at which one of the boxes changes."""


class Bounds(NamedTuple):
    """What a box holds of an axis: known exactly, within bounds, or by the name of a known set.

    Attributes:
        sure: what it holds in any case.
        doubt: what it may hold besides.
        name: of the background's set that it is, exactly; then the other two count for nothing.
    """

    sure: Boundaries
    doubt: Boundaries = NOTHING
    name: str | None = None


class Span:
    """A set on one axis, shared by all boxes that hold just this of it.

    Attributes:
        bounds: its numbers.
        is_empty: whether it holds nothing, by what is known.
        is_void: whether it holds nothing, whatever is so.
        boxes: bit set of the boxes that have it; complete before an axis is made of it.
        more: all that it may hold, as a span; None where nothing is in doubt.
        first: an atom of what it surely holds; -1 where that is nothing, or there is no axis yet.
        every: its atoms, once its axis was asked for them.
        each: one of those of them that the same boxes hold, likewise.
    """

    __slots__ = ("bounds", "boxes", "each", "every", "first", "is_empty", "is_void", "more")

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.is_empty = not (bounds.sure or bounds.name)
        self.boxes = 0
        self.first = -1
        self.more = Span(Bounds(union(bounds[:2]))) if bounds.doubt else None
        self.is_void = self.is_empty and not self.more
        self.every: Sequence[int] | None = None
        self.each: Sequence[int] | None = None

    @property
    def maybe(self) -> Span:
        """All that it may hold, as a span."""
        return self.more or self

    def part(self, atoms: Sequence[int]) -> Span:
        """Return a span of some of its atoms."""
        span = Span(Bounds(NOTHING))
        span.every = atoms
        span.first = atoms[0] if atoms else -1
        return span


class Axis:
    """A line cut into atoms by the spans of some boxes: here, the segments between their boundaries.

    Attributes:
        sure: the table in which a box holds what it holds in any case.
        maybe: the table in which a box holds all that it may; the same where nothing is in doubt.
    """

    def __init__(self, spans: Collection[Span], size: int) -> None:
        """Cut the line 0 … size - 1."""
        self._spans = spans
        changes: dict[int, int] = defaultdict(int, {0: 0, size: 0})
        doubts: dict[int, int] = defaultdict(int)
        for span in spans:
            boxes = span.boxes
            for edge in span.bounds.sure:
                changes[edge] ^= boxes  # what begins where it ends does neither
            for edge in span.bounds.doubt:
                doubts[edge] ^= boxes
        self._edges = sorted({**doubts, **changes} if doubts else changes)
        self.sure = [*accumulate(map(changes.__getitem__, self._edges[:-1]), xor)]
        self.maybe = self._with(doubts) if doubts else self.sure
        self._parted: Collection[int] = self._settle()
        self._lay([*spans, *[span.more for span in spans if span.more]])

    def _with(self, doubts: dict[int, int]) -> Table:
        """Return the table of what the boxes may hold."""
        maybe, doubted = self.sure[:], 0
        for start, end in pairwise(sorted(doubts)):
            doubted ^= doubts[start]
            if doubted:
                low, high = self._segment(start), self._segment(end)
                maybe[low:high] = [held | doubted for held in maybe[low:high]]
        return maybe

    def _settle(self) -> Collection[int]:
        """Make atoms of the segments between the edges; return the segments that are several."""
        return ()

    def _lay(self, spans: Iterable[Span]) -> None:
        """Tell spans where they begin; and all of the atoms where it is one."""
        edges, parted = self._edges, self._parted
        for span in spans:
            if sure := span.bounds.sure:
                span.first = first = bisect_left(edges, sure[0])
                if sure[1:] == (edges[first + 1],) and first not in parted:
                    span.every = range(first, first + 1)

    # -- where spans lie --------------------------------------------------------------------------

    def _segment(self, edge: int) -> int:
        """Return the segment that begins at a boundary of a span."""
        return bisect_left(self._edges, edge)

    def _runs_of_segments(self, bounds: Bounds) -> list[range]:
        """Return the segments that a span surely holds."""
        places = [*map(self._segment, bounds.sure)]
        return [*map(range, places[::2], places[1::2])]

    def atoms_of(self, bounds: Bounds) -> Sequence[int]:
        """Return the atoms of what a span surely holds."""
        return joined(self._runs_of_segments(bounds))

    def every(self, span: Span) -> Sequence[int]:
        """Return all atoms of a span."""
        if span.every is None:
            span.every = self.atoms_of(span.bounds)
        return span.every

    def each(self, span: Span, boxes: int) -> Sequence[int]:
        """Return one of those atoms of a span that the same of some boxes hold.

        Others beside them do no harm: they are returned where looking closer would not pay.
        """
        if span.each is not None:
            return span.each
        every = self.every(span)
        if len(every) < MANY:
            return every
        found = self._parting(every, boxes) if boxes.bit_count() < FEW else None
        if found is None:
            found = span.each = self._one_of_each(every)
        return found

    def _one_of_each(self, atoms: Sequence[int]) -> Sequence[int]:
        """Return the first of those of some atoms that the same boxes hold."""
        sure, maybe = self.sure, self.maybe
        if sure is maybe:
            return sorted({sure[atom]: atom for atom in reversed(atoms)}.values())
        return sorted({(sure[atom], maybe[atom]): atom for atom in reversed(atoms)}.values())

    def _parting(self, atoms: Sequence[int], boxes: int) -> Sequence[int] | None:
        """Return those of a run of atoms at which some boxes change; None where that is no gain."""
        if not isinstance(atoms, range):
            return None
        edges = [
            edge
            for span in self._spans
            if span.boxes & boxes
            for edge in span.bounds.sure + span.bounds.doubt
        ]
        if len(edges) > len(atoms):
            return None
        return sorted({atoms[0], *set(map(self._segment, edges)).intersection(atoms)})

    # -- numbers ----------------------------------------------------------------------------------

    def run(self, atom: int) -> tuple[int, int]:
        """Return some numbers of an atom: the first run of them, as (first number, end)."""
        return self._edges[atom], self._edges[atom + 1]

    def runs_of(self, atoms: Iterable[int]) -> Boundaries:
        """Return all the numbers of some atoms."""
        return union(run for atom in atoms for run in self._runs(atom))

    def _runs(self, atom: int) -> Iterable[tuple[int, int]]:
        return (self.run(atom),)


def joined(runs: Sequence[range]) -> Sequence[int]:
    """Return the numbers of some runs, as one run where there is one."""
    return runs[0] if len(runs) == 1 else [*chain.from_iterable(runs)]
