"""A background: named sets that cut an axis once and for all, whatever boxes come later."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from functools import reduce
from itertools import accumulate
from operator import or_, xor
from typing import TYPE_CHECKING

from shared.packets.axis import Axis, Bounds, toggle

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from shared.packets.axis import Span


class Background:
    """Named sets that cut a line.

    Some sets, such as a cloud's address ranges, have thousands of runs. What they cut the line into
    is worked out here and kept: runs of numbers, each with its *kind*, that is which of the named
    sets hold it.

    Attributes:
        kinds: the names of each kind; the first has none.
        starts: of the runs.
        run_kinds: of each run.
    """

    def __init__(self, named: Mapping[str, Sequence[int]]) -> None:
        """Cut the line by sets given as name → boundaries."""
        changes = {0: 0}
        for i, boundaries in enumerate(named.values()):
            toggle(changes, tuple(boundaries), 1 << i)
        self.starts = sorted(changes)
        self._are_starts = frozenset(self.starts)
        holders = list(accumulate(map(changes.__getitem__, self.starts), xor))
        ids = {holder: kind for kind, holder in enumerate(dict.fromkeys((0, *holders)))}
        self.run_kinds = [ids[holder] for holder in holders]
        self.kinds = [
            frozenset(name for i, name in enumerate(named) if holder >> i & 1) for holder in ids
        ]

    def along(self, edges: Sequence[int]) -> list[Sequence[int]]:
        """Return the kinds that occur in each segment between neighbouring edges."""
        kinds, places = self.run_kinds, [bisect_left(self.starts, edge) for edge in edges]
        firsts = [
            place if edge in self._are_starts else place - 1
            for edge, place in zip(edges, places, strict=True)
        ]
        return [
            kinds[first:after] if after - first == 1 else [*set(kinds[first:after])]
            for first, after in zip(firsts, places[1:], strict=False)
        ]

    def runs_between(self, start: int, end: int, kind: int) -> Iterator[tuple[int, int]]:
        """Yield the runs of a kind among start … end - 1, each as (first number, end)."""
        for run in range(bisect_right(self.starts, start) - 1, bisect_left(self.starts, end)):
            if self.run_kinds[run] == kind:
                after = self.starts[run + 1] if run + 1 < len(self.starts) else end
                yield max(start, self.starts[run]), min(end, after)


class BackgroundAxis(Axis):
    """An axis on a background: an atom is what a segment holds of one kind."""

    def __init__(self, spans: Collection[Span], size: int, background: Background) -> None:
        """Cut the line 0 … size - 1, of which some spans name sets of the background."""
        self._background = background
        super().__init__(spans, size)

    def _settle(self, spans: Iterable[Span]) -> None:
        """Split the segments into atoms."""
        boxes: dict[str | None, int] = defaultdict(int)
        for span in spans:
            if span.bounds.name is not None:
                boxes[span.bounds.name] |= span.boxes
        named = [reduce(or_, map(boxes.__getitem__, kind), 0) for kind in self._background.kinds]
        self._along = self._background.along(self._edges)
        self._offsets = list(accumulate(map(len, self._along), initial=0))
        is_exact = self.sure is self.maybe
        self.sure = self._split(self.sure, named)
        self.maybe = self.sure if is_exact else self._split(self.maybe, named)
        self._by_kind = self._atoms_by_kind()
        super()._settle(spans)

    def _split(self, held: Sequence[int], named: Sequence[int]) -> list[int]:
        return [
            boxes | named[kind]
            for boxes, kinds in zip(held, self._along, strict=True)
            for kind in kinds
        ]

    def _atoms_by_kind(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = defaultdict(list)
        for offset, kinds in zip(self._offsets, self._along, strict=False):
            for atom, kind in enumerate(kinds, offset):
                if kind:
                    found[kind].append(atom)
        return found

    def _place(self, edge: int) -> int:
        return self._offsets[super()._place(edge)]

    def first_of(self, bounds: Bounds) -> int:
        """Return the first atom of what a span surely holds, or -1."""
        if bounds.name is None:
            return super().first_of(bounds)
        return next(iter(self.atoms_of(bounds)), -1)

    def atoms_of(self, bounds: Bounds) -> Sequence[int]:
        """Return the atoms of what a span surely holds."""
        if bounds.name is None:
            return super().atoms_of(bounds)
        kinds = [k for k, names in enumerate(self._background.kinds) if bounds.name in names]
        return sorted(atom for kind in kinds for atom in self._by_kind[kind])

    def parting(self, span: Span, boxes: int) -> Sequence[int] | None:  # noqa: ARG002
        """Return None: atoms of different kinds lie between each other."""
        return None

    def run(self, atom: int) -> tuple[int, int]:
        """Return some numbers of an atom: the first run of them, as (first number, end)."""
        return next(iter(self._runs(atom)))

    def _runs(self, atom: int) -> Iterable[tuple[int, int]]:
        segment = bisect_right(self._offsets, atom) - 1
        start, end, kinds = self._edges[segment], self._edges[segment + 1], self._along[segment]
        if len(kinds) == 1:
            return ((start, end),)
        return self._background.runs_between(start, end, kinds[atom - self._offsets[segment]])
