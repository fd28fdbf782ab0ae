"""Stored guards age well: old records are read, and one that cannot be read stops no other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.applying.writes import Write, WriteState
from shared.cloud.store import Record
from shared.guards.circuit import Circuit
from shared.guards.declared import new_guard
from shared.guards.guard import (
    ClaimConflict,
    Failure,
    Findings,
    Guard,
    GuardStatement,
    PendingWrite,
    Status,
    Suspension,
    UnreadableGuard,
)
from shared.guards.record import SCHEMA, guard_body, load_guard
from tests.azure import CLIENTS, INTENT, NSG

GOLDEN = Path(__file__).with_name("golden")
OLD = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in GOLDEN.glob("*.json")}


EVENT = {
    "id": "1",
    "type": "amlfs.guard.restored",
    "subject": "guards/fs",
    "time": "2026-11-27T00:00:00+00:00",
    "data": {},
}


def load(body: Any, schema: int = SCHEMA, key: str = "fs") -> Guard | UnreadableGuard:
    return load_guard(Record(key, body, "v1", schema))


def full() -> Guard:
    """A guard with a value in every field."""
    statement = GuardStatement.model_validate(
        {"intent": INTENT, "mode": "audit", "foreignRules": "remove", "allowShared": True}
    )
    change = {"action": "create", "name": "n", "before": None, "after": {"a": 1}, "reason": "r"}
    write = Write("w", NSG, "e", (change,), WriteState.ACCEPTED, 5.0)
    return replace(
        new_guard(statement, "FS", declared=True),
        suspension=Suspension(1.0, "why", 2.0, "me"),
        conflict=ClaimConflict("other", NSG),
        former_subnets=(CLIENTS,),
        status=Status("compliant", "s", "restored", "c"),
        findings=Findings(({"a": 1},), ({"b": 2},), ({"c": 3},), "summary"),
        fingerprint="f",
        circuit=Circuit(((1.0, "d"),), 2.0, 3.0, "state"),
        announced="digest",
        failure=Failure("k", "r", 1.0, True, {"status": 1}),
        reminded_at=4.0,
        drift_since=5.0,
        pending=(PendingWrite(write, "run", {"kind": "event"}, "c", "noncompliant", NSG),),
        outbox=(EVENT,),
        declaration_error="wrong",
        version="v1",
    )


def test_every_field_is_stored_and_read() -> None:
    guard = full()
    body = json.loads(json.dumps(guard_body(guard)))
    assert load(body) == guard
    assert (body["name"], body["intent"]) == ("FS", INTENT), "the contract's fields"
    for name in Guard.__dataclass_fields__:
        assert getattr(guard, name) not in (None, (), ""), f"{name} is not tried here"


@pytest.mark.parametrize("name", OLD)
def test_old_records_are_read(name) -> None:
    """Golden files: records as earlier versions of the service have written them."""
    old = OLD[name]
    guard = load(old["body"], old["schema"], old["body"]["name"].lower())
    assert isinstance(guard, Guard), guard
    expected = old["expected"]
    assert guard.status.verdict == expected["verdict"]
    assert guard.statement.mode.value == expected["mode"]
    assert (guard.suspension is not None) is expected["suspended"]
    assert guard.circuit.is_open is expected["circuitOpen"]
    assert guard.id == guard.key, "its history is found"
    again = load(json.loads(json.dumps(guard_body(guard))), SCHEMA, guard.key)
    assert again == guard, "and it is written in today's schema"


def test_a_record_of_today_without_what_came_later_is_read() -> None:
    guard = load({"name": "fs", "intent": INTENT})
    assert isinstance(guard, Guard)
    assert (guard.catalogue, guard.pending, guard.circuit) == ("2024-11-08", (), Circuit())


UNREADABLE: dict[str, tuple[Any, int, str]] = {
    "an unknown field": ({"name": "fs", "intent": INTENT, "owner": "me"}, SCHEMA, "owner"),
    "no intent": ({"name": "fs"}, SCHEMA, "intent"),
    "no name": ({"intent": INTENT}, SCHEMA, "name"),
    "another name": ({"name": "other", "intent": INTENT}, SCHEMA, "other"),
    "no NSG": ({"name": "fs", "intent": {"location": "eastus"}}, SCHEMA, "no NSG"),
    "an unknown catalogue": (
        {"name": "fs", "intent": {**INTENT, "catalogue": "1999-01-01"}},
        SCHEMA,
        "no such revision",
    ),
    "a wrong type": ({"name": "fs", "intent": INTENT, "watched": 5}, SCHEMA, "watched"),
    "an unknown fixed catalogue": (
        {"name": "fs", "intent": INTENT, "catalogue": "1999-01-01"},
        SCHEMA,
        "no such revision",
    ),
    "a time that is on no clock": (
        {"name": "fs", "intent": INTENT, "suspension": {"until": 1e20}},
        SCHEMA,
        "suspension.until",
    ),
    "an outcome that is none": ({"name": "fs", "intent": INTENT, "outbox": [{}]}, SCHEMA, "outbox"),
    "an id that is none": ({"name": "fs", "intent": INTENT, "watched": ["x"]}, SCHEMA, "watched"),
    "a newer schema": ({"name": "fs", "intent": INTENT}, SCHEMA + 1, "newer"),
    "an old one without its parts": ({"name": "fs"}, 1, "schema 1"),
}


@pytest.mark.parametrize(("body", "schema", "says"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_says_why(body, schema, says) -> None:
    guard = load(body, schema)
    assert isinstance(guard, UnreadableGuard)
    assert says in guard.reason
    assert guard.is_newer is (schema > SCHEMA)


# -- in the running service -----------------------------------------------------------------------


BODIES = {
    "truncated": '{"name": "fs", "inte',
    "a list": "[]",
    "empty": "",
    "null": "null",
    "deep": "[" * 200_000,
    "an unknown field": json.dumps({"name": "fs", "intent": INTENT, "owner": "me"}),
    "an unknown catalogue": json.dumps(
        {"name": "fs", "intent": {**INTENT, "catalogue": "1999-01-01"}}
    ),
    "a missing field": json.dumps({"name": "fs"}),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_record_that_cannot_be_read_stops_no_other_guard(idle, stored, body) -> None:
    stored(body)
    listed = {one["name"]: one for one in idle.service.get("/api/guards").json()["value"]}
    assert set(listed["fs"]) == {"name", "unreadable"}
    assert listed["other"]["status"]["verdict"] is not None
    assert idle.get()["unreadable"] == listed["fs"]["unreadable"]
    assert idle.service.get("/api/health").status_code == 200
    health = idle.service.get("/api/health/details").json()
    assert health["status"] == "degraded"
    assert health["guards"]["unreadable"][0]["name"] == "fs"
    idle.azure.delete(f"{NSG}/securityRules/AMLFS-Out-Ntp")
    idle.quiet()
    idle.run("sweep")
    idle.quiet()
    failed = [one for one in idle.outcomes() if one["type"] == "amlfs.guard.failed"]
    assert [one["subject"] for one in failed] == ["guards/fs"], "one, however often it is met"
    assert idle.post("reconcile", status=409)["type"].endswith("guard-unreadable")
    assert idle.post("reconcile", "other")["name"] == "other"
    assert idle.put("fs", status=200)["status"]["verdict"] == "compliant", "PUT repairs it"
    assert "AMLFS-Out-Ntp" in idle.azure.names()


def test_a_put_over_what_cannot_be_read_keeps_its_suspension(idle, stored) -> None:
    body = {"name": "fs", "intent": INTENT, "suspension": {"since": 1.0}, "owner": "me"}
    stored(json.dumps(body))
    assert idle.put("fs", status=200)["suspended"] is True


def test_delete_removes_what_cannot_be_read_and_frees_its_nsg(idle, stored) -> None:
    stored("[]")
    assert idle.put("second", status=409)["guard"] == "fs", "it holds its NSG still"
    assert idle.service.delete("/api/guards/fs").status_code == 204
    assert idle.put("second", status=201)["status"]["verdict"] == "compliant"


def test_a_record_of_a_newer_schema_is_never_overwritten(idle, stored) -> None:
    body = json.dumps({"name": "fs", "intent": INTENT, "of the future": 1})
    stored(body, SCHEMA + 1)
    assert idle.put("fs", status=409)["type"].endswith("guard-newer-schema")
    assert idle.service.delete("/api/guards/fs").status_code == 409
    idle.run("sweep")
    idle.quiet()
    assert "newer version" in idle.get()["unreadable"]
