"""Boxes in a space of several axes, and the question that is asked of them: `Space.find`."""

from __future__ import annotations

from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.packets.axis import Axis

Packet = tuple[int, ...]
"""One atom on each axis."""

Tables = tuple[list[int], ...]
"""For each axis and atom, the bit set of the boxes that count as holding it."""


STEPS = 1_000_000
"""After so many choices of a coordinate a question is given up: a second or two."""


class TooIntricateError(Exception):
    """The boxes cut a region into more kinds of packets than can be looked at."""


class Span:
    """Some atoms of one axis, with what was worked out about them."""

    __slots__ = ("_all", "atoms", "first")

    def __init__(self, atoms: list[int]) -> None:
        self.atoms = atoms
        self.first = atoms[0] if atoms else -1
        self._all: dict[int, int] = {}

    def held_whole(self, table: list[int]) -> int:
        """Return the bit set of the boxes that hold every one of these atoms."""
        key = id(table)
        found = self._all.get(key)
        if found is None:
            found = self._all[key] = reduce(and_, [table[atom] for atom in self.atoms])
        return found

    def touched(self, table: list[int]) -> int:
        """Return the bit set of the boxes that hold some of these atoms."""
        return reduce(or_, [table[atom] for atom in self.atoms], 0)

    def held_by(self, box: int, table: list[int]) -> Span:
        """Return those of these atoms that a box holds."""
        return Span([atom for atom in self.atoms if table[atom] >> box & 1])


Region = tuple[Span, ...]
"""A box that a question is about: a span on each axis."""


class Space:
    """The axes of some boxes; a box is known by its bit.

    Attributes:
        axes: in the order in which coordinates are chosen; the most selective first is fastest.
        sure: the tables in which a box holds what it holds in any case.
        maybe: the tables in which a box holds all that it may hold.
    """

    def __init__(self, axes: Sequence[Axis]) -> None:
        self.axes = tuple(axes)
        self.sure: Tables = tuple(axis.sure for axis in axes)
        self.maybe: Tables = tuple(axis.maybe for axis in axes)

    @staticmethod
    def find(region: Region, others: int, tables: Tables) -> Packet | None:
        """Return a packet of a region that none of the other boxes holds, or None.

        Args:
            region: where to look; no span of it is empty.
            others: bit set of the boxes to stay outside of.
            tables: what each of them counts as holding.

        Raises:
            TooIntricateError: there are too many kinds of packets.
        """
        left = others
        for span, table in zip(region, tables, strict=False):
            left &= table[span.first]
        if not left:  # the first packet that comes to hand
            return tuple([span.first for span in region])
        return Search(region, tables).descend(0, others)

    @staticmethod
    def deciders(
        region: Region, boxes: int, sure: Tables, maybe: Tables
    ) -> dict[tuple[int, int], Packet]:
        """Return who decides the packets of a region, where the first box that holds one decides.

        Returns:
            A packet for each different answer: the first box that surely holds it, and the boxes
            before that which may hold it, both as bit sets.

        Raises:
            TooIntricateError: there are too many kinds of packets.
        """
        covers = suffix_covers(region, sure)
        answers: dict[tuple[int, int], Packet] = {(boxes, boxes): ()}
        steps = 0
        for span, does_hold, may_hold, cover in zip(region, sure, maybe, covers[1:], strict=True):
            found: dict[tuple[int, int], Packet] = {}
            steps += len(answers) * len(span.atoms)
            if steps > STEPS:
                raise TooIntricateError
            for (does, may), packet in answers.items():
                for atom in span.atoms:
                    held, doubted = does & does_hold[atom], may & may_hold[atom]
                    if last := held & cover:  # what comes after the first of these never decides
                        until = ((last & -last) << 1) - 1
                        held, doubted = held & until, doubted & until
                    if (held, doubted) not in found:
                        found[held, doubted] = (*packet, atom)
            answers = found
        return {(held, may & ~held): packet for (held, may), packet in answers.items()}

    @staticmethod
    def touching(region: Region, tables: Tables) -> int:
        """Return the bit set of the boxes that hold some packet of a region."""
        touched = (span.touched(table) for span, table in zip(region, tables, strict=True))
        return reduce(and_, touched)

    @staticmethod
    def holding(region: Region, tables: Tables) -> int:
        """Return the bit set of the boxes that hold a whole region."""
        held = -1
        for span, table in zip(region, tables, strict=False):
            held &= span.held_whole(table)
        return held

    @staticmethod
    def holders(packet: Packet, tables: Tables) -> int:
        """Return the bit set of the boxes that hold a packet."""
        return reduce(and_, [table[atom] for table, atom in zip(tables, packet, strict=True)])


def suffix_covers(region: Region, tables: Tables) -> list[int]:
    """Return for each axis the boxes that hold the whole region from that axis on."""
    covers = [-1]
    for span, table in zip(reversed(region), reversed(tables), strict=True):
        covers.append(covers[-1] & span.held_whole(table))
    return covers[::-1]


class Search:
    """One run of `Space.find`: coordinates are chosen axis by axis."""

    __slots__ = ("covers", "region", "seen", "steps", "tables")

    def __init__(self, region: Region, tables: Tables) -> None:
        self.region = region
        self.tables = tables
        self.covers = suffix_covers(region, tables)
        self.seen: set[tuple[int, int]] = set()
        self.steps = 0

    def descend(self, depth: int, left: int) -> Packet | None:
        """Choose the coordinates from an axis on, so that no box of `left` holds the packet."""
        if not left:
            return tuple(span.atoms[0] for span in self.region[depth:])
        if left & self.covers[depth] or (depth, left) in self.seen:
            return None
        self.seen.add((depth, left))
        table, atoms = self.tables[depth], self.region[depth].atoms
        self.steps += len(atoms)
        if self.steps > STEPS:
            raise TooIntricateError
        for atom in atoms:
            rest = self.descend(depth + 1, left & table[atom])
            if rest is not None:
                return (atom, *rest)
        return None


def bits(number: int) -> Iterator[int]:
    """Yield the positions of the bits that are set, ascending."""
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low
