"""A background: named sets that cut an axis once and for all, whatever boxes come later."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from itertools import accumulate, chain, repeat
from operator import xor
from typing import TYPE_CHECKING

from shared.packets.axis import Axis

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from shared.packets.axis import Bounds, Span, Table


class Background:
    """Named sets that cut a line.

    Some sets, such as a cloud's address ranges, have thousands of runs. What they cut the line into
    is worked out here and kept: runs of numbers, each with its *kind*, that is which of the named
    sets hold it.

    Attributes:
        kinds: of each named set, those that are of it; kind 0 is of none.
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
        self.kinds = {
            name: [kind for holder, kind in ids.items() if holder >> i & 1]
            for i, name in enumerate(named)
        }

    def along(self, edges: Sequence[int]) -> tuple[list[int], dict[int, Sequence[int]]]:
        """Return which kinds occur in each segment between neighbouring edges.

        Returns:
            The kind that each begins with, and for those that it does not fill the kinds that follow.
        """
        starts, kinds = repeat(self.starts), self.run_kinds
        after = [*map(bisect_right, starts, edges[:-1])]  # the run after the one of the edge
        ends = map(bisect_left, starts, edges[1:])
        first = [kinds[run - 1] for run in after]
        runs = enumerate(zip(after, ends, strict=True))
        return first, {segment: kinds[low:high] for segment, (low, high) in runs if low < high}

    def runs_between(self, start: int, end: int, kinds: set[int]) -> Iterator[tuple[int, int]]:
        """Yield the runs of some kinds among start … end - 1, each as (first number, end)."""
        for run in range(bisect_right(self.starts, start) - 1, bisect_left(self.starts, end)):
            if self.run_kinds[run] in kinds:
                after = self.starts[run + 1] if run + 1 < len(self.starts) else end
                yield max(start, self.starts[run]), min(end, after)


class BackgroundAxis(Axis):
    """An axis on a background: all of an atom is of one kind.

    What is of several kinds is parted: the further ones are atoms behind all others.
    """

    def __init__(self, spans: Sequence[Span], size: int, background: Background) -> None:
        """Cut the line 0 … size - 1, of which some spans name sets of the background."""
        self._background = background
        super().__init__(spans, size)

    def _settle(self) -> None:
        first, following = self._background.along(self._edges)
        kinds = dict(zip(self._atoms, first, strict=True))
        others: dict[int, set[int]] = defaultdict(set)
        for segment, more in following.items():
            others[self._atoms[segment]].update(more)
        for atom, kind in zip(self._atoms, first, strict=True):
            if kinds[atom] != kind:
                others[atom].add(kind)
        self._kinds, self._wholes = [*kinds.values()], [*kinds]
        for atom, several in others.items():
            several.discard(kinds[atom])
            start = len(self._kinds)
            self._kinds += sorted(several)
            self._wholes += [atom] * len(several)
            self._further[atom] = range(start, len(self._kinds))
        self._by_kind: dict[int, list[int]] = defaultdict(list)
        for atom, kind in enumerate(self._kinds):
            self._by_kind[kind].append(atom)
        self._name([span for span in self._spans if span.bounds.name])

    def _name(self, named: Sequence[Span]) -> None:
        """Let boxes hold the atoms of the kinds that they name."""
        naming: dict[int, int] = defaultdict(int)
        for span in named:
            atoms = self.every(span)
            span.first = min(atoms, default=-1)
            for kind in self._background.kinds[span.bounds.name or ""]:
                naming[kind] |= span.boxes
        is_known = self.maybe is self.sure
        self.sure = self._with(self.sure, naming)
        self.maybe = self.sure if is_known else self._with(self.maybe, naming)

    def _with(self, table: Table, naming: Mapping[int, int]) -> Table:
        """Return a table of all atoms from one of the wholes that they are of."""
        return [table[o] | naming.get(k, 0) for o, k in zip(self._wholes, self._kinds, strict=True)]

    def atoms_of(self, bounds: Bounds) -> Sequence[int]:
        """Return the atoms of what a span surely holds."""
        if bounds.name is None:
            return super().atoms_of(bounds)
        kinds = self._background.kinds[bounds.name]
        return [*chain.from_iterable(map(self._by_kind.__getitem__, kinds))]

    def _parting(self, run: Sequence[int], boxes: int) -> None:
        """Return None: atoms of different kinds lie between each other."""

    def run(self, atom: int) -> tuple[int, int]:
        """Return some numbers of an atom: the first run of them, as (first number, end)."""
        if self._wholes[atom] in self._further:
            return next(self._runs([atom]))
        return super().run(atom)

    def _runs(self, atoms: Iterable[int]) -> Iterator[tuple[int, int]]:
        kinds: dict[int, set[int]] = defaultdict(set)
        for atom in atoms:
            kinds[self._wholes[atom]].add(self._kinds[atom])
        for whole, some in kinds.items():
            for start, end in super()._runs([whole]):
                yield from self._background.runs_between(start, end, some)
