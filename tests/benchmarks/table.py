"""What a measurement is, and how it is printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number with what it must stay below or above.

    Attributes:
        name: what was measured.
        value: the median.
        unit: of the value and the budget.
        budget: the most that is allowed; the least where `at_least`.
        note: what it is compared with.
    """

    name: str
    value: float
    unit: str
    budget: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def met(self) -> bool:
        if self.budget is None:
            return True
        return self.value >= self.budget if self.at_least else self.value <= self.budget


def print_table(measured: list[Measurement]) -> None:
    width = max(len(m.name) for m in measured)
    print(f"{'measurement':{width}}  {'median':>12}  {'budget':>12}")
    for m in measured:
        sign = "≥" if m.at_least else "≤"
        budget = f"{sign} {m.budget:g} {m.unit}" if m.budget is not None else ""
        verdict = "" if m.met else "  NOT MET"
        note = f"  {m.note}" if m.note else ""
        print(f"{m.name:{width}}  {m.value:>8.2f} {m.unit:3}  {budget:>12}{verdict}{note}")


def in_turn(count: int, *calls: Callable[[], float]) -> list[list[float]]:
    """Call each in turn, `count` times after one uncounted round; returns each one's results."""
    results: list[list[float]] = [[] for _ in calls]
    for turn in range(count + 1):
        for result, call in zip(results, calls, strict=True):
            value = call()
            if turn:
                result.append(value)
    return results
