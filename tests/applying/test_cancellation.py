"""Whatever ends an apply, and wherever: the NSG has its old rules or its new ones."""

from __future__ import annotations

import asyncio
import itertools

from shared.applying.applying import ApplyRun, apply
from shared.applying.refusals import ApplyOptions
from shared.cloud.clients import close_clients
from shared.cloud.network import Network
from shared.context import invocation
from shared.documents import read_document
from shared.http.plans import ApplyRequest
from shared.settings import read_settings
from tests.azure import INTENT, LUSTRE, NSG
from tests.planning.test_plan import nineteen


class Killing:
    """Awaits a coroutine, and cancels the task at its n-th await."""

    def __init__(self, coroutine, kill_at: int) -> None:
        self.inner = coroutine.__await__()
        self.kill_at = kill_at

    def __await__(self):
        resume, value = self.inner.send, None
        for step in itertools.count(1):
            try:
                waiting = resume(value)
            except StopIteration as end:
                return end.value
            if step == self.kill_at:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                resume, value = self.inner.send, (yield waiting)
            except BaseException as error:  # noqa: BLE001 - handed on
                resume, value = self.inner.throw, error


def ends_by_itself(coroutine, kill_at: int) -> bool:
    """Run a coroutine and kill it at its n-th await; returns whether it ended before that."""

    async def main() -> bool:
        task = asyncio.ensure_future(waited(Killing(coroutine, kill_at)))
        await asyncio.wait([task])
        await close_clients()
        await asyncio.sleep(0)
        if task.cancelled():
            return False
        task.result()
        return True

    return asyncio.run(main())


async def waited(awaitable):
    return await awaitable


async def apply_once() -> None:
    asked = read_document(ApplyRequest, {"intent": INTENT})
    settings = read_settings()
    async with invocation(20):
        run = ApplyRun(asked.intent, ApplyOptions(), settings, Network(settings))
        await apply(run, settings)


def test_killed_at_any_await_it_leaves_old_rules_or_new_ones(azure) -> None:
    old = [
        one for one in nineteen() if one["name"] not in ("AMLFS-Out-KeyVault", "AMLFS-In-DenyAll")
    ]
    new = {one["name"] for one in nineteen()}
    seen: set[str] = set()
    kills = 0
    for kill_at in range(1, 400):
        azure.reset()
        azure.nsg(old)
        azure.network()
        ended = ends_by_itself(apply_once(), kill_at)
        names = set(azure.names())
        assert names in ({one["name"] for one in old}, new)
        associated = azure.get(LUSTRE)["properties"].get("networkSecurityGroup")
        assert associated in (None, {"id": NSG})
        seen.add(f"{names == new} {associated is not None}")
        kills += 1
        if ended:
            break
    assert ended
    assert kills > 10
    assert seen == {"False False", "True False", "True True"}
