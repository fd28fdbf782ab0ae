"""Callers and events that are made to hurt: look-alikes, line ends, digits, headers, files."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
import uuid

import httpx
import pytest

from shared.cloud.clients import MOST_CLIENTS, Clients
from shared.cloud.store.sqlite import SqliteStore
from shared.context import plain_correlation
from shared.errors import Misconfigured
from shared.log_events import LONGEST_LINE, keep_to_one_line
from shared.settings import lies_in, read_settings
from tests.azure import GROUP, INTENT, NSG
from tests.guards.conftest import WEBHOOK, guarded, idle, stored
from tests.planning.test_plan import nineteen

__all__ = ["guarded", "idle", "stored"]

pytestmark = pytest.mark.in_process

KELVIN = "\u212a"
HERE = GROUP.removesuffix("/providers")


# -- look-alikes ----------------------------------------------------------------------------------


def test_a_look_alike_lies_in_no_scope() -> None:
    scope = f"{HERE}/rg-k".lower()
    assert KELVIN.lower() == "k"
    assert lies_in(f"{HERE}/rg-K", [scope])
    assert not lies_in(f"{HERE}/rg-{KELVIN}", [scope])


@pytest.mark.parametrize(
    "letter", [KELVIN, "\u0130", "\u017f", "\u00e9", "\n", " ", "%2e", "\u2215"]
)
@pytest.mark.parametrize("where", ["group", "name"])
def test_an_id_is_ascii(service, letter, where) -> None:
    odd = NSG.replace("/lustre/", f"/lustre{letter}/") if where == "group" else f"{NSG}{letter}x"
    answer = service.post("/api/verify", json={"intent": {**INTENT, "networkSecurityGroupId": odd}})
    assert answer.status_code == 422, answer.text
    assert "/intent/networkSecurityGroupId" in {e["pointer"] for e in answer.json()["errors"]}


# -- events ---------------------------------------------------------------------------------------


def event(subject: str = f"{NSG}/securityRules/x", **data: object) -> dict:
    return {
        "id": str(uuid.uuid4()),
        "topic": "/subscriptions/x",
        "subject": subject,
        "eventType": "Microsoft.Resources.ResourceWriteSuccess",
        "eventTime": "2026-01-01T00:00:00Z",
        "data": {"resourceUri": subject, **data},
        "dataVersion": "2",
        "metadataVersion": "1",
    }


ODD_EVENTS = {
    "a correlation id with a line end": event(correlationId="x\r\nX-Evil: 1"),
    "a correlation id of 100 KB": event(correlationId="x" * 100_000),
    "a correlation id that is a list": event(correlationId=["x"]),
    "a subject with a line end": event(f"{NSG}\n2026 ERROR forged"),
    "a subject of 100 KB": event(NSG + "x" * 100_000),
    "a subject with a look-alike": event(NSG.replace("lustre", f"lustre{KELVIN}")),
    "claims that are a list": event(claims=[1]),
    "a principal of 100 KB": event(claims={"name": "x" * 100_000}),
    "data that is a list": {**event(), "data": [1]},
    "no data": {**event(), "data": None},
}


@pytest.mark.parametrize("odd", ODD_EVENTS.values(), ids=ODD_EVENTS)
def test_no_event_makes_a_guard_fail(guarded, odd) -> None:
    headers = {"aeg-event-type": "Notification"}
    answer = guarded.service.post(WEBHOOK, json=[odd], headers=headers)
    assert answer.status_code < 500, answer.text
    guarded.quiet()
    assert guarded.types() == []
    assert guarded.get()["status"]["verdict"] == "compliant"
    for call in guarded.azure.calls():
        uuid.UUID(call["correlationId"])


@pytest.mark.parametrize("text", [None, "", "x", "x" * 36, "a\r\nb", "9" * 100_000])
def test_a_correlation_id_is_a_uuid_or_replaced(text) -> None:
    uuid.UUID(plain_correlation(text))
    known = str(uuid.uuid4())
    assert plain_correlation(known) == known


def test_a_line_is_a_line_whatever_others_say(caplog) -> None:
    keep_to_one_line()
    forged = "x\r\n2026-01-01 ERROR outcome amlfs.guard.deleted\u2028of guards/fs\x1b[2J"
    logging.getLogger("shared.test").warning("the change of %s goes to the queue", forged)
    logging.getLogger("shared.test").warning("%s", "x" * 100_000)
    first, second = (record.getMessage() for record in caplog.records)
    assert len(first.splitlines()) == 1
    assert "\\r\\n2026-01-01" in first
    assert "\x1b" not in first
    assert len(second) == LONGEST_LINE


# -- headers --------------------------------------------------------------------------------------


def test_entity_tags_in_lists_and_weak_ones_count(guarded) -> None:
    service, body = guarded.service, {"intent": INTENT}
    tag = service.get("/api/guards/fs").headers["ETag"]

    def put(**headers: str) -> int:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return int(service.put("/api/guards/fs", json=body, headers=sent).status_code)

    assert put(If_Match=f'"other", {tag}') == 200
    tag = service.get("/api/guards/fs").headers["ETag"]
    assert put(If_Match=f"W/{tag.removeprefix('W/')}") == 200
    assert put(If_Match='"other"') == 412
    assert put(If_Match="*") == 200
    tag = service.get("/api/guards/fs").headers["ETag"]
    assert put(If_None_Match=tag) == 412
    assert put(If_None_Match='"other"') == 200
    assert put(If_None_Match="*") == 412


def test_a_guard_that_is_known_is_not_sent_again(guarded) -> None:
    tag = guarded.service.get("/api/guards/fs").headers["ETag"]
    answer = guarded.service.get("/api/guards/fs", headers={"If-None-Match": f'"x", {tag}'})
    assert (answer.status_code, answer.content) == (304, b"")
    assert (
        guarded.service.get("/api/guards/fs", headers={"If-None-Match": '"x"'}).status_code == 200
    )


def test_answers_say_what_they_depend_on_and_what_was_preferred(service, azure) -> None:
    azure.nsg(nineteen())
    azure.network(NSG)
    prefixes = {
        "location": "eastus",
        "fileSystemSubnet": {"addressPrefixes": ["10.0.1.0/24"]},
        "clientSubnets": [{"addressPrefixes": ["10.0.2.0/24"]}],
    }
    assert service.post("/api/rules", json={"intent": prefixes}).headers["Vary"] == "Accept"
    headers = {"Prefer": "respond-async", "Idempotency-Key": str(uuid.uuid4())}
    answer = service.post("/api/apply", json={"intent": INTENT}, headers=headers)
    assert answer.headers["Preference-Applied"] == "respond-async"
    again = service.post("/api/apply", json={"intent": INTENT}, headers=headers)
    assert again.headers["Location"] == answer.headers["Location"], "the same operation"
    other = service.post(
        "/api/apply", json={"intent": INTENT}, headers={**headers, "Idempotency-Key": "another"}
    )
    ids = {one.headers["Location"].rpartition("/")[2] for one in (answer, other)}
    assert len(ids) == 2
    for one in ids:
        assert uuid.UUID(one).version == 4, "it follows from nothing"


# -- settings and store ---------------------------------------------------------------------------


def test_everything_wrong_with_the_settings_is_said_at_once() -> None:
    with pytest.raises(Misconfigured) as error:
        read_settings(
            {
                "AMLFS_CLOUD": "moon",
                "AMLFS_ALLOWED_SCOPES": "rg",
                "AMLFS_REQUEST_SECONDS": "soon",
                "AMLFS_DECLARED_MAY_BE_SUSPENDED": "perhaps",
                "AMLFS_ARM_ENDPOINT": "ftp://x",
            }
        )
    for name in ("CLOUD", "ALLOWED_SCOPES", "REQUEST_SECONDS", "DECLARED_MAY", "ARM_ENDPOINT"):
        assert f"AMLFS_{name}" in str(error.value)


def test_health_tells_nobody_which_setting_is_wrong(service, monkeypatch) -> None:
    monkeypatch.setenv("AMLFS_CLOUD", "secret-value")
    answer = service.get("/api/health")
    assert (answer.status_code, answer.json()) == (503, {"status": "down"})
    details = service.get("/api/health/details")
    assert details.status_code == 500
    assert "AMLFS_CLOUD" in details.json()["detail"]


def test_a_store_that_is_locked_is_503_and_blocks_nobody(service, monkeypatch, tmp_path) -> None:
    path = tmp_path / "guards.db"
    monkeypatch.setenv("AMLFS_STORE", f"sqlite:{path}")
    assert service.get("/api/guards").status_code == 200
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    started = time.monotonic()
    body = {"intent": INTENT}
    with httpx.Client(base_url=service.base_url, timeout=30) as client:
        answer = client.put("/api/guards/x", json=body)
    assert answer.status_code == 503, answer.text
    assert time.monotonic() - started < 15
    other.execute("ROLLBACK")
    other.close()


def test_a_store_that_is_damaged_is_one_error(tmp_path) -> None:
    async def main() -> None:
        store = SqliteStore(str(tmp_path / "guards.db"))
        await store.create("guard", "a", {"x": 1})
        await store.close()
        path = tmp_path / "guards.db"
        path.write_bytes(b"no database" * 1_000)
        for suffix in ("-wal", "-shm"):
            (tmp_path / f"guards.db{suffix}").unlink(missing_ok=True)
        with pytest.raises(Misconfigured):
            SqliteStore(str(path))

    asyncio.run(main())


def test_clients_of_subscriptions_are_bounded(monkeypatch) -> None:
    async def main() -> None:
        clients = Clients(read_settings())
        first = clients.of("first")
        for n in range(3 * MOST_CLIENTS):
            clients.of(f"s{n}")
            assert clients.of("FIRST") is first, "what is used is kept"
        assert len(clients._by_subscription) == MOST_CLIENTS
        await clients.close()

    asyncio.run(main())
