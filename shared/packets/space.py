"""The questions that are asked of boxes: `find` and `deciders`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from shared.packets.budget import TooIntricateError, spend
from shared.packets.region import View, first_packet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.packets.axis import Axis
    from shared.packets.region import Packet, Region

STEPS = 1_000_000
"""After so many choices of a coordinate a question is given up: a second or two."""


class Space:
    """The axes of some boxes; a box is known by its bit.

    Attributes:
        axes: in the order in which coordinates are chosen; the most selective first is fastest.
        sure: the view in which a box holds what it holds in any case.
        maybe: the view in which a box holds all that it may; the same where nothing is in doubt.
    """

    def __init__(self, axes: Sequence[Axis]) -> None:
        self.axes = tuple(axes)
        self.sure = self.maybe = View(axes, [axis.sure for axis in axes])
        if any(axis.maybe is not axis.sure for axis in axes):
            self.maybe = View(axes, [axis.maybe for axis in axes])


def find(region: Region, others: int, view: View) -> Packet | None:
    """Return a packet of a region that none of the other boxes holds, or None.

    Args:
        region: where to look.
        others: bit set of the boxes to stay outside of.
        view: what each of them counts as holding.

    Raises:
        TooIntricateError: there are too many kinds of packets.
    """
    if not others & view.first_holders(region):  # the packet that comes to hand will do
        return first_packet(region)
    if others & view.covering(region):
        return None
    return Search(region, view).descend(0, others)


class Search:
    """One run of `find`: coordinates are chosen axis by axis."""

    __slots__ = ("covers", "seen", "spans", "steps", "view")

    def __init__(self, region: Region, view: View) -> None:
        span, tail = region
        self.spans, self.covers, self.view = (span, *tail.spans), view.covers(tail), view
        self.seen: set[tuple[int, int]] = set()
        self.steps = 0

    def descend(self, depth: int, left: int) -> Packet | None:
        """Choose the coordinates from an axis on, so that no box of `left` holds the packet."""
        table, cover = self.view.tables[depth], self.covers[depth]
        atoms = self.view.axes[depth].each(self.spans[depth], left)
        self.steps += len(atoms)
        if self.steps > STEPS:
            raise TooIntricateError
        spend(len(atoms))
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


class Order(NamedTuple):
    """Boxes that are asked about a packet, the lowest bit first; the first that holds it decides.

    Attributes:
        asked: bit set of them.
        final: those of them behind which nobody is asked, once they surely hold the packet.
        aside: bit set of boxes that decide nothing; whether they hold the packet is told beside.
    """

    asked: int
    final: int
    aside: int = 0


def deciders(
    region: Region, order: Order, sure: View, maybe: View
) -> dict[tuple[int, int], Packet]:
    """Return who may decide the packets of a region.

    Args:
        region: which packets.
        order: who is asked.
        sure: what each surely holds.
        maybe: what each may hold.

    Returns:
        A packet for each different answer: the boxes that surely hold it, and those that may, as bit
        sets. What comes behind the first final one may be left out.

    Raises:
        TooIntricateError: there are too many kinds of packets.
    """
    span, tail = region
    boxes = (order.asked | order.aside) & maybe.touching(region)
    answers: dict[tuple[int, int], Packet] = {(boxes, boxes): ()}
    steps = 0
    for axis, one, does, may, cover in zip(
        sure.axes, (span, *tail.spans), sure.tables, maybe.tables, sure.covers(tail), strict=True
    ):
        atoms = axis.each(one, boxes)
        more = len(answers) * len(atoms)
        steps += more
        if steps > STEPS:
            raise TooIntricateError
        spend(more)
        answers = chosen(answers, atoms, (does, may), order._replace(final=order.final & cover))
    return answers


def chosen(
    answers: dict[tuple[int, int], Packet],
    atoms: Sequence[int],
    tables: tuple[Sequence[int], Sequence[int]],
    order: Order,
) -> dict[tuple[int, int], Packet]:
    """Choose each atom of one more axis for each of the answers so far.

    Args:
        answers: the boxes that surely hold a packet and those that may, with its atoms so far.
        atoms: of the axis.
        tables: who surely holds each atom, and who may.
        order: who is asked; final are those that hold all of the region on the axes to come.
    """
    found: dict[tuple[int, int], Packet] = {}
    does_hold, may_hold = tables
    final, aside = order.final, order.aside
    for (does, may), packet in answers.items():
        for atom in atoms:
            held, doubted = does & does_hold[atom], may & may_hold[atom]
            if end := held & final:
                asked = (lowest(end) << 1) - 1 | aside
                held, doubted = held & asked, doubted & asked
            if (held, doubted) not in found:
                found[held, doubted] = (*packet, atom)
    return found


def lowest(number: int) -> int:
    """Return the lowest bit that is set, alone."""
    return number & -number


def bits(number: int) -> Iterator[int]:
    """Yield the positions of the bits that are set, ascending."""
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low
