"""The one question asked of boxes, against trying every packet of a small space."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.packets import axis as axes
from shared.packets.axis import Axis, Bounds, Span
from shared.packets.background import Background, BackgroundAxis
from shared.packets.intervals import holds
from shared.packets.region import Region, Tail
from shared.packets.space import Order, Space, bits, deciders, find

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 6
NAMED = {"even": (0, 1, 2, 3, 4, 5), "high": (3, 6)}
sets = st.builds(
    lambda a, b, c, d: tuple(sorted({a, b, c, d})) if len({a, b, c, d}) % 2 == 0 else (0, SIZE),
    *[st.integers(0, SIZE)] * 4,
)


@pytest.fixture(params=[1, axes.MANY], scope="module", autouse=True)
def many(request) -> Iterator[None]:
    """From so many atoms on, those are looked for at which a box changes: here also from one on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(axes, "MANY", request.param)
        yield


def bounds(sure: tuple[int, ...], more: tuple[int, ...]) -> Bounds:
    values = [n for n in range(SIZE) if holds(more, n) and not holds(sure, n)]
    edges = [n for n in range(SIZE + 1) if (n in values) != (n - 1 in values)]
    return Bounds(sure, tuple(edges))


known = sets.map(Bounds)
unknown = st.builds(bounds, sets, sets) | st.just(Bounds((), (0, SIZE)))
named = st.sampled_from(sorted(NAMED)).map(lambda name: Bounds((), name=name))
boxes = st.lists(st.tuples(st.one_of(known, unknown, named), known), min_size=1, max_size=6)


def space_of(columns) -> tuple[Space, list[Region]]:
    """A space of boxes, and each box's span on each axis; equal sets share one."""
    shared: list[dict[Bounds, Span]] = [{}, {}]
    rows = []
    for i, box in enumerate(columns):
        row = tuple(
            spans.setdefault(bound, Span(bound)) for spans, bound in zip(shared, box, strict=True)
        )
        for span in row:
            span.boxes |= 1 << i
        rows.append((row[0], Tail(row[1:])))
    first, second = ([*spans.values()] for spans in shared)
    return Space([BackgroundAxis(first, SIZE, Background(NAMED)), Axis(second, SIZE)]), rows


def held(bound: Bounds, number: int, maybe: bool) -> bool:
    if bound.name:
        return holds(NAMED[bound.name], number)
    return holds(bound.sure, number) or (maybe and holds(bound.doubt, number))


def points(box, maybe: bool) -> set[tuple[int, int]]:
    return {
        (a, b)
        for a, b in itertools.product(range(SIZE), repeat=2)
        if held(box[0], a, maybe) and held(box[1], b, maybe)
    }


@given(boxes, st.integers(0, 63), st.booleans(), st.booleans())
def test_find_finds_exactly_when_a_packet_is_there(columns, others, mine, theirs) -> None:
    space, rows = space_of(columns)
    region = (rows[0][0].maybe, rows[0][1].maybe) if mine else rows[0]
    others &= (1 << len(columns)) - 2
    outside = points(columns[0], mine)
    for i in bits(others):
        outside -= points(columns[i], theirs)
    if not any(part.is_empty for part in region):
        packet = find(region, others, space.maybe if theirs else space.sure)
        assert (packet is not None) == bool(outside)
        if packet is not None:
            runs = [axis.run(a) for axis, a in zip(space.axes, packet, strict=True)]
            assert tuple(first for first, _ in runs) in outside
    else:
        assert not points(columns[0], mine)


@given(boxes, st.integers(0, 63), st.integers(0, 63))
def test_deciders_are_all_up_to_the_first_final_one(columns, aside, final) -> None:
    everything = (Bounds((0, SIZE)), Bounds((0, SIZE)))
    columns = [*columns, everything]
    space, rows = space_of(columns)
    last = 1 << len(columns) - 1
    aside &= last - 1
    asked = (2 * last - 1) & ~aside
    order = Order(asked, (final | last) & asked, aside)
    found = deciders(rows[-1], order, space.sure, space.maybe)
    for point in itertools.product(range(SIZE), repeat=2):
        surely, maybe = (
            sum(1 << i for i, box in enumerate(columns) if point in points(box, doubt))
            for doubt in (False, True)
        )
        end = surely & order.final
        counted = ((end & -end) << 1) - 1
        assert any(
            (held & aside, may & aside) == (surely & aside, maybe & aside)
            and held & asked & counted == surely & asked & counted
            and may & asked & counted == maybe & asked & counted
            for held, may in found
        )
    for (held, may), packet in found.items():
        assert held & aside == space.sure.holders(packet) & aside
        end = held & order.final
        counted = ((end & -end) << 1) - 1
        assert held & counted & asked == space.sure.holders(packet) & counted & asked
        assert may & counted & asked == space.maybe.holders(packet) & counted & asked


@given(boxes)
def test_the_runs_of_all_atoms_are_the_line(columns) -> None:
    for axis in space_of(columns)[0].axes:
        atoms = range(len(axis.sure))
        assert axis.runs_of(atoms) == (0, SIZE)
        assert [*axis.atoms_of(Bounds((0, SIZE)))] == [*atoms]
        for atom in atoms:
            first, end = axis.run(atom)
            assert all(holds(axis.runs_of([atom]), n) for n in range(first, end))


@given(st.integers(0, 2**70))
def test_bits_are_the_set_bits(number) -> None:
    assert sum(1 << i for i in bits(number)) == number
