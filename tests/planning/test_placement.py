"""Where rules go: kept, wished, nearest above, nearest below, made room for."""

from __future__ import annotations

import pytest

from shared.planning.placement import AllowSeat, DenySeat, Placement, place

ROWS = frozenset({"a", "b", "c"})


def seats(**changes: dict) -> list[AllowSeat]:
    plain = {"a": 110, "b": 111, "c": 112}
    return [
        AllowSeat(name, **({"wish": wish} | changes.get(name, {}))) for name, wish in plain.items()
    ]


def deny(**changes) -> DenySeat:
    return DenySeat(**{"name": "d", "wish": 120, "cuts": ROWS, **changes})


CASES = {
    "the article's numbers, where they are free": (seats(), deny(), [], (110, 111, 112, 120)),
    "the nearest above, where one is taken": (seats(), deny(), [111], (110, 113, 112, 120)),
    "the nearest below, where none above is left": (
        seats(),
        deny(current=113),
        [112],
        (110, 111, 109, 113),
    ),
    "kept where it stands, if that place is valid": (
        seats(b={"current": 105}),
        deny(current=119),
        [],
        (110, 105, 112, 119),
    ),
    "not kept behind a rule that cuts it": (
        seats(b={"current": 130}),
        deny(),
        [],
        (110, 111, 112, 120),
    ),
    "before a foreign deny rule": (
        seats(b={"limit": 105, "sure_limit": 105}),
        deny(),
        [105],
        (110, 104, 112, 120),
    ),
    "behind a doubtful deny rule only where nothing else is left": (
        seats(b={"limit": 100, "sure_limit": 4097}),
        deny(),
        [100],
        (110, 111, 112, 120),
    ),
    "others make room": (
        seats(a={"wish": 100}, b={"wish": 101, "limit": 101, "sure_limit": 101}),
        deny(),
        [101],
        (102, 100, 112, 120),
    ),
    "the deny rule before what leaks": (seats(), deny(leaks=(115,)), [115], (110, 111, 112, 114)),
    "the deny rule and all rows before what leaks": (
        seats(),
        deny(leaks=(111,)),
        [111],
        (109, 108, 107, 110),
    ),
    "the deny rule at its wish, where a leak cannot be helped": (
        seats(),
        deny(leaks=(100,)),
        [100],
        (110, 111, 112, 120),
    ),
    "the deny rule before the leak that can be helped": (
        seats(),
        deny(leaks=(100, 116)),
        [100, 116],
        (110, 111, 112, 115),
    ),
    "no rule for a row that others serve": (
        seats(a={"served_until": 105}),
        deny(),
        [105],
        (None, 111, 112, 120),
    ),
    "a rule for a row that others serve behind the deny rule": (
        seats(a={"served_until": 200}),
        deny(),
        [200],
        (110, 111, 112, 120),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_places(case) -> None:
    allows, denied, taken, expected = case
    placement = place(allows, [denied], taken)
    assert tuple(placement.priorities.get(name) for name in "abcd") == expected
    assert placement.unplaced == ()


def test_a_row_behind_a_deny_rule_at_100_has_no_place() -> None:
    blocked = seats(a={"limit": 100, "sure_limit": 100})
    placement = place(blocked, [deny()], [100])
    assert placement == Placement({"b": 111, "c": 112, "d": 120}, ("a",))


def test_as_many_rows_as_fit_are_placed() -> None:
    tight = {"limit": 102, "sure_limit": 102}
    placement = place(seats(a=tight, b=tight, c=tight), [deny()], [102])
    assert sorted(placement.priorities.values()) == [100, 101, 120]
    assert placement.unplaced == ("c",)


def test_two_deny_rules_do_not_share_a_place() -> None:
    denies = [deny(name="d", wish=1000), deny(name="e", wish=1000)]
    placement = place(seats(), denies, [])
    assert (placement.priorities["d"], placement.priorities["e"]) == (1000, 1001)
