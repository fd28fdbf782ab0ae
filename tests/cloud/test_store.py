"""The contract of a store: SQLite and Azure Table storage (Azurite) both keep it."""

from __future__ import annotations

import asyncio
import random
import string

import pytest
from azure.data.tables.aio import TableServiceClient

from shared.cloud.store import Store, make_store
from shared.cloud.store.sqlite import SqliteStore
from shared.cloud.store.tables import TableStore
from shared.errors import Misconfigured, PreconditionFailed
from shared.settings import read_settings


@pytest.fixture(params=["memory", "file", pytest.param("table", marks=pytest.mark.azurite)])
def run(request, tmp_path):
    """Runs a test's coroutine with an empty store of each kind."""

    def run_with(test):
        async def main() -> None:
            if request.param == "table":
                connection = request.getfixturevalue("azurite")
                service = TableServiceClient.from_connection_string(connection)
                store: Store = TableStore(service, f"t{random.randrange(10**12)}")
            else:
                path = ":memory:" if request.param == "memory" else str(tmp_path / "a/b.db")
                store = SqliteStore(path)
            try:
                await test(store)
            finally:
                await store.close()

        asyncio.run(main())

    return run_with


def test_what_is_written_is_read(run) -> None:
    async def test(store: Store) -> None:
        assert await store.get("guard", "a") is None
        body = {"text": "Grüße 'ここ'", "list": [1, 2.5, None, True], "deep": {"a": {"b": []}}}
        made = await store.create("guard", "a", body)
        found = await store.get("guard", "a")
        assert found == made
        assert found is not None
        assert found.body == body
        assert await store.get("operation", "a") is None

    run(test)


def test_a_record_is_made_once(run) -> None:
    async def test(store: Store) -> None:
        await store.create("guard", "a", {"n": 1})
        with pytest.raises(PreconditionFailed):
            await store.create("guard", "a", {"n": 2})
        record = await store.get("guard", "a")
        assert record is not None
        assert record.body == {"n": 1}

    run(test)


def test_only_the_version_that_was_read_is_written_over(run) -> None:
    async def test(store: Store) -> None:
        first = await store.create("guard", "a", {"n": 1})
        second = await store.replace("guard", "a", {"n": 2}, first.version)
        assert second.version != first.version
        with pytest.raises(PreconditionFailed):
            await store.replace("guard", "a", {"n": 3}, first.version)
        with pytest.raises(PreconditionFailed):
            await store.replace("guard", "none", {"n": 3}, first.version)
        record = await store.get("guard", "a")
        assert record is not None
        assert record.body == {"n": 2}

    run(test)


def test_of_two_writers_one_wins(run) -> None:
    async def test(store: Store) -> None:
        first = await store.create("guard", "a", {"n": 0})
        writes = [store.replace("guard", "a", {"n": n}, first.version) for n in range(1, 6)]
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert sum(isinstance(r, PreconditionFailed) for r in results) == 4

    run(test)


def test_deleting(run) -> None:
    async def test(store: Store) -> None:
        await store.delete("guard", "none")
        first = await store.create("guard", "a", {})
        second = await store.replace("guard", "a", {}, first.version)
        with pytest.raises(PreconditionFailed):
            await store.delete("guard", "a", first.version)
        await store.delete("guard", "a", second.version)
        assert await store.get("guard", "a") is None
        with pytest.raises(PreconditionFailed):
            await store.delete("guard", "a", second.version)

    run(test)


def test_pages_are_in_order_and_complete(run) -> None:
    async def test(store: Store) -> None:
        keys = [f"{n:03}" for n in range(25)]
        for key in random.Random(1).sample(keys, len(keys)):
            await store.create("guard", key, {"key": key})
        await store.create("other", "000", {})
        seen, after = [], ""
        while True:
            records, more = await store.page("guard", after, 10)
            seen += [record.key for record in records]
            if more is None:
                break
            after = more
        assert seen == keys
        assert await store.page("nothing") == ([], None)

    run(test)


def test_a_large_record(run) -> None:
    async def test(store: Store) -> None:
        chance = random.Random(2)
        text = "".join(chance.choices(string.printable, k=400_000))
        await store.create("operation", "large", {"text": text})
        record = await store.get("operation", "large")
        assert record is not None
        assert record.body == {"text": text}

    run(test)


def test_a_file_outlives_the_process(tmp_path) -> None:
    path = str(tmp_path / "store.db")

    async def main() -> None:
        first = SqliteStore(path)
        await first.create("guard", "a", {"n": 1})
        await first.close()
        second = SqliteStore(path)
        record = await second.get("guard", "a")
        assert record is not None
        assert record.body == {"n": 1}
        await second.close()

    asyncio.run(main())


@pytest.mark.parametrize("store", ["tabel", "sqlite", "sqlite:", "sqlite:/proc/none/x.db", "table"])
def test_a_store_that_cannot_be_is_said(monkeypatch, store) -> None:
    for name in ("AzureWebJobsStorage", "AMLFS_STORE__tableServiceUri"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(Misconfigured, match="AMLFS_STORE"):
        make_store(read_settings({"AMLFS_STORE": store}))
