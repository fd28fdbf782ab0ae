"""Sets of numbers as boundaries: where the set begins and ends, by turns, ascending.

`(10, 20, 30, 31)` holds 10 to 19, and 30. The empty tuple holds nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
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
    many, few = (first, second) if len(first) > len(second) else (second, first)
    result: list[int] = []
    for start, end in zip(few[::2], few[1::2], strict=True):
        low, high = bisect_right(many, start), bisect_left(many, end)
        if low % 2:  # a run of the other set is open where this one starts
            result.append(start)
        result += many[low:high]
        if high % 2:
            result.append(end)
    return tuple(result)


def difference(first: Sequence[int], second: Sequence[int], size: int) -> Boundaries:
    """Return what the first set holds and the second does not, on a line of this size."""
    return intersection(first, complement(second, size))


def complement(values: Sequence[int], size: int) -> Boundaries:
    """Return what a set on the line 0 … size - 1 does not hold."""
    edges = (0, *values, size)
    start = 2 if values and values[0] == 0 else 0
    end = len(edges) - 2 if values and values[-1] == size else len(edges)
    return tuple(edges[start:end])


def holds(values: Sequence[int], number: int) -> bool:
    """Whether a set holds a number."""
    return bisect_right(values, number) % 2 == 1
