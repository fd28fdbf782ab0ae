"""The circuit breaker: it stops a guard's writes when somebody else keeps undoing them.

The one rule for closing: nobody changed anything for a window's time. What stays broken and is not
changed again does not hold the circuit open.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    from shared.settings import CircuitLimits


@dataclass(frozen=True, slots=True)
class Circuit:
    """What a guard's circuit remembers. Times are seconds since the epoch.

    Attributes:
        writes: when ARM accepted a restoration, and a digest of what it changed.
        open_since: when it opened; None where it is closed.
        changed_at: while it is open, when the state was last seen to be another one.
        state: while it is open, a digest of the state that was last seen.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", alias_generator=to_camel, validate_by_name=True
    )

    writes: tuple[tuple[float, str], ...] = ()
    open_since: float | None = None
    changed_at: float = 0.0
    state: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether the guard does not write."""
        return self.open_since is not None

    def recent(self, now: float, limits: CircuitLimits) -> tuple[tuple[float, str], ...]:
        """Return the writes of the window; one in the future is from before the clock was set back."""
        return tuple(one for one in self.writes if 0 <= now - one[0] < limits.window_seconds)

    def allows(self, digest: str, now: float, limits: CircuitLimits) -> bool:
        """Whether these changes may be restored once more."""
        recent = [what for _, what in self.recent(now, limits)]
        return recent.count(digest) < limits.same and len(recent) < limits.any

    def with_write(self, digest: str, at: float, now: float, limits: CircuitLimits) -> Circuit:
        """Return it after a restoration that ARM accepted at this time."""
        return replace(self, writes=(*self.recent(now, limits), (min(at, now), digest)))

    def opened(self, state: str, now: float) -> Circuit:
        """Return it open."""
        return Circuit(self.writes, open_since=now, changed_at=now, state=state)

    def observed(self, state: str, now: float) -> Circuit:
        """Return it, open, after a look at the state.

        A time in the future is one from before the clock was set back: the window begins again now.
        """
        is_same = self.state in (state, None) and self.changed_at <= now
        return replace(self, state=state, changed_at=self.changed_at if is_same else now)

    def may_close(self, now: float, limits: CircuitLimits) -> bool:
        """Whether nobody has changed anything for a window's time."""
        return self.is_open and now - self.changed_at >= limits.window_seconds
