"""Sets of numbers as boundaries: where the set begins and ends, by turns, ascending.

`(10, 20, 30, 31)` holds 10 to 19, and 30. The empty tuple holds nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Boundaries = tuple[int, ...]

NOTHING: Boundaries = ()


def union(sets: Iterable[Sequence[int]]) -> Boundaries:
    """Return what any of the sets holds."""
    runs = sorted([(v[i], v[i + 1]) for v in sets for i in range(0, len(v), 2)])
    result: list[int] = []
    for start, end in runs:
        if not result or start > result[-1]:
            result += (start, end)
        elif end > result[-1]:
            result[-1] = end
    return tuple(result)


def intersection(first: Sequence[int], second: Sequence[int]) -> Boundaries:
    """Return what both sets hold."""
    return held_by_at_least(2, (first, second))


def difference(first: Sequence[int], second: Sequence[int], size: int) -> Boundaries:
    """Return what the first set holds and the second does not, on a line of this size."""
    return intersection(first, complement(second, size))


def complement(values: Sequence[int], size: int) -> Boundaries:
    """Return what a set on the line 0 … size - 1 does not hold."""
    edges = (0, *values, size)
    start = 2 if values and values[0] == 0 else 0
    end = len(edges) - 2 if values and values[-1] == size else len(edges)
    return tuple(edges[start:end])


def held_by_at_least(count: int, sets: Iterable[Sequence[int]]) -> Boundaries:
    """Return the numbers that at least so many of the sets hold."""
    edges = sorted(
        (edge, 1 if i % 2 == 0 else -1) for values in sets for i, edge in enumerate(values)
    )
    result: list[int] = []
    depth = 0
    for edge, step in edges:
        before, depth = depth, depth + step
        if (before >= count) != (depth >= count):
            if result and result[-1] == edge:
                result.pop()
            else:
                result.append(edge)
    return tuple(result)


def holds(values: Sequence[int], number: int) -> bool:
    """Whether a set holds a number."""
    return bisect_right(values, number) % 2 == 1
