"""The circuit breaker: knows when to stop, because somebody else keeps undoing what a guard restores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.settings import CircuitLimits


@dataclass(frozen=True, slots=True)
class Circuit:
    """What a guard's circuit remembers. Times are seconds since the epoch.

    Attributes:
        writes: when ARM accepted a restoration, and what it changed.
        open_since: None where it is closed.
        last_drift: when drift was last seen while it was open.
    """

    writes: tuple[tuple[float, str], ...] = ()
    open_since: float | None = None
    last_drift: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the guard does not write."""
        return self.open_since is not None

    def allows(self, digest: str, now: float, limits: CircuitLimits) -> bool:
        """Whether these changes may be restored once more."""
        recent = [what for at, what in self.writes if now - at < limits.window_seconds]
        return recent.count(digest) < limits.same and len(recent) < limits.any

    def is_quiet(self, now: float, limits: CircuitLimits) -> bool:
        """Whether an open circuit may close: nobody has undone anything for a window's time."""
        return self.is_open and now - self.last_drift >= limits.window_seconds

    def written(self, digest: str, now: float, limits: CircuitLimits) -> Circuit:
        """Return it after a restoration."""
        recent = (one for one in self.writes if now - one[0] < limits.window_seconds)
        return replace(self, writes=(*recent, (now, digest)))

    def drifting(self, now: float) -> Circuit:
        """Return it after drift was seen and not restored."""
        return replace(self, last_drift=now)

    def opened(self, now: float) -> Circuit:
        """Return it open."""
        return Circuit(self.writes, now, now)

    def to_json(self) -> dict[str, Any]:
        """Spell it for the store."""
        writes = [list(one) for one in self.writes]
        return {"writes": writes, "openSince": self.open_since, "lastDrift": self.last_drift}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Circuit:
        """Read it from the store."""
        writes = tuple((float(at), str(what)) for at, what in document.get("writes", ()))
        return cls(writes, document.get("openSince"), document.get("lastDrift", 0.0))
