"""The local queues behave as a storage account's: in the host's process, and in Azurite."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest

from local.queues import LocalQueues, Message, Queues, StorageQueues, connection_to
from shared.cloud.queues import close_queues, send_message
from shared.settings import read_settings
from tests.azure import INTENT, NSG
from tests.conftest import serving
from tests.planning.test_plan import nineteen


@pytest.fixture(params=["in the host", pytest.param("azurite", marks=pytest.mark.azurite)])
def make(request) -> Callable[[], Queues]:
    if request.param == "azurite":
        connection = request.getfixturevalue("azurite")
        return lambda: StorageQueues(connection)
    return LocalQueues


async def until(is_so: Callable[[], bool], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not is_so():  # noqa: ASYNC110 - the condition is not ours to signal
            await asyncio.sleep(0.02)


def test_messages_come_once_and_with_their_text(make) -> None:
    async def main() -> None:
        queues, seen = make(), []

        async def handle(message: Message) -> None:
            seen.append(message.body)

        await queues.serve("some-messages", handle)
        for text in ("Grüße", '{"guard": "fs"}'):
            await queues.put("some-messages", text)
        await until(lambda: len(seen) == 2)
        await asyncio.sleep(0.3)
        assert sorted(seen) == ["Grüße", '{"guard": "fs"}']
        await queues.stop()

    asyncio.run(main())


def test_a_delayed_message_comes_later(make) -> None:
    async def main() -> None:
        queues, seen, loop = make(), [], asyncio.get_running_loop()

        async def handle(message: Message) -> None:
            seen.append((message.body, loop.time()))

        await queues.serve("delayed-messages", handle)
        started = loop.time()
        await queues.put("delayed-messages", "later", 2)
        await queues.put("delayed-messages", "now")
        await until(lambda: len(seen) == 2)
        assert [body for body, _ in seen] == ["now", "later"]
        assert seen[1][1] - started > 1.0
        await queues.stop()

    asyncio.run(main())


def test_what_fails_five_times_lies_in_the_poison_queue(make) -> None:
    async def main() -> None:
        queues, tries, poison = make(), [], []

        async def fail(message: Message) -> None:
            tries.append(message.dequeue_count)
            raise RuntimeError("on purpose")

        async def keep(message: Message) -> None:
            poison.append(message.body)

        await queues.serve("failing-messages", fail)
        await queues.serve("failing-messages-poison", keep)
        await queues.put("failing-messages", "bad")
        await until(lambda: bool(poison), 30)
        assert tries == [1, 2, 3, 4, 5]
        assert poison == ["bad"]
        await queues.stop()

    asyncio.run(main())


@pytest.mark.azurite
def test_the_service_sends_to_azurite_what_the_host_reads_there(azurite, monkeypatch) -> None:
    """The service's SDK and the host's, over a real storage emulator."""
    monkeypatch.setenv("AzureWebJobsStorage", azurite)

    async def main() -> None:
        queues, seen = StorageQueues(azurite), []

        async def handle(message: Message) -> None:
            seen.append(json.loads(message.body))

        await queues.serve("from-the-service", handle)
        await send_message(read_settings(), "from-the-service", json.dumps({"a": "ü"}))
        await until(lambda: bool(seen))
        assert seen == [{"a": "ü"}]
        await queues.stop()
        await close_queues()

    asyncio.run(main())


def test_putting_a_message_is_answered_as_the_queue_service_does(host, service) -> None:
    """What is no message is refused, and no function is called."""
    for content in (b"no XML", b"<QueueMessage><MessageText>!</MessageText></QueueMessage>"):
        answer = service.post("/_queues/nobody/messages", content=content)
        assert answer.status_code == 400
    assert host.queues.messages["nobody"].qsize() == 0


@pytest.mark.azurite
@pytest.mark.in_process
def test_guards_work_with_tables_and_queues_in_azurite(embedded_azure, azure, azurite, monkeypatch):
    """An event, its second look and a sweep with everything that Azure keeps in Azurite."""
    from local.host import load_host  # noqa: PLC0415

    monkeypatch.setenv("AzureWebJobsStorage", azurite)
    monkeypatch.setenv("AMLFS_STORE", "table")
    monkeypatch.setenv("AMLFS_SETTLE_SECONDS", "1")
    azure.set(eventDelaySeconds=0.01)
    azure.nsg(nineteen())
    azure.network(NSG)
    with serving(load_host(queues=StorageQueues(azurite)).application()) as client:
        assert connection_to(1) != azurite
        answer = client.put("/api/guards/fs", json={"intent": INTENT}, timeout=60)
        assert answer.json()["status"]["verdict"] == "compliant", answer.text
        hook = f"{client.base_url}/runtime/webhooks/EventGrid?functionName=on_network_change"
        azure.client.post("/_box/webhooks", json={"endpoint": hook})
        azure.delete(f"{NSG}/securityRules/AMLFS-Out-KeyVault")
        azure.wait_until(lambda: "AMLFS-Out-KeyVault" in azure.names(), 30)
        azure.client.delete("/_box/webhooks")
        azure.delete(f"{NSG}/securityRules/AMLFS-Out-Ntp")
        client.post("/admin/functions/sweep", json={}, timeout=60)
        azure.wait_until(lambda: "AMLFS-Out-Ntp" in azure.names(), 60)
        history = client.get("/api/guards/fs/history").json()["value"]
        types = [event["type"].removeprefix("amlfs.guard.") for event in history]
        azure.wait_until(lambda: restored(client) == 2, 30)
        assert types[-1] == "registered"
        assert client.delete("/api/guards/fs").status_code == 204


def restored(client: httpx.Client) -> int:
    history = client.get("/api/guards/fs/history").json()["value"]
    return sum(event["type"].endswith("restored") for event in history)
