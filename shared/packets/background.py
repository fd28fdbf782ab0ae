"""A background: named sets that cut an axis once and for all, whatever boxes come later."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from itertools import accumulate, chain, compress, count, repeat
from operator import ne, xor
from typing import TYPE_CHECKING

from shared.packets.axis import Axis, joined

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from shared.packets.axis import Bounds, Span


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

    def along(self, edges: Sequence[int]) -> tuple[list[int], list[tuple[int, int]]]:
        """Return which kinds occur in each segment between neighbouring edges.

        Returns:
            One kind for each segment, the one without names where it occurs; and (segment, kind) for
            each further one.
        """
        starts, kinds = self.starts, self.run_kinds
        runs = [*map(bisect_right, repeat(starts), edges)]  # the run behind each edge's own
        first = [kinds[run - 1] for run in runs[:-1]]
        further: list[tuple[int, int]] = []
        for segment in compress(count(), map(ne, runs, runs[1:])):
            start, end = runs[segment] - 1, runs[segment + 1]
            if starts[end - 1] == edges[segment + 1]:  # this run begins where the segment ends
                end -= 1
            first[segment], *others = sorted({*kinds[start:end]})
            further += [(segment, kind) for kind in others]
        return first, further

    def runs_between(self, start: int, end: int, kind: int) -> Iterator[tuple[int, int]]:
        """Yield the runs of a kind among start … end - 1, each as (first number, end)."""
        for run in range(bisect_right(self.starts, start) - 1, bisect_left(self.starts, end)):
            if self.run_kinds[run] == kind:
                after = self.starts[run + 1] if run + 1 < len(self.starts) else end
                yield max(start, self.starts[run]), min(end, after)


class BackgroundAxis(Axis):
    """An axis on a background: an atom is what a segment holds of one kind.

    Each segment is an atom, of one of its kinds; atoms of further kinds come behind all segments.
    """

    def __init__(self, spans: Collection[Span], size: int, background: Background) -> None:
        """Cut the line 0 … size - 1, of which some spans name sets of the background."""
        self._background = background
        super().__init__(spans, size)

    def _settle(self) -> Collection[int]:
        """Make atoms of the segments; return those that are several."""
        self._kinds, self._further = self._background.along(self._edges)
        self._behind = [segment for segment, _ in self._further]
        self._by_kind: dict[int, list[int]] = defaultdict(list)
        for atom in compress(count(), self._kinds):
            self._by_kind[self._kinds[atom]].append(atom)
        for atom, (_, kind) in enumerate(self._further, len(self._kinds)):
            self._by_kind[kind].append(atom)
        named = [span for span in self._spans if span.bounds.name]
        for table in [self.sure] if self.maybe is self.sure else [self.sure, self.maybe]:
            table += [table[segment] for segment in self._behind]
            for span in named:
                boxes = span.boxes
                for atom in self.every(span):
                    table[atom] |= boxes
        for span in named:
            span.first = min(self.every(span), default=-1)
        return frozenset(self._behind)

    def atoms_of(self, bounds: Bounds) -> Sequence[int]:
        """Return the atoms of what a span surely holds."""
        if bounds.name is not None:
            kinds = [k for k, names in enumerate(self._background.kinds) if bounds.name in names]
            return [*chain.from_iterable(self._by_kind[kind] for kind in kinds)]
        runs = self._runs_of_segments(bounds)
        behind, start = self._behind, len(self._kinds)
        for segments in runs[:]:
            low, high = bisect_left(behind, segments.start), bisect_left(behind, segments.stop)
            if low < high:
                runs.append(range(start + low, start + high))
        return joined(runs)

    def _parting(self, atoms: Sequence[int], boxes: int) -> None:
        """Return None: atoms of different kinds lie between each other."""

    def run(self, atom: int) -> tuple[int, int]:
        """Return some numbers of an atom: the first run of them, as (first number, end)."""
        if atom < len(self._kinds) and atom not in self._parted:
            return super().run(atom)
        return next(iter(self._runs(atom)))

    def _runs(self, atom: int) -> Iterable[tuple[int, int]]:
        segment, further = atom, atom - len(self._kinds)
        if further < 0:
            kind = self._kinds[segment]
        else:
            segment, kind = self._further[further]
        start, end = self._edges[segment], self._edges[segment + 1]
        return self._background.runs_between(start, end, kind)
