"""What is told when the time is over in the middle of an attempt."""

from __future__ import annotations

import asyncio

import pytest

from shared.context import invocation, pause
from shared.errors import ArmAnswer, Transient

UNREACHABLE = Transient("Azure cannot be reached.", arm=ArmAnswer(None, None, None))


async def end_in_an_attempt(*reasons: Transient) -> None:
    async with invocation(0.05):
        for reason in reasons:
            await pause(0, reason)
        await asyncio.sleep(5)


def test_what_was_waited_for_last_is_told_beside() -> None:
    busy = Transient("Somebody writes.", arm=ArmAnswer(429, "Busy", None), is_throttled=True)
    with pytest.raises(Transient, match=r"within 0\.05 seconds.*Azure cannot be reached") as error:
        asyncio.run(end_in_an_attempt(busy, UNREACHABLE))
    assert (error.value.arm, error.value.is_throttled) == (UNREACHABLE.arm, False)


def test_without_a_wait_nothing_is_blamed() -> None:
    with pytest.raises(Transient, match=r"within 0\.05 seconds") as error:
        asyncio.run(end_in_an_attempt())
    assert error.value.arm is None


def test_a_wait_of_an_earlier_request_is_not_told() -> None:
    async def both() -> None:
        with pytest.raises(Transient):
            await end_in_an_attempt(UNREACHABLE)
        await end_in_an_attempt()

    with pytest.raises(Transient) as error:
        asyncio.run(both())
    assert error.value.arm is None
