"""How much looking a request, or a guard, may cause: steps, counted over all its questions.

A question has a limit of its own (`space.STEPS`). A thousand questions, each just below it, would take
minutes; so whoever answers a request or looks at a guard opens a budget, and every question inside
spends from it, in whatever thread it runs.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BUDGET = 1_500_000
"""Steps: about two seconds of one core. The largest real rule sets take a few thousand."""


class TooIntricateError(Exception):
    """The boxes cut a region into more kinds of packets than can be looked at."""


class Budget:
    """Steps that are left."""

    __slots__ = ("left",)

    def __init__(self, steps: int) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        """Take steps; raises `TooIntricateError` where none are left."""
        self.left -= steps
        if self.left < 0:
            raise TooIntricateError


_budget: ContextVar[Budget | None] = ContextVar("budget", default=None)


@contextmanager
def budget(steps: int = BUDGET) -> Iterator[Budget]:
    """Bound what all questions inside may cost together."""
    opened = Budget(steps)
    token = _budget.set(opened)
    try:
        yield opened
    finally:
        _budget.reset(token)


def spend(steps: int) -> None:
    """Take steps from the budget that is open, if one is; raises `TooIntricateError`."""
    opened = _budget.get()
    if opened is not None:
        opened.spend(steps)
