"""An axis: one coordinate of packets, cut into atoms that no box tells apart."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from functools import cached_property
from itertools import accumulate
from operator import xor
from typing import TYPE_CHECKING, NamedTuple

from shared.packets.intervals import NOTHING, Boundaries, union

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Table = list[int]
"""For each atom of an axis the bit set of the boxes that count as holding it."""

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
    """

    __slots__ = ("bounds", "boxes", "every", "first", "is_empty", "is_void", "more")

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.is_empty = not (bounds.sure or bounds.name)
        self.boxes = 0
        self.first = -1
        self.more = Span(Bounds(union(bounds[:2]))) if bounds.doubt else None
        self.is_void = self.is_empty and not self.more
        self.every: Sequence[int] | None = None

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
    """A line cut into atoms by the spans of some boxes.

    Boundaries of spans cut it into *segments*; those that the same boxes hold are one atom, wherever
    they lie.

    Attributes:
        sure: the table in which a box holds what it holds in any case.
        maybe: the table in which a box holds all that it may; the same where nothing is in doubt.
    """

    def __init__(self, spans: Sequence[Span], size: int) -> None:
        """Cut the line 0 … size - 1."""
        self._spans = spans
        doubted = [span for span in spans if span.more]
        apart = max([span.boxes.bit_length() for span in spans], default=0) if doubted else 0
        changes = {0: 0, size: 0}
        for span in spans:
            toggle(changes, span.bounds.sure, span.boxes)
        for span in doubted:
            toggle(changes, span.bounds.doubt, span.boxes << apart)
        self._edges = sorted(changes)
        holders = accumulate(map(changes.__getitem__, self._edges[:-1]), xor)
        atoms: dict[int, int] = {}
        self._atoms = [atoms.setdefault(held, len(atoms)) for held in holders]
        self._further: dict[int, Sequence[int]] = {}
        self.sure = self.maybe = [*atoms]
        if doubted:  # whose doubts are told apart from what is sure by standing behind it
            known = (1 << apart) - 1
            self.sure = [held & known for held in atoms]
            self.maybe = [held & known | held >> apart for held in atoms]
        self._settle()
        self._lay([*spans, *[span.more for span in doubted if span.more]])

    def _settle(self) -> None:
        """Part the atoms further; those that come of it are noted with the one they were part of."""

    def _lay(self, spans: Iterable[Span]) -> None:
        """Tell spans where they begin; and all of the atoms where it is one."""
        edges, atoms, further = self._edges, self._atoms, self._further
        for span in spans:
            if sure := span.bounds.sure:
                segment = bisect_left(edges, sure[0])
                span.first = first = atoms[segment]
                if sure[1] == edges[segment + 1] and len(sure) == 2 and first not in further:
                    span.every = (first,)

    # -- where spans lie --------------------------------------------------------------------------

    def _segment(self, edge: int) -> int:
        """Return the segment that begins at a boundary of a span."""
        return bisect_left(self._edges, edge)

    def atoms_of(self, bounds: Bounds) -> Sequence[int]:
        """Return the atoms of what a span surely holds."""
        places = [*map(self._segment, bounds.sure)]
        atoms = set[int]()
        for start, end in zip(places[::2], places[1::2], strict=True):
            atoms.update(self._atoms[start:end])
        for atom in self._further.keys() & atoms:
            atoms.update(self._further[atom])
        return sorted(atoms)

    def every(self, span: Span) -> Sequence[int]:
        """Return all atoms of a span."""
        if span.every is None:
            span.every = self.atoms_of(span.bounds)
        return span.every

    def each(self, span: Span, boxes: int) -> Sequence[int]:
        """Return atoms of a span: at least one of those that the same of some boxes hold."""
        every = self.every(span)
        if len(every) < MANY or boxes.bit_count() > FEW or len(span.bounds.sure) != 2:
            return every
        return self._parting(span.bounds.sure, boxes) or every

    def _parting(self, run: Sequence[int], boxes: int) -> Sequence[int] | None:
        """Return the atoms of a run at which some boxes change; None where that cannot be told."""
        edges = {
            edge
            for span in self._spans
            if span.boxes & boxes
            for edge in span.bounds.sure + span.bounds.doubt
            if run[0] <= edge < run[1]
        }
        return sorted({self._atoms[self._segment(edge)] for edge in (run[0], *edges)})

    # -- numbers ----------------------------------------------------------------------------------

    def run(self, atom: int) -> tuple[int, int]:
        """Return some numbers of an atom: the first run of them, as (first number, end)."""
        segment = self._segments_of[atom][0]
        return self._edges[segment], self._edges[segment + 1]

    def runs_of(self, atoms: Iterable[int]) -> Boundaries:
        """Return all the numbers of some atoms."""
        return union(self._runs(atoms))

    def _runs(self, atoms: Iterable[int]) -> Iterator[tuple[int, int]]:
        """Yield the runs of some atoms; neighbours may be one run."""
        edges = self._edges
        for atom in atoms:
            for segment in self._segments_of[atom]:
                yield edges[segment], edges[segment + 1]

    @cached_property
    def _segments_of(self) -> dict[int, list[int]]:
        """The segments of each atom; who only wants a verdict never asks for them."""
        segments: dict[int, list[int]] = defaultdict(list)
        for segment, atom in enumerate(self._atoms):
            segments[atom].append(segment)
        return segments


def toggle(changes: dict[int, int], boundaries: Boundaries, boxes: int) -> None:
    """Note that boxes begin or end at some boundaries; what begins where it ends does neither."""
    for edge in boundaries:
        there = changes.get(edge)
        changes[edge] = there ^ boxes if there else boxes
