"""An axis: one coordinate of packets, cut into atoms that no box tells apart."""

from __future__ import annotations

from bisect import bisect_left
from functools import reduce
from itertools import accumulate, pairwise
from operator import and_, or_, xor
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from shared.packets.intervals import NOTHING, Boundaries, union

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence


MANY, FEW = 64, 32
"""Of many atoms under few boxes it pays to look for those at which one of the boxes changes."""

Fold: TypeAlias = "Callable[[int, int], int]"


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
        boxes: bit set of the boxes that have it; complete before an axis is made of it.
        maybe: all that it may hold, as a span; itself where nothing is in doubt.
        first: an atom of it; -1 where it has none.
    """

    __slots__ = (
        "_axis",
        "_each",
        "_every",
        "_masks",
        "bounds",
        "boxes",
        "first",
        "maybe",
    )

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.boxes = 0
        self.first = -1
        self.maybe = Span(Bounds(union(bounds[:2]))) if bounds.doubt else self
        self._every: Sequence[int] | None = None
        self._each: Sequence[int] | None = None
        self._masks: dict[tuple[int, Fold], int] | None = None

    def lie_on(self, axis: Axis) -> None:
        """Learn where it lies on the axis that was made of it and others."""
        self._axis = axis
        self._every = axis.run_of(self.bounds)
        self.first = self._every[0] if self._every else axis.first_of(self.bounds)
        if self.maybe is not self:
            self.maybe.lie_on(axis)

    def part(self, atoms: Sequence[int]) -> Span:
        """Return a span of some of its atoms."""
        span = Span(Bounds(NOTHING))
        span._axis, span._every = self._axis, atoms
        span.first = atoms[0] if atoms else -1
        return span

    @property
    def is_empty(self) -> bool:
        """Whether it holds nothing, by what is known."""
        return not (self.bounds.sure or self.bounds.name)

    @property
    def edges(self) -> Boundaries:
        """Where it begins and ends, what is in doubt included."""
        return self.bounds.sure + self.bounds.doubt

    @property
    def every(self) -> Sequence[int]:
        """All of its atoms."""
        if self._every is None:
            self._every = self._axis.atoms_of(self.bounds)
        return self._every

    @property
    def each(self) -> Sequence[int]:
        """One of those of its atoms that the same boxes hold: all that a question need look at."""
        if self._each is None:
            self._each = self._axis.one_of_each(self.every)
        return self._each

    def each_for(self, boxes: int) -> Sequence[int]:
        """Return one of those of its atoms that the same of some boxes hold.

        Others beside them do no harm: all are returned where looking closer would not pay.
        """
        if len(self.every) < MANY:
            return self.every
        if self._each is None and boxes.bit_count() < FEW:
            return self._axis.parting(self, boxes) or self.each
        return self.each

    def whole(self, table: Sequence[int]) -> int:
        """Return the bit set of the boxes that hold all of it."""
        every = self._every
        if every is not None and len(every) == 1:  # as of most addresses
            return table[self.first]
        return self._folded(and_, table)

    def touched(self, table: Sequence[int]) -> int:
        """Return the bit set of the boxes that hold some of it."""
        return self._folded(or_, table)

    def _folded(self, fold: Fold, table: Sequence[int]) -> int:
        every = self.every
        if self._masks is None:
            self._masks = {}
        key = (id(table), fold)  # a table lives as long as the axis
        found = self._masks.get(key)
        if found is None:
            if isinstance(every, range):
                held = table[every.start : every.stop]
            else:
                held = [table[atom] for atom in every]
            found = self._masks[key] = reduce(fold, held)
        return found

    def held_by(self, box: int, table: Sequence[int]) -> Span:
        """Return what a box holds of it."""
        if self.whole(table) >> box & 1:
            return self
        return self.part([atom for atom in self.every if table[atom] >> box & 1])


class Axis:
    """A line cut into atoms by the spans of some boxes: here, the segments between their boundaries.

    Attributes:
        sure: for each atom, ascending, the bit set of the boxes that hold it in any case.
        maybe: for each atom, the bit set of the boxes that may hold it; the same list as `sure`
            where nothing is in doubt.
    """

    def __init__(self, spans: Collection[Span], size: int) -> None:
        """Cut the line 0 … size - 1."""
        self._spans = spans
        toggles, doubts = {0: 0, size: 0}, {0: 0, size: 0}
        for span in spans:
            toggle(toggles, span.bounds.sure, span.boxes)
            toggle(doubts, span.bounds.doubt, span.boxes)
        for edge in doubts:
            toggles.setdefault(edge, 0)
        self._edges = sorted(toggles)
        self.sure = [*accumulate(map(toggles.__getitem__, self._edges[:-1]), xor)]
        self.maybe = self._with(doubts) if any(doubts.values()) else self.sure
        self._settle(spans)

    def _with(self, doubts: dict[int, int]) -> list[int]:
        """Return the bit sets of the boxes that may hold each segment."""
        maybe, doubted = self.sure[:], 0
        for start, end in pairwise(sorted(doubts)):
            doubted ^= doubts[start]
            if doubted:
                low, high = bisect_left(self._edges, start), bisect_left(self._edges, end)
                maybe[low:high] = [held | doubted for held in maybe[low:high]]
        return maybe

    def _settle(self, spans: Iterable[Span]) -> None:
        """Tell the spans where they lie."""
        for span in spans:
            span.lie_on(self)

    def _place(self, edge: int) -> int:
        """Return the atom that begins at a boundary of a span."""
        return bisect_left(self._edges, edge)

    def run_of(self, bounds: Bounds) -> range | None:
        """Return the atoms of a span that is one run; None for others, which are many."""
        if len(bounds.sure) == 2:
            return range(self._place(bounds.sure[0]), self._place(bounds.sure[1]))
        return None

    def first_of(self, bounds: Bounds) -> int:
        """Return the first atom of what a span surely holds, or -1."""
        return self._place(bounds.sure[0]) if bounds.sure else -1

    def atoms_of(self, bounds: Bounds) -> Sequence[int]:
        """Return the atoms of what a span surely holds."""
        places = [*map(self._place, bounds.sure)]
        runs = [range(*run) for run in zip(places[::2], places[1::2], strict=True)]
        return runs[0] if len(runs) == 1 else [atom for run in runs for atom in run]

    def one_of_each(self, atoms: Sequence[int]) -> Sequence[int]:
        """Return the first of those of some atoms that the same boxes hold."""
        if len(atoms) < 3:
            return atoms
        sure, maybe = self.sure, self.maybe
        if sure is maybe:
            return sorted({sure[atom]: atom for atom in reversed(atoms)}.values())
        return sorted({(sure[atom], maybe[atom]): atom for atom in reversed(atoms)}.values())

    def parting(self, span: Span, boxes: int) -> Sequence[int] | None:
        """Return the atoms at which some boxes begin or end in a span; None where that is no gain."""
        every = span.every
        if not isinstance(every, range):
            return None
        edges = [edge for other in self._spans if other.boxes & boxes for edge in other.edges]
        if len(edges) > len(every):
            return None
        places = {self._place(edge) for edge in edges}
        return sorted({every[0], *places.intersection(every)})

    def run(self, atom: int) -> tuple[int, int]:
        """Return some numbers of an atom: the first run of them, as (first number, end)."""
        return self._edges[atom], self._edges[atom + 1]

    def runs_of(self, atoms: Iterable[int]) -> Boundaries:
        """Return all the numbers of some atoms."""
        return union(run for atom in atoms for run in self._runs(atom))

    def _runs(self, atom: int) -> Iterable[tuple[int, int]]:
        return (self.run(atom),)


def toggle(changes: dict[int, int], edges: Boundaries, boxes: int) -> None:
    """Note that a set of boxes begins or ends at some edges; what begins and ends at once does not."""
    for edge in edges:
        if edge in changes:
            changes[edge] ^= boxes
        else:
            changes[edge] = boxes
