"""The questions that are asked of boxes: `find` and `deciders`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.packets.region import covering, first_holders, first_packet, touching

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.packets.axis import Axis
    from shared.packets.region import Packet, Region, Tables

STEPS = 1_000_000
"""After so many choices of a coordinate a question is given up: a second or two."""


class TooIntricateError(Exception):
    """The boxes cut a region into more kinds of packets than can be looked at."""


class Space:
    """The axes of some boxes; a box is known by its bit.

    Attributes:
        axes: in the order in which coordinates are chosen; the most selective first is fastest.
        sure: the tables in which a box holds what it holds in any case.
        maybe: the tables in which a box holds all that it may hold.
    """

    def __init__(self, axes: Sequence[Axis]) -> None:
        self.axes = first, *others = tuple(axes)
        self.sure: Tables = first.sure, tuple([axis.sure for axis in others])
        self.maybe: Tables = first.maybe, tuple([axis.maybe for axis in others])


def find(region: Region, others: int, tables: Tables) -> Packet | None:
    """Return a packet of a region that none of the other boxes holds, or None.

    Args:
        region: where to look.
        others: bit set of the boxes to stay outside of.
        tables: what each of them counts as holding.

    Raises:
        TooIntricateError: there are too many kinds of packets.
    """
    if not others & first_holders(region, tables):  # the packet that comes to hand will do
        return first_packet(region)
    if covering(region, others, tables):
        return None
    return Search(region, tables).descend(0, others)


class Search:
    """One run of `find`: coordinates are chosen axis by axis."""

    __slots__ = ("covers", "seen", "spans", "steps", "tables")

    def __init__(self, region: Region, tables: Tables) -> None:
        (span, tail), (table, rest) = region, tables
        self.spans, self.tables = (span, *tail.spans), (table, *rest)
        self.covers = tail.covers(rest)
        self.seen: set[tuple[int, int]] = set()
        self.steps = 0

    def descend(self, depth: int, left: int) -> Packet | None:
        """Choose the coordinates from an axis on, so that no box of `left` holds the packet."""
        span, table, cover = self.spans[depth], self.tables[depth], self.covers[depth]
        atoms = span.each_for(left)
        self.steps += len(atoms)
        if self.steps > STEPS:
            raise TooIntricateError
        after = depth + 1
        for atom in atoms:
            rest = left & table[atom]
            if not rest:
                return (atom, *[other.first for other in self.spans[after:]])
            if rest & cover or (depth, rest) in self.seen:
                continue
            self.seen.add((depth, rest))
            packet = self.descend(after, rest)
            if packet is not None:
                return (atom, *packet)
        return None


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
    (span, tail), (sure_table, sure_rest), (maybe_table, maybe_rest) = region, sure, maybe
    spans, covers = (span, *tail.spans), tail.covers(sure_rest)
    boxes &= touching(region, maybe)
    answers: dict[tuple[int, int], Packet] = {(boxes, boxes): ()}
    steps = 0
    for one, *tables, cover in zip(
        spans, (sure_table, *sure_rest), (maybe_table, *maybe_rest), covers, strict=True
    ):
        atoms = one.each_for(boxes)
        steps += len(answers) * len(atoms)
        if steps > STEPS:
            raise TooIntricateError
        answers = chosen(answers, atoms, tables, cover)
    return {(held, may & ~held): packet for (held, may), packet in answers.items()}


def chosen(
    answers: dict[tuple[int, int], Packet],
    atoms: Sequence[int],
    tables: Sequence[Sequence[int]],
    cover: int,
) -> dict[tuple[int, int], Packet]:
    """Choose each atom of one more axis for each of the answers so far.

    Args:
        answers: the boxes that surely hold a packet and those that may, with its atoms so far.
        atoms: of the axis.
        tables: who surely holds each atom, and who may.
        cover: the boxes that hold all of the region on the axes to come.
    """
    found: dict[tuple[int, int], Packet] = {}
    does_hold, may_hold = tables
    for (does, may), packet in answers.items():
        for atom in atoms:
            held, doubted = does & does_hold[atom], may & may_hold[atom]
            if last := held & cover:  # what comes after the first of these never decides
                until = ((last & -last) << 1) - 1
                held, doubted = held & until, doubted & until
            if (held, doubted) not in found:
                found[held, doubted] = (*packet, atom)
    return found


def bits(number: int) -> Iterator[int]:
    """Yield the positions of the bits that are set, ascending."""
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low
