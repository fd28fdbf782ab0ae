"""Placement: which priority does each managed rule of one direction get?

The article's number is the wish. Foreign rules may stand there already, and they never move. Order
matters only where an allow rule and a deny rule overlap: an allow rule must stand before every deny
rule that would take its packets (its *limit*), and a deny rule of ours behind the allow rules that it
would cut, but before the foreign rules that would leak.

- A rule that stands in a valid place already keeps it.
- Else it gets the article's number, if that is free and valid; these come first.
- Else the nearest free and valid number above it, else the nearest below.
- Where none is left, a rule of ours that can stand elsewhere makes room.

So placement is deterministic, and placing again what was placed changes nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.nsg.limits import HIGHEST_PRIORITY, LOWEST_PRIORITY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

NO_LIMIT = HIGHEST_PRIORITY + 1


@dataclass(frozen=True, slots=True)
class AllowSeat:
    """An allow row that needs a place, or may come to need one.

    Attributes:
        name: of the row's rule.
        wish: the article's number; for a row that the article lacks, that of its last allow row.
        is_article: whether the wish is the article's own.
        current: where the row's rule stands now, if it has one.
        limit: it must stand before this: the first foreign deny rule that may take its packets.
        sure_limit: the first that takes them for sure; between the two nobody can tell.
        served_until: where rules that stay serve the row, the priority of the last of them; it needs
            no rule unless a deny rule of ours comes before that. None: it needs one.
    """

    name: str
    wish: int
    is_article: bool = True
    current: int | None = None
    limit: int = NO_LIMIT
    sure_limit: int = NO_LIMIT
    served_until: int | None = None


@dataclass(frozen=True, slots=True)
class DenySeat:
    """A deny row that needs a place.

    Attributes:
        name: of the row's rule.
        wish: the article's number.
        current: where the row's rule stands now, if it has one.
        cuts: names of the allow rows that it would cut if it stood before them.
        leaks: priorities of the foreign rules that leak unless it stands before them, ascending.
        doubts: priorities of those that may leak, and nobody can tell, ascending.
    """

    name: str
    wish: int
    current: int | None = None
    cuts: frozenset[str] = frozenset()
    leaks: tuple[int, ...] = ()
    doubts: tuple[int, ...] = ()

    def leaking(self, slot: int) -> tuple[int, int]:
        """Return how many rules leak, and may leak, with the deny rule in this place."""
        return bisect_left(self.leaks, slot), bisect_left(self.doubts, slot)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the rules go.

    Attributes:
        priorities: by name; the rows that need no rule are missing.
        unplaced: names of the allow rows for which no place is valid.
    """

    priorities: dict[str, int] = field(default_factory=dict)
    unplaced: tuple[str, ...] = ()


def place(
    allows: Sequence[AllowSeat], denies: Sequence[DenySeat], taken: Collection[int]
) -> Placement:
    """Give every rule of one direction its priority.

    Args:
        allows: the allow rows, in the article's order.
        denies: the deny rows that need a rule, in the article's order.
        taken: priorities of the rules that do not move.
    """
    placed: dict[DenySeat, int] = {}
    for deny in denies:
        placed[deny] = best_place(deny, allows, placed, frozenset(taken))
    placement = place_allows(allows, placed, frozenset(taken))
    own = {deny.name: slot for deny, slot in placed.items()}
    return Placement(placement.priorities | own, placement.unplaced)


def best_place(
    deny: DenySeat,
    allows: Sequence[AllowSeat],
    placed: Mapping[DenySeat, int],
    taken: frozenset[int],
) -> int:
    """Choose a deny rule's place: room for all allow rows, then as few leaks as possible.

    The further behind it stands, the more room there is and the more may leak. It takes no place where
    a rule of ours stands already.
    """

    def has_room(slot: int) -> bool:
        return len(place_allows(allows, {**placed, deny: slot}, taken).unplaced) <= hopeless

    standing = {seat.current for seat in allows if seat.current and seat.served_until is None}
    closed = taken | set(placed.values()) | standing
    hopeless = len(place_allows(allows, {**placed, deny: NO_LIMIT}, taken).unplaced)
    free = [slot for slot in range(LOWEST_PRIORITY, NO_LIMIT) if slot not in closed]
    foremost = free[min(bisect_left(free, True, key=has_room), len(free) - 1)]
    fewest, fewest_doubts = deny.leaking(foremost)
    kept = [deny.current] if deny.current is not None else []
    return next(
        slot
        for slot in (*kept, *outwards(deny.wish))
        if slot not in closed
        and slot >= foremost
        and deny.leaking(slot)[0] <= fewest
        and deny.leaking(slot)[1] <= fewest_doubts
    )


def place_allows(
    allows: Sequence[AllowSeat], denies: Mapping[DenySeat, int], taken: frozenset[int]
) -> Placement:
    """Place the allow rows, with the deny rules where they are said to stand."""
    ceilings: dict[str, int] = {}
    for deny, slot in denies.items():
        ceilings |= {name: min(slot, ceilings.get(name, slot)) for name in deny.cuts}
    board = Board(taken | set(denies.values()), ceilings)
    waiting = [seat for seat in allows if board.is_needed(seat)]
    for limit in (limit_to_be_sure, limit_at_best):
        for wanted in (kept_place, articles_place):
            waiting = [seat for seat in waiting if not board.take(seat, wanted(seat), limit(seat))]
        waiting = [seat for seat in waiting if not board.find_place(seat, limit)]
    return Placement(
        {seat.name: slot for slot, seat in board.holders.items()},
        tuple(seat.name for seat in waiting),
    )


def limit_to_be_sure(seat: AllowSeat) -> int:
    """Return what a row must stand before to be served for sure."""
    return seat.limit


def limit_at_best(seat: AllowSeat) -> int:
    """Return what a row must stand before not to be cut for sure."""
    return seat.sure_limit


def kept_place(seat: AllowSeat) -> int | None:
    """Return where the row's rule stands."""
    return seat.current


def articles_place(seat: AllowSeat) -> int | None:
    """Return the article's number."""
    return seat.wish if seat.is_article else None


class Board:
    """The priorities of one direction while allow rows take theirs.

    Attributes:
        holders: who stands where.
    """

    def __init__(self, closed: frozenset[int], ceilings: Mapping[str, int]) -> None:
        """Know the priorities that nobody can have, and what each row must stand before."""
        self._closed = closed
        self._ceilings = ceilings
        self.holders: dict[int, AllowSeat] = {}

    def is_needed(self, seat: AllowSeat) -> bool:
        """Whether a row needs a rule, with our deny rules where they are."""
        return seat.served_until is None or seat.served_until > self._ceiling(seat)

    def take(self, seat: AllowSeat, slot: int | None, limit: int) -> bool:
        """Give a row this place, if it is free and before a limit."""
        if slot is None or slot >= min(limit, self._ceiling(seat)):
            return False
        if slot in self._closed or slot in self.holders:
            return False
        self.holders[slot] = seat
        return True

    def find_place(self, seat: AllowSeat, limit: Callable[[AllowSeat], int]) -> bool:
        """Give a row the nearest valid place before its limit; one already taken if its holder moves.

        Who must move looks for a place in the same way. Each place is asked for once, so that this takes
        as many steps as there are places times rows, at most.

        Args:
            seat: the row.
            limit: returns what a row must stand before; who moves must be served for sure.
        """
        asked: set[int] = set()
        path = [(seat, *self._choices(seat, limit))]
        wanted: list[int] = []  # the place that each row of the path waits for, but the last one's
        while path:
            _, free, taken = path[-1]
            if free is not None:
                for (mover, _, _), slot in zip(
                    reversed(path), (free, *reversed(wanted)), strict=True
                ):
                    self.holders[slot] = mover
                return True
            other = next((one for one in taken if one not in asked), None)
            if other is None:
                path.pop()
                del wanted[-1:]
                continue
            asked.add(other)
            wanted.append(other)
            holder = self.holders[other]
            path.append((holder, *self._choices(holder, limit_to_be_sure)))
        return False

    def _choices(
        self, seat: AllowSeat, limit: Callable[[AllowSeat], int]
    ) -> tuple[int | None, Iterator[int]]:
        """Return the nearest free place of a row, and else those that others hold, nearest first."""
        taken = []
        for slot in outwards(seat.wish, min(limit(seat), self._ceiling(seat))):
            if slot in self._closed:
                continue
            if slot not in self.holders:
                return slot, iter(())
            taken.append(slot)
        return None, iter(sorted(taken, key=self._is_settled))

    def _is_settled(self, slot: int) -> bool:
        """Whether who stands in a place stood there before: others make room first."""
        return self.holders[slot].current == slot

    def _ceiling(self, seat: AllowSeat) -> int:
        return self._ceilings.get(seat.name, NO_LIMIT)


def outwards(wish: int, end: int = NO_LIMIT) -> Iterator[int]:
    """Yield every priority before an end: the wish, those above it, then those below, nearest first."""
    yield from range(wish, end)
    yield from range(min(wish, end) - 1, LOWEST_PRIORITY - 1, -1)
