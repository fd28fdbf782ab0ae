"""A guarded file system: the service, an embedded Azure that tells it of changes, one guard."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import jsonschema
import pytest

from local.queues import LocalQueues
from shared.guards.record import SCHEMA as RECORD_SCHEMA
from tests import ROOT
from tests.azure import INTENT, NSG, Azure
from tests.conftest import ISOLATED
from tests.infra.snapshots import event_filter
from tests.planning.test_plan import nineteen

SCHEMA = json.loads((ROOT / "docs/outcomes.schema.json").read_bytes())
CALM_SECONDS = 0.12
CALM_LOOKS = 5
"""On a busy machine one look may take longer than `CALM_SECONDS`, and proves nothing by itself."""

REGISTRATIONS = ("registered", "changed", "deleted")
WEBHOOK = "/runtime/webhooks/EventGrid?functionName=on_network_change"


class Guarded:
    """What a test of guards does with the service and Azure."""

    def __init__(self, service: httpx.Client, azure: Azure, queues: LocalQueues) -> None:
        self.service = service
        self.azure = azure
        self.queues = queues

    def put(self, name: str = "fs", status: int | None = None, **body: Any) -> dict[str, Any]:
        answer = self.service.put(
            f"/api/guards/{name}", json={"intent": INTENT, **body}, timeout=30
        )
        assert answer.status_code in ((status,) if status else (200, 201)), answer.text
        return answer.json()

    def get(self, name: str = "fs") -> dict[str, Any]:
        answer = self.service.get(f"/api/guards/{name}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, action: str, name: str = "fs", status: int = 200, **body: Any) -> dict[str, Any]:
        answer = self.service.post(f"/api/guards/{name}/{action}", json=body or None, timeout=30)
        assert answer.status_code == status, answer.text
        return answer.json()

    def run(self, function: str, value: Any = "", status: int = 202) -> None:
        answer = self.service.post(
            f"/admin/functions/{function}", json={"input": value}, timeout=60
        )
        assert answer.status_code == status, answer.text

    def outcomes(self) -> list[dict[str, Any]]:
        """What a subscriber knows: it may get an outcome twice, with the same id."""
        found = self.azure.client.get("/_box/outcomes").json()["value"]
        return list({one["id"]: one for one in found}.values())

    def types(self, *, all_of_them: bool = False) -> list[str]:
        """The types of outcomes; registrations only where they are asked for."""
        types = [event["type"].removeprefix("amlfs.guard.") for event in self.outcomes()]
        return [one for one in types if all_of_them or one not in REGISTRATIONS]

    def history(self, name: str = "fs") -> list[dict[str, Any]]:
        return self.service.get(f"/api/guards/{name}/history").json()["value"]

    def events(self) -> list[dict[str, Any]]:
        return self.azure.client.get("/_box/events").json()["value"]

    def is_right(self) -> bool:
        body = {"intent": INTENT}
        answer = self.service.post("/api/verify", json=body)
        return answer.status_code == 200 and answer.json()["verdict"] == "compliant"

    def quiet(self, seconds: float = 60 if ISOLATED else 15) -> None:
        """Wait until every event has been answered, every message handled and every look over."""
        end = time.monotonic() + seconds
        calm_since, calm_looks, count = time.monotonic(), 0, -1
        while calm_looks < CALM_LOOKS or time.monotonic() - calm_since < CALM_SECONDS:
            is_open = any(map(is_on_its_way, self.events()))
            calls = len(self.azure.calls())
            calm_looks += 1
            if is_open or calls != count or not self.queues.is_idle:
                calm_since, calm_looks, count = time.monotonic(), 0, calls
            assert time.monotonic() < end, "it does not become quiet"
            time.sleep(0.02)

    def forget(self) -> None:
        for what in ("outcomes", "events", "calls", "faults"):
            self.azure.client.delete(f"/_box/{what}")

    def writes(self) -> int:
        return sum(call["method"] != "GET" for call in self.azure.calls())


def is_on_its_way(event: dict[str, Any]) -> bool:
    """Whether an event is still to be delivered, perhaps once more."""
    last = event["deliveries"][-1]["status"] if event["deliveries"] else None
    is_taken = last is not None and last < 300
    return not (is_taken or event["deadLettered"] or event["lost"] or event["filtered"])


@pytest.fixture
def idle(service, azure, host, monkeypatch) -> Iterator[Guarded]:
    """A file system's network as it should be, and no guard yet."""
    monkeypatch.setenv("AMLFS_SETTLE_SECONDS", "0.15")
    topic = f"{azure.server.url}/topics/outcomes/api/events"
    monkeypatch.setenv("AMLFS_OUTCOME_TOPIC_ENDPOINT", topic)
    azure.set(eventDelaySeconds=0.01)
    azure.nsg(nineteen())
    azure.network(NSG)
    webhook = str(service.base_url).rstrip("/") + WEBHOOK
    azure.client.post("/_box/webhooks", json={"endpoint": webhook, "filter": event_filter()})
    azure.client.delete("/_box/events")
    guarded = Guarded(service, azure, host.queues)
    yield guarded
    guarded.quiet()
    monkeypatch.delenv("AMLFS_GUARDS", raising=False)
    azure.client.delete("/_box/webhooks")
    azure.set(operationSeconds=0)
    for event in guarded.outcomes():
        jsonschema.validate(event, SCHEMA)
    for guard in service.get("/api/guards").json()["value"]:
        service.delete(f"/api/guards/{guard['name']}")
    guarded.quiet()


@pytest.fixture
def guarded(idle) -> Guarded:
    """The same with a guard that has found everything right."""
    assert idle.put()["status"]["verdict"] == "compliant"
    idle.quiet()
    idle.forget()
    return idle


@pytest.fixture
def stored(idle, monkeypatch, tmp_path) -> Callable[..., None]:
    """A store in a file with two guards; returns how a record of the first is overwritten."""
    path = tmp_path / "guards.db"
    monkeypatch.setenv("AMLFS_STORE", f"sqlite:{path}")
    idle.put("fs")
    other = {**INTENT, "networkSecurityGroupId": NSG + "2"}
    other["fileSystemSubnet"] = {"addressPrefixes": ["10.0.9.0/24"]}
    idle.put("other", mode="audit", intent=other)
    idle.forget()

    def overwrite(body: str, schema: int = RECORD_SCHEMA) -> None:
        with sqlite3.connect(path) as database:
            done = database.execute(
                "UPDATE records SET body = ?, schema = ?, version = 'x'"
                " WHERE kind = 'guard' AND key = 'fs'",
                (body, schema),
            )
            assert done.rowcount == 1
        database.close()

    return overwrite
