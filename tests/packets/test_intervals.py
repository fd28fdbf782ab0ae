"""Sets of numbers as boundaries, against Python's own sets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.packets.intervals import complement, difference, holds, intersection, union

SIZE = 16
numbers = st.sets(st.integers(0, SIZE - 1))


def boundaries(values: set[int]) -> tuple[int, ...]:
    edges = [v for v in range(SIZE + 1) if (v in values) != (v - 1 in values)]
    return tuple(edges)


def test_the_example_of_the_docstring() -> None:
    assert boundaries({*range(10, 16)}) == (10, 16)
    assert [n for n in range(40) if holds((10, 20, 30, 31), n)] == [*range(10, 20), 30]


@given(numbers, numbers)
def test_operations_are_those_of_sets(a, b) -> None:
    first, second = boundaries(a), boundaries(b)
    assert union((first, second)) == boundaries(a | b)
    assert intersection(first, second) == boundaries(a & b)
    assert difference(first, second, SIZE) == boundaries(a - b)
    assert complement(first, SIZE) == boundaries({*range(SIZE)} - a)


@given(st.lists(numbers, max_size=4))
def test_a_union_of_many(sets) -> None:
    assert union(map(boundaries, sets)) == boundaries(set().union(*sets))
