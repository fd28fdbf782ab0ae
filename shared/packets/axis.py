"""An axis: one coordinate of packets, cut into atoms that no box tells apart."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import pairwise, repeat
from operator import or_
from typing import TYPE_CHECKING

from shared.packets.intervals import NOTHING, Boundaries, union

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence


class Background:
    """Named sets that cut a line once and for all, whatever boxes come later.

    Some sets, such as a cloud's address ranges, have thousands of runs. What they cut the line into
    is worked out here and kept: runs of numbers, each with its *kind*, that is which of the named
    sets hold it.
    """

    def __init__(self, named: Mapping[str, Sequence[int]]) -> None:
        """Cut the line by sets given as name → boundaries."""
        toggles: dict[int, set[str]] = defaultdict(set)
        for name, values in named.items():
            for edge in values:
                toggles[edge].add(name)
        self.kinds: list[frozenset[str]] = [frozenset()]
        ids = {self.kinds[0]: 0}
        self.starts, self.run_kinds = [0], [0]
        inside: frozenset[str] = frozenset()
        for edge in sorted(toggles):
            inside ^= toggles[edge]
            if inside not in ids:
                ids[inside] = len(self.kinds)
                self.kinds.append(inside)
            if edge == 0:
                self.run_kinds[0] = ids[inside]
            else:
                self.starts.append(edge)
                self.run_kinds.append(ids[inside])

    def kinds_along(self, starts: Sequence[int], size: int) -> Iterator[Collection[int]]:
        """Yield for each segment the kinds that occur in it; a segment ends where the next starts."""
        if len(self.starts) == 1:
            yield from repeat((0,), len(starts))
            return
        first = 0
        for end in (*starts[1:], size):
            after = bisect_left(self.starts, end, first)
            kinds = self.run_kinds[first:after]
            yield kinds if len(kinds) == 1 else set(kinds)
            first = after if self.starts[after : after + 1] == [end] else after - 1

    def run_between(self, start: int, end: int, kind: int) -> tuple[int, int]:
        """Return the first run of a kind among start … end - 1, as (first number, end)."""
        run = bisect_right(self.starts, start) - 1
        while self.run_kinds[run] != kind:
            run += 1
        after = self.starts[run + 1] if run + 1 < len(self.starts) else end
        return max(start, self.starts[run]), min(end, after)


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """What a box holds of an axis: known exactly, within bounds, or by the name of a known set.

    Attributes:
        sure: what it holds in any case.
        doubt: what it may hold besides.
        name: of the background's set that it is, exactly; then the other two count for nothing.
    """

    sure: Boundaries
    doubt: Boundaries = NOTHING
    name: str | None = None

    @property
    def is_exact(self) -> bool:
        """Whether nothing about it is unknown."""
        return not self.doubt


class Axis:
    """The atoms of a line under some boxes.

    Attributes:
        sure: for each atom, the bit set of the boxes that hold it in any case.
        maybe: for each atom, the bit set of the boxes that may hold it.
        zones: for each atom, how many of the cuts lie at or before its numbers.
    """

    def __init__(
        self,
        boxes: Sequence[Bounds],
        size: int,
        cuts: Sequence[int] = (),
        background: Background | None = None,
    ) -> None:
        """Cut the line 0 … size - 1.

        Args:
            boxes: what each box holds of it; the position is the box's bit.
            size: of the line.
            cuts: numbers that no atom holds together with smaller ones.
            background: known sets that some boxes name.
        """
        self._size = size
        self._background = background or Background({})
        self._named: dict[str, int] = defaultdict(int)
        toggles: dict[int, int] = dict.fromkeys((0, *cuts), 0)
        doubts: dict[int, int] = {}
        for bits, bounds in grouped(boxes):
            if bounds.name is not None:
                self._named[bounds.name] |= bits
                continue
            for edge in bounds.sure:
                toggles[edge] = toggles.get(edge, 0) ^ bits
            for edge in bounds.doubt:
                doubts[edge] = doubts.get(edge, 0) ^ bits
        self._cut(toggles, doubts, frozenset(cuts), size)

    def _cut(
        self, toggles: dict[int, int], doubts: dict[int, int], cuts: frozenset[int], size: int
    ) -> None:
        """Walk the line once, and make an atom of each different combination of holders."""
        self._starts = sorted(edge for edge in toggles.keys() | doubts.keys() if edge < size)
        self._place = {start: i for i, start in enumerate((*self._starts, size))}
        self._segments: list[list[int]] = []
        self._places: list[tuple[int, int, int]] = []
        self.sure: list[int] = []
        self.maybe: list[int] = []
        self.zones: list[int] = []
        by_name = [
            reduce(or_, (self._named.get(name, 0) for name in kind), 0)
            for kind in self._background.kinds
        ]
        atoms: dict[tuple[int, int, int, int], int] = {}
        held = doubted = zone = 0
        toggled, doubtful = toggles.get, doubts.get
        along = self._background.kinds_along(self._starts, size)
        ends = (*self._starts[1:], size)
        for start, end, kinds in zip(self._starts, ends, along, strict=True):
            held ^= toggled(start, 0)
            if doubts:
                doubted ^= doubtful(start, 0)
            if start in cuts:
                zone += 1
            segment: list[int] = []
            for kind in kinds:
                key = (held, doubted, kind, zone)
                atom = atoms.get(key)
                if atom is None:
                    atom = atoms[key] = len(atoms)
                    self._places.append((start, end, kind))
                segment.append(atom)
            self._segments.append(segment)
        for held, doubted, kind, zone in atoms:
            self.sure.append(held | by_name[kind])
            self.maybe.append(held | doubted | by_name[kind])
            self.zones.append(zone)

    def atoms_of(self, values: Boundaries) -> list[int]:
        """Return the atoms of a set, all of whose boundaries begin a segment."""
        place, segments = self._place, self._segments
        found: list[int] = []
        for i in range(0, len(values), 2):
            for segment in segments[place[values[i]] : place[values[i + 1]]]:
                found += segment
        return list(dict.fromkeys(found))

    def atoms_named(self, name: str) -> list[int]:
        """Return the atoms of a set of the background."""
        kinds = self._background.kinds
        return [atom for atom, (_, _, kind) in enumerate(self._places) if name in kinds[kind]]

    def runs_of(self, atoms: Collection[int]) -> Boundaries:
        """Return all the numbers of some atoms."""
        wanted = set(atoms)
        return union((start, end) for start, end, atom in self._all_runs if atom in wanted)

    @cached_property
    def _all_runs(self) -> list[tuple[int, int, int]]:
        """Every run of numbers with its atom, ascending."""
        background, found = self._background, []
        edges = {*self._starts, *background.starts, self._size}
        for start, end in pairwise(sorted(edge for edge in edges if edge <= self._size)):
            kind = background.run_kinds[bisect_right(background.starts, start) - 1]
            segment = self._segments[bisect_right(self._starts, start) - 1]
            atom = next(atom for atom in segment if self._places[atom][2] == kind)
            found.append((start, end, atom))
        return found

    def run(self, atom: int) -> tuple[int, int]:
        """Return some numbers of an atom: the first run of them, as (first number, end)."""
        start, end, kind = self._places[atom]
        return self._background.run_between(start, end, kind)


def grouped(boxes: Sequence[Bounds]) -> list[tuple[int, Bounds]]:
    """Return each different bounds with the bit set of the boxes that have it."""
    bits: dict[int, int] = {}
    bounds_by_id: dict[int, Bounds] = {}
    for i, bounds in enumerate(boxes):
        key = id(bounds)
        bits[key] = bits.get(key, 0) | 1 << i
        bounds_by_id[key] = bounds
    return [(bits[key], bounds) for key, bounds in bounds_by_id.items()]
