"""A background: named sets that cut an axis once and for all, whatever boxes come later."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from functools import reduce
from itertools import accumulate, chain
from operator import or_, xor
from typing import TYPE_CHECKING

from shared.packets.axis import Axis, Bounds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from shared.packets.axis import Span, Table


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
        changes: dict[int, int] = defaultdict(int, {0: 0})
        for i, boundaries in enumerate(named.values()):
            for edge in boundaries:
                changes[edge] ^= 1 << i
        self.starts = sorted(changes)
        holders = list(accumulate(map(changes.__getitem__, self.starts), xor))
        ids = {holder: kind for kind, holder in enumerate(dict.fromkeys((0, *holders)))}
        self.run_kinds = [ids[holder] for holder in holders]
        self.kinds = [
            frozenset(name for i, name in enumerate(named) if holder >> i & 1) for holder in ids
        ]

    def along(self, edges: Sequence[int]) -> list[Sequence[int]]:
        """Return the kinds that occur in each segment between neighbouring edges."""
        starts, kinds = self.starts, self.run_kinds
        alone = [(kind,) for kind in range(len(self.kinds))]
        found: list[Sequence[int]] = []
        run = bisect_right(starts, edges[0]) - 1
        for edge in edges[1:]:
            after = bisect_left(starts, edge, run)
            found.append(alone[kinds[run]] if after - run == 1 else [*set(kinds[run:after])])
            ends_here = after < len(starts) and starts[after] == edge
            run = after if ends_here else after - 1
        return found

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

    def _settle(self) -> None:
        """Split the segments into atoms."""
        boxes: dict[str | None, int] = defaultdict(int)
        for span in self._spans:
            boxes[span.bounds.name] |= span.boxes
        named = [reduce(or_, [boxes[name] for name in kind], 0) for kind in self._background.kinds]
        self._along = self._background.along(self._edges)
        self._offsets = [*accumulate(map(len, self._along), initial=0)]
        is_exact = self.sure is self.maybe
        self.sure = self._split(self.sure, named)
        self.maybe = self.sure if is_exact else self._split(self.maybe, named)
        self._by_kind = self._atoms_by_kind()

    def _split(self, held: Table, named: Sequence[int]) -> Table:
        return [
            boxes | named[kind]
            for boxes, kinds in zip(held, self._along, strict=True)
            for kind in kinds
        ]

    def _atoms_by_kind(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = defaultdict(list)
        for atom, kind in enumerate(chain.from_iterable(self._along)):
            if kind:
                found[kind].append(atom)
        return found

    def _place(self, edge: int) -> int:
        return self._offsets[bisect_left(self._edges, edge)]

    def _first_of(self, bounds: Bounds) -> int:
        if bounds.name is None:
            return super()._first_of(bounds)
        return next(iter(self.atoms_of(bounds)), -1)

    def atoms_of(self, bounds: Bounds) -> Sequence[int]:
        """Return the atoms of what a span surely holds."""
        if bounds.name is None:
            return super().atoms_of(bounds)
        kinds = [k for k, names in enumerate(self._background.kinds) if bounds.name in names]
        return sorted(chain.from_iterable(self._by_kind[kind] for kind in kinds))

    def _parting(self, atoms: Sequence[int], boxes: int) -> None:
        """Return None: atoms of different kinds lie between each other."""

    def run(self, atom: int) -> tuple[int, int]:
        """Return some numbers of an atom: the first run of them, as (first number, end)."""
        segment = bisect_right(self._offsets, atom) - 1
        if len(self._along[segment]) == 1:
            return self._edges[segment], self._edges[segment + 1]
        return next(iter(self._runs(atom)))

    def _runs(self, atom: int) -> Iterable[tuple[int, int]]:
        segment = bisect_right(self._offsets, atom) - 1
        kind = self._along[segment][atom - self._offsets[segment]]
        start, end = self._edges[segment], self._edges[segment + 1]
        return self._background.runs_between(start, end, kind)
