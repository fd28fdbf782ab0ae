"""Claims and watches hold, whichever process registers what at the same moment."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.cloud.store.sqlite import SqliteStore
from shared.errors import Conflict, NotFound, PreconditionFailed
from shared.guards.declared import new_guard
from shared.guards.deleting import DELETION, DELETION_SECONDS, delete_guard, finish_deletions
from shared.guards.guard import Guard, GuardStatement
from shared.guards.housekeeping import FORGOTTEN, forget_history
from shared.guards.outcome import Outcome, OutcomeType
from shared.guards.outcomes import Outcomes, event_of
from shared.guards.repository import (
    CLAIM,
    AlreadyExists,
    GuardRepository,
    digest,
    holders_in,
    watch_kind,
)
from shared.settings import read_settings
from tests.azure import INTENT, LUSTRE, NSG

Test = Callable[[list[GuardRepository]], Awaitable[None]]


def guard(name: str, nsg: str = NSG, subnet: str = LUSTRE, **more: Any) -> Guard:
    intent = {**INTENT, "networkSecurityGroupId": nsg, "fileSystemSubnet": {"id": subnet}}
    intent |= more.pop("intent", {})
    statement = GuardStatement.model_validate({"intent": intent, **more})
    return new_guard(statement, name)


@pytest.fixture
def processes(tmp_path) -> Callable[[Test], None]:
    """Runs a test with six repositories on one file, as in six processes."""

    def run(test: Test) -> None:
        async def main() -> None:
            stores = [SqliteStore(str(tmp_path / "guards.db")) for _ in range(6)]
            await test([GuardRepository(store) for store in stores])
            for store in stores:
                await store.close()

        asyncio.run(main())

    return run


def test_the_same_guard_at_the_same_moment_is_one_guard_with_its_claims(processes) -> None:
    async def test(repositories: list[GuardRepository]) -> None:
        results = await asyncio.gather(
            *(one.create(guard("fs")) for one in repositories), return_exceptions=True
        )
        losers = [one for one in results if isinstance(one, BaseException)]
        assert len(losers) == len(repositories) - 1
        assert all(isinstance(one, AlreadyExists) for one in losers)
        saved = await repositories[0].get("FS")
        await repositories[0].check_held(saved)
        assert await repositories[0].watching(NSG) == ["fs"]

    processes(test)


def test_of_different_guards_for_one_nsg_one_wins_and_nothing_of_the_others_stays(
    processes,
) -> None:
    async def test(repositories: list[GuardRepository]) -> None:
        guards = [guard(f"g{n}") for n in range(len(repositories))]
        results = await asyncio.gather(
            *(one.create(each) for one, each in zip(repositories, guards, strict=True)),
            return_exceptions=True,
        )
        winners = [one for one in results if isinstance(one, Guard)]
        assert len(winners) == 1
        assert all(isinstance(one, Conflict) for one in results if one is not winners[0])
        left = [one async for one in repositories[0].all()]
        assert [one.key for one in left] == [winners[0].key]
        await repositories[0].check_held(winners[0])

    processes(test)


def test_a_subnet_has_one_guard_always(processes) -> None:
    async def test(repositories: list[GuardRepository]) -> None:
        repository = repositories[0]
        await repository.create(guard("first", allowShared=True))
        second = guard("second", NSG + "2", allowShared=True, intent={"namePrefix": "B-"})
        with pytest.raises(Conflict) as taken:
            await repository.create(second)
        assert taken.value.facts == {"guard": "first", "resource": LUSTRE.lower()}

    processes(test)


SHARED = {
    "both allow it, with two prefixes": (True, True, "B-", True),
    "both allow it, with one prefix": (True, True, "amlfs-", False),
    "the first does not": (False, True, "B-", False),
    "the second does not": (True, False, "B-", False),
}


@pytest.mark.parametrize(("first", "second", "prefix", "works"), SHARED.values(), ids=SHARED)
def test_an_nsg_has_one_guard_unless_all_share_it(processes, first, second, prefix, works) -> None:
    async def test(repositories: list[GuardRepository]) -> None:
        repository = repositories[0]
        one = await repository.create(guard("one", allowShared=first))
        two = guard("two", NSG, LUSTRE + "2", allowShared=second, intent={"namePrefix": prefix})
        if not works:
            with pytest.raises(Conflict):
                await repository.create(two)
            return
        two = await repository.create(two)
        record = await repository.store.get(CLAIM, digest(NSG))
        assert holders_in(record) == ["one", "two"]
        narrow = guard("one", allowShared=False)
        with pytest.raises(Conflict):
            await repository.replace(one, replace(narrow, id=one.id))
        await repository.delete(one)
        record = await repository.store.get(CLAIM, digest(NSG))
        assert holders_in(record) == ["two"]
        await repository.check_held(two)

    processes(test)


class Slow(SqliteStore):
    """A store whose every call takes its time, as one over a network does."""

    async def get(self, kind: str, key: str) -> Any:
        await asyncio.sleep(random.uniform(0, 0.003))
        return await super().get(kind, key)

    async def replace(self, *given: Any, **more: Any) -> Any:
        await asyncio.sleep(random.uniform(0, 0.003))
        return await super().replace(*given, **more)


def test_who_loses_a_race_for_another_nsg_keeps_what_it_had(tmp_path) -> None:
    """Two guards of two NSGs are put to a third one at the same moment."""

    async def main() -> None:
        for turn in range(25):
            path = str(tmp_path / f"{turn}.db")
            stores = [Slow(path), Slow(path)]
            repositories = [GuardRepository(store) for store in stores]
            old = [
                await one.create(guard(name, f"{NSG}-{name}", f"{LUSTRE}-{name}"))
                for name, one in zip("ab", repositories, strict=True)
            ]
            wanted = [
                replace(
                    each, statement=guard(each.name, f"{NSG}-x", f"{LUSTRE}-{each.name}").statement
                )
                for each in old
            ]
            results = await asyncio.gather(
                *(
                    one.replace(before, after)
                    for one, before, after in zip(repositories, old, wanted, strict=True)
                ),
                return_exceptions=True,
            )
            for before, result in zip(old, results, strict=True):
                saved = await repositories[0].get(before.name)
                if isinstance(result, Conflict):
                    assert saved == before, "a conflict changes nothing"
                else:
                    assert isinstance(result, Guard)
                await repositories[0].check_held(saved)
            assert sum(isinstance(one, Guard) for one in results) <= 1
            for store in stores:
                await store.close()

    asyncio.run(main())


def test_lost_claims_and_watches_are_put_in_place_again(processes) -> None:
    async def test(repositories: list[GuardRepository]) -> None:
        repository = repositories[0]
        saved = await repository.create(guard("fs"))
        await repository.store.delete(CLAIM, digest(NSG))
        with pytest.raises(Conflict):
            await repository.check_held(saved)
        await repository.store.delete(watch_kind(NSG), "fs")
        with pytest.raises(Conflict):
            await repository.check_watched(saved)
        await repository.assert_claims(saved)
        await repository.check_held(saved)
        await repository.check_watched(saved)

    processes(test)


def test_a_claim_of_a_guard_that_is_gone_does_not_count(processes) -> None:
    async def test(repositories: list[GuardRepository]) -> None:
        repository = repositories[0]
        await repository.store.create(CLAIM, digest(NSG), {"guard": "ghost", "resource": NSG})
        saved = await repository.create(guard("fs"))
        await repository.check_held(saved)
        with pytest.raises(NotFound):
            await repository.get("ghost")

    processes(test)


class Killed(BaseException):
    """Stands for the end of the process."""


class Mortal(SqliteStore):
    """A store whose process is killed when it creates a record of some kind."""

    fatal = ""

    async def create(self, kind: str, *given: Any, **more: Any) -> Any:
        if self.fatal and kind.startswith(self.fatal):
            raise Killed
        return await super().create(kind, *given, **more)


@pytest.mark.parametrize("moment", ["forgotten", "outcome-"])
def test_a_guard_whose_deletion_was_cut_off_is_deleted_in_its_history(tmp_path, moment) -> None:
    settings = read_settings({})

    async def main() -> None:
        store = Mortal(str(tmp_path / "guards.db"))
        repository = GuardRepository(store)
        event = event_of(guard("fs"), Outcome(OutcomeType.RESUMED))
        old = await repository.create(replace(guard("fs"), outbox=(event,)))
        store.fatal = moment
        with pytest.raises(Killed):
            await delete_guard(repository, settings, old, "a person")
        store.fatal = ""
        new = await repository.create(guard("fs"))

        async def types(guard_id: str) -> list[str]:
            history, _ = await Outcomes(store, settings).history(guard_id)
            return sorted(one["type"].rpartition(".")[2] for one in history)

        await finish_deletions(repository, settings, time.time())
        assert await types(old.id) == [], "the process may still be at work"
        for _ in range(2):
            await finish_deletions(repository, settings, time.time() + DELETION_SECONDS)
            assert await types(old.id) == ["deleted", "resumed"]
        assert await types(new.id) == []
        assert (await store.page(DELETION))[0] == []
        await store.close()

    asyncio.run(main())


def test_a_history_that_is_forgotten_twice_in_a_moment_is_forgotten(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("shared.guards.housekeeping.time.time", lambda: 1_700_000_000.0)

    async def main() -> None:
        store = SqliteStore(str(tmp_path / "guards.db"))
        for _ in range(2):
            await forget_history(store, "some-id")
        records, _ = await store.page(FORGOTTEN)
        assert [one.body for one in records] == [{"id": "some-id"}]
        await store.close()

    asyncio.run(main())


def test_a_deletion_that_did_not_begin_leaves_no_outcome(tmp_path) -> None:
    settings = read_settings({})

    async def main() -> None:
        store = SqliteStore(str(tmp_path / "guards.db"))
        repository = GuardRepository(store)
        old = await repository.create(guard("fs"))
        await repository.save(old, replace(old, findings=replace(old.findings, changes=({},))))
        with pytest.raises(PreconditionFailed):
            await delete_guard(repository, settings, old, "a person")
        assert (await store.page(DELETION))[0] == []
        await store.close()

    asyncio.run(main())
