"""Guards declared with the deployment: read one by one, unchanged by a restart, and in nobody's way."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from shared.cloud.queues import close_queues
from shared.cloud.store import open_store
from shared.cloud.store.sqlite import SqliteStore
from shared.guards import declared as module
from shared.guards.declared import declare_guards
from shared.guards.guard import Guard, UnreadableGuard
from shared.guards.record import SCHEMA
from shared.guards.repository import CLAIM, GUARD, GuardRepository
from shared.settings import read_settings
from tests.azure import INTENT, NSG

OTHER = {**INTENT, "networkSecurityGroupId": NSG + "2"}
OTHER["fileSystemSubnet"] = {"addressPrefixes": ["10.0.9.0/24"]}


def one(name: str = "Declared", intent: dict[str, Any] = INTENT, **more: Any) -> dict[str, Any]:
    return {"name": name, "intent": intent, **more}


@pytest.fixture
def declare(idle, monkeypatch):
    """Sets `AMLFS_GUARDS`, and has the service read it as after a restart."""

    def set_to(*guards: Any) -> None:
        monkeypatch.setattr(module, "_done", {})
        text = guards[0] if guards and isinstance(guards[0], str) else json.dumps(list(guards))
        monkeypatch.setenv("AMLFS_GUARDS", text)
        idle.service.get("/api/guards")
        idle.quiet()

    return set_to


pytestmark = pytest.mark.in_process
"""They have the process forget what it has declared, as a restart does."""


def listed(idle) -> dict[str, dict[str, Any]]:
    return {guard["name"]: guard for guard in idle.service.get("/api/guards").json()["value"]}


def test_a_declared_guard_is_looked_at_at_once_and_is_read_only(idle, declare) -> None:
    declare(one())
    guard = idle.get("declared")
    assert (guard["declared"], guard["status"]["verdict"]) == (True, "compliant")
    assert idle.put("DECLARED", status=409)["type"].endswith("guard-declared")
    assert idle.service.delete("/api/guards/declared").status_code == 409
    assert idle.post("suspend", "declared", status=409)["type"].endswith("guard-declared")
    assert idle.post("resume", "declared")["suspended"] is False
    assert [one["type"] for one in idle.history("declared")] == ["amlfs.guard.registered"]
    assert "AMLFS_GUARDS" in idle.history("declared")[0]["data"]["by"]


def test_it_can_be_suspended_where_a_setting_says_so(idle, declare, monkeypatch) -> None:
    monkeypatch.setenv("AMLFS_DECLARED_MAY_BE_SUSPENDED", "true")
    declare(one())
    assert idle.post("suspend", "declared", reason="a change window")["suspended"] is True
    declare(one())
    guard = idle.get("declared")
    assert guard["suspension"]["reason"] == "a change window", "it survives a restart"


def test_equal_declarations_change_nothing(idle, declare) -> None:
    declare(one())
    idle.azure.delete(f"{NSG}/securityRules/AMLFS-Out-Ntp")
    idle.quiet()
    before, history = idle.get("declared"), idle.history("declared")
    assert before["status"]["lastOutcome"] == "restored"
    declare(one("DECLARED", foreignRules="keep"))
    assert idle.get("declared") == before, "defaults and the name's case are no difference"
    assert idle.history("declared") == history
    declare(one(mode="audit"))
    assert idle.get("declared")["mode"] == "audit"
    assert idle.history("declared")[0]["type"] == "amlfs.guard.changed"
    assert len(idle.history("declared")) == len(history) + 1


WRONG = {
    "no intent": ({"name": "wrong"}, "wrong"),
    "a wrong intent": ({"name": "wrong", "intent": {"location": 1}}, "wrong"),
    "no name": ({"intent": INTENT}, "AMLFS_GUARDS-1"),
    "a name that cannot be": (one("-x"), "AMLFS_GUARDS-1"),
    "no object": (5, "AMLFS_GUARDS-1"),
    "the same name twice": (one("declared", OTHER), "AMLFS_GUARDS-1"),
}


@pytest.mark.parametrize(("wrong", "name"), WRONG.values(), ids=WRONG)
def test_a_wrong_declaration_is_reported_and_the_others_work(idle, declare, wrong, name) -> None:
    declare(one(), wrong)
    guards = listed(idle)
    assert guards["Declared"]["status"]["verdict"] == "compliant"
    assert "guard 1" in guards[name]["unreadable"]
    health = idle.service.get("/api/health/details").json()
    assert [found["name"] for found in health["guards"]["unreadable"]] == [name]
    assert idle.service.get("/api/health").status_code == 200
    idle.run("sweep")
    idle.quiet()
    idle.run("sweep")
    idle.quiet()
    failed = [found for found in idle.outcomes() if found["type"] == "amlfs.guard.failed"]
    assert [found["subject"] for found in failed] == [f"guards/{name}"], "one outcome"
    assert idle.put(name, status=409)
    declare(one())
    assert set(listed(idle)) == {"Declared"}, "it is over when it is corrected"


def test_a_declaration_that_became_wrong_leaves_the_earlier_one_in_force(idle, declare) -> None:
    declare(one())
    declare(one(owner="me"))
    guard = idle.get("declared")
    assert guard["status"]["verdict"] == "compliant"
    assert "owner" in guard["declarationError"]
    health = idle.service.get("/api/health/details").json()
    assert [found["name"] for found in health["guards"]["unreadable"]] == ["Declared"]
    idle.azure.delete(f"{NSG}/securityRules/AMLFS-Out-Ntp")
    idle.quiet()
    assert idle.is_right()
    idle.run("sweep")
    idle.quiet()
    failed = [found for found in idle.outcomes() if found["type"] == "amlfs.guard.failed"]
    assert len(failed) == 1
    declare(one())
    assert "declarationError" not in idle.get("declared")


def test_a_name_that_is_missing_by_mistake_deletes_no_guard(idle, declare) -> None:
    declare(one(), one("second", OTHER))
    declare(one(), {"nmae": "second", "intent": OTHER})
    assert set(listed(idle)) == {"Declared", "second", "AMLFS_GUARDS-1"}


def test_a_newer_record_survives_a_deployment_that_does_not_know_it(idle, declare) -> None:
    declare(one())
    store = open_store(read_settings())

    async def age() -> None:
        record = await store.get(GUARD, "declared")
        assert record is not None
        await store.replace(GUARD, "declared", record.body, record.version, SCHEMA + 1)

    asyncio.run(age())
    try:
        declare("[]")
        assert "newer version" in listed(idle)["Declared"]["unreadable"]
    finally:
        asyncio.run(store.delete(GUARD, "declared"))


@pytest.mark.parametrize("text", ["{", "[", "/no/such/file"])
def test_a_setting_that_cannot_be_read_stops_nobody(idle, declare, text) -> None:
    declare(one())
    idle.put("other", intent=OTHER)
    declare(text)
    guards = listed(idle)
    assert {"Declared", "other", "AMLFS_GUARDS"} == set(guards)
    assert "neither a JSON list" in guards["AMLFS_GUARDS"]["unreadable"]
    assert idle.post("reconcile", "declared")["status"]["verdict"] == "compliant"


def test_a_conflict_is_named_and_ends_when_the_other_guard_goes(idle, declare) -> None:
    idle.put("other")
    declare(one())
    guard = idle.get("declared")
    assert guard["conflict"] == {"guard": "other", "resource": NSG.lower()}
    assert guard["status"]["verdict"] is not None
    health = idle.service.get("/api/health/details").json()
    assert health["guards"]["conflicts"] == [
        {"name": "Declared", "guard": "other", "resource": NSG.lower()}
    ]
    assert health["status"] == "degraded"
    assert idle.service.delete("/api/guards/other").status_code == 204
    idle.quiet()
    guard = idle.get("declared")
    assert (guard["conflict"], guard["status"]["verdict"]) == (None, "compliant")
    idle.azure.delete(f"{NSG}/securityRules/AMLFS-Out-Ntp")
    idle.quiet()
    assert idle.is_right(), "it protects the NSG now"


def test_a_guard_in_conflict_writes_nothing(idle, declare) -> None:
    idle.put("other", mode="audit")
    declare(one())
    idle.azure.delete(f"{NSG}/securityRules/AMLFS-Out-Ntp")
    idle.quiet()
    assert "AMLFS-Out-Ntp" not in idle.azure.names()
    idle.run("sweep")
    idle.quiet()
    assert "AMLFS-Out-Ntp" not in idle.azure.names()


def test_what_is_no_longer_declared_goes(idle, declare) -> None:
    declare(one(), one("second", OTHER))
    assert set(listed(idle)) == {"Declared", "second"}
    declare(one())
    assert set(listed(idle)) == {"Declared"}
    declare("[]")
    assert listed(idle) == {}
    deleted = [found for found in idle.outcomes() if found["type"] == "amlfs.guard.deleted"]
    assert {found["subject"] for found in deleted} == {"guards/Declared", "guards/second"}
    assert all("AMLFS_GUARDS" in found["data"]["by"] for found in deleted)


def test_many_processes_that_declare_at_once_end_with_one_guard_and_its_claims(tmp_path) -> None:
    """Several stores on one file are as several processes: nothing else is shared."""
    declared = json.dumps([one(), one("second", OTHER), {"name": "wrong"}])
    path = str(tmp_path / "guards.db")

    async def main() -> None:
        stores = [SqliteStore(path) for _ in range(8)]
        environments = [
            {"AMLFS_GUARDS": declared, "AMLFS_STORE": f"sqlite:{path}?{n}"} for n in range(8)
        ]
        await asyncio.gather(
            *(
                declare_guards(GuardRepository(store), read_settings(environment), again=True)
                for store, environment in zip(stores, environments, strict=True)
            )
        )
        repository = GuardRepository(stores[0])
        guards = {guard.key: guard async for guard in repository.all()}
        assert isinstance(guards["wrong"], UnreadableGuard)
        for key in ("declared", "second"):
            guard = guards[key]
            assert isinstance(guard, Guard)
            await repository.check_held(guard)
            kinds = [event["type"] for event in guard.outbox]
            assert kinds == ["amlfs.guard.registered"], "registered once"
        claims, _ = await stores[0].page(CLAIM)
        assert len(claims) == 3, "two NSGs and one subnet"
        for store in stores:
            await store.close()
        await close_queues()

    asyncio.run(main())
