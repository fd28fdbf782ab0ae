"""The deployed alerts sound when, and only when, it is so; those of a state end with the state.

That Application Insights keeps the lines as `traces` with these messages cannot be tried here.
"""

from __future__ import annotations

import json
import logging
import re
import time
from datetime import UTC, datetime

import pytest

from shared.guards.states import STATES
from shared.log_events import LONGEST, PREFIX, log_event
from shared.nsg.locations import Cloud
from shared.nsg.service_tags import shipped_service_tags
from tests import kql
from tests.azure import INTENT, NSG, rule
from tests.guards.test_circuit import undo
from tests.infra.snapshots import named, of_type

pytestmark = pytest.mark.in_process

OF_THE_HOST = "Message has reached MaxDequeueCount"
"""Logged by the Functions host itself (azure-webjobs-sdk, QueueProcessor)."""

SSH = {
    "name": "ssh",
    "direction": "Inbound",
    "protocol": "Tcp",
    "sourceAddressPrefix": "10.9.0.0/24",
    "destinationPortRange": "22",
}
VAULT = f"{NSG}/securityRules/AMLFS-Out-KeyVault"


def alerts() -> dict[str, dict]:
    """The deployed log alerts, by the end of their names."""
    found = of_type(named("single-subscription"), "Microsoft.Insights/scheduledQueryRules")
    return {re.sub(r"^alert-lustre-\w{6}-", "", one["name"]): one["properties"] for one in found}


def query_of(alert: dict) -> str:
    (criterion,) = alert["criteria"]["allOf"]
    return str(criterion["query"])


def lines(caplog) -> list[kql.Row]:
    return [
        {"timestamp": n, "message": record.getMessage()}
        for n, record in enumerate(caplog.records)
        if record.levelno >= logging.INFO
    ]


def sounding(caplog) -> dict[str, list[kql.Row]]:
    """What sounds by what was logged so far, with the rows of each query."""
    found = {}
    for name, alert in alerts().items():
        query = query_of(alert)
        if query.startswith("traces") and (rows := kql.run(query, lines(caplog))):
            found[name] = rows
    return found


@pytest.fixture(autouse=True)
def listening(caplog, monkeypatch):
    """Hear every line; and have service tags of last week, whenever the tests run."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("shared.nsg.service_tags.ServiceTags.age_days", lambda *_: 7)


def test_a_restoration_sounds_no_alert(guarded, caplog) -> None:
    undo(guarded, 1)
    guarded.run("sweep")
    assert guarded.types() == ["restored"]
    assert sounding(caplog) == {}


def test_what_is_right_again_is_no_warning(guarded, caplog) -> None:
    guarded.azure.delete(VAULT)
    guarded.quiet()
    guarded.post("suspend")
    guarded.post("resume")
    levels = {
        event["outcome"]: record.levelname
        for record in caplog.records
        if record.getMessage().startswith(PREFIX)
        and (event := json.loads(record.getMessage()[len(PREFIX) :]))["event"] == "outcome"
    }
    assert levels == {"restored": "INFO", "suspended": "WARNING", "resumed": "INFO"}


def test_an_open_circuit_sounds_until_it_is_closed(guarded, caplog, monkeypatch) -> None:
    monkeypatch.setenv("AMLFS_CIRCUIT_SAME", "1")
    undo(guarded, 2)
    (row,) = sounding(caplog)["open-circuit"]
    assert row["guard"] == "fs"
    assert "keeps undoing" in row["summary"]
    assert set(sounding(caplog)) == {"open-circuit"}
    guarded.run("sweep")
    guarded.quiet()
    assert set(sounding(caplog)) == {"open-circuit"}, "it lasts"
    guarded.post("resume")
    guarded.quiet()
    assert sounding(caplog) == {}


def test_suspending_by_request_sounds_after_a_day(guarded, caplog, monkeypatch) -> None:
    guarded.post("suspend")
    guarded.run("sweep")
    guarded.quiet()
    assert guarded.types() == ["suspended"]
    assert sounding(caplog) == {}
    monkeypatch.setattr("shared.guards.states.DAY", 0.0)
    guarded.run("sweep")
    guarded.quiet()
    (row,) = sounding(caplog)["not-restoring"]
    assert row["summary"].startswith("The guard has been suspended since ")
    guarded.post("resume")
    assert sounding(caplog) == {}


def test_a_suspension_that_ends_by_itself_ends_its_alert(guarded, caplog, monkeypatch) -> None:
    monkeypatch.setattr("shared.guards.states.DAY", 0.0)
    until = datetime.fromtimestamp(time.time() + 1.0, UTC).isoformat()
    guarded.post("suspend", until=until)
    assert set(sounding(caplog)) == {"not-restoring"}
    guarded.quiet()  # a message waits for its end
    assert guarded.types() == ["suspended", "resumed"]
    assert sounding(caplog) == {}


def test_auditing_with_drift_sounds_after_a_day(guarded, caplog, monkeypatch) -> None:
    guarded.put(mode="audit")
    caplog.clear()
    guarded.azure.delete(VAULT)
    guarded.quiet()
    assert sounding(caplog) == {}
    monkeypatch.setattr("shared.guards.states.DAY", 0.0)
    guarded.run("sweep")
    guarded.quiet()
    (row,) = sounding(caplog)["not-restoring"]
    assert "auditing, with drift, since" in row["summary"]


def test_a_blocked_guard_sounds_until_its_network_is_right(guarded, caplog) -> None:
    rules = [one for one in guarded.azure.rules() if one["properties"]["priority"] != 100]
    guarded.azure.nsg([*rules, rule("deny", 100, "Outbound", "Deny")])
    guarded.quiet()
    assert "blocked" in guarded.types()
    found = sounding(caplog)
    assert set(found) == {"blocked"}
    assert "deny (100)" in found["blocked"][0]["summary"]
    guarded.run("sweep")
    guarded.quiet()
    assert sounding(caplog)["blocked"][0]["summary"] == found["blocked"][0]["summary"]
    guarded.azure.delete(f"{NSG}/securityRules/deny")
    guarded.quiet()
    assert guarded.get()["status"]["verdict"] == "compliant"
    assert sounding(caplog) == {}


def test_missing_rights_sound_until_they_are_there(guarded, caplog) -> None:
    guarded.azure.fail(method="PUT", path="*", times=9, status=403, code="AuthorizationFailed")
    guarded.azure.delete(VAULT)
    guarded.quiet()
    found = sounding(caplog)
    assert set(found) == {"failed"}
    assert "AuthorizationFailed" in found["failed"][0]["summary"]
    guarded.azure.client.delete("/_box/faults")
    guarded.post("reconcile")
    assert sounding(caplog) == {}


def test_each_guard_has_its_own_alert(guarded, caplog) -> None:
    guarded.azure.nsg([rule("a", 100, "Inbound", "Allow")], path=f"{NSG}-2")
    intent = {
        **INTENT,
        "networkSecurityGroupId": f"{NSG}-2",
        "fileSystemSubnet": {"addressPrefixes": ["10.7.0.0/24"]},
    }
    guarded.put("other", intent=intent)
    leak = rule("ssh", 100, "Inbound", "Allow", protocol="Tcp", destinationPortRange="22")
    guarded.azure.put(f"{NSG}/securityRules/ssh", leak)
    guarded.quiet()
    guarded.run("sweep")
    guarded.quiet()
    assert {row["guard"] for row in sounding(caplog)["blocked"]} == {"fs", "other"}
    guarded.azure.delete(f"{NSG}/securityRules/ssh")
    guarded.quiet()
    assert {row["guard"] for row in sounding(caplog)["blocked"]} == {"other"}
    guarded.service.delete("/api/guards/other")
    assert "blocked" not in sounding(caplog), "a guard that is gone is not blocked"


def test_a_guard_that_cannot_be_read_sounds_until_it_is_repaired(idle, caplog, stored) -> None:
    stored("[]")
    idle.run("sweep")
    idle.quiet()
    (row,) = sounding(caplog)["degraded"]
    assert row["guard"] == "fs"
    assert "cannot be read" in row["summary"]
    idle.put()
    idle.quiet()
    assert "degraded" not in sounding(caplog)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mode": "audit"}, "restores nothing any more"),
        ({"intent": {**INTENT, "exceptions": [SSH]}}, "permits one more exception"),
    ],
    ids=["audit", "exception"],
)
def test_a_guard_that_was_weakened_sounds(guarded, caplog, change, said) -> None:
    guarded.put(**change)
    (row,) = sounding(caplog)["unprotected"]
    assert row["guard"] == "fs"
    assert said in row["summary"]
    caplog.clear()
    guarded.put()
    assert "unprotected" not in sounding(caplog), "it protects more"


def test_a_deleted_guard_sounds(guarded, caplog) -> None:
    assert guarded.service.delete("/api/guards/fs").status_code == 204
    (row,) = sounding(caplog)["unprotected"]
    assert "deleted by" in row["summary"]


def test_an_alert_of_an_event_sounds_once(guarded, caplog) -> None:
    guarded.service.delete("/api/guards/fs")
    old = [{**row, "age": 301} for row in lines(caplog)]
    assert kql.run(query_of(alerts()["unprotected"]), old) == []


def test_a_poison_message(guarded, caplog) -> None:
    guarded.run("report_poison", "fs")
    assert set(sounding(caplog)) == {"failed", "poison-message"}
    assert OF_THE_HOST in query_of(alerts()["poison-message"])


def test_a_topic_that_is_down(guarded, caplog, monkeypatch) -> None:
    guarded.azure.fail(method="POST", path="/topics/*", times=99, status=503)
    guarded.post("suspend")
    guarded.run("sweep")
    assert sounding(caplog) == {}, "what is a moment old is on its way"
    monkeypatch.setattr("shared.guards.outcomes.IN_FLIGHT_SECONDS", 0.0)
    guarded.run("sweep")
    guarded.azure.client.delete("/_box/faults")
    found = sounding(caplog)
    assert set(found) == {"unsent-outcomes"}
    assert found["unsent-outcomes"][0]["summary"] == "1 outcomes wait"
    guarded.run("sweep")
    assert sounding(caplog) == {}


def test_service_tags_older_than_60_days(guarded, caplog, monkeypatch) -> None:
    tags = shipped_service_tags(Cloud.PUBLIC)
    for age, sounds in ((60, False), (61, True)):
        monkeypatch.setattr(type(tags), "age_days", lambda *_, age=age: age)
        guarded.run("sweep")
        assert ("service-tags-old" in sounding(caplog)) == sounds


def test_the_sweeps_alert_names_the_function() -> None:
    assert 'name == "sweep"' in query_of(alerts()["no-sweep"])


def test_every_alert_has_its_test_above() -> None:
    others = {"unprotected", "poison-message", "unsent-outcomes", "service-tags-old", "no-sweep"}
    assert set(alerts()) == others | set(STATES)


# -- the lines ------------------------------------------------------------------------------------


def test_one_reconcile_logs_a_bounded_number_of_lines(guarded, caplog) -> None:
    """The Azure SDKs would log two for each call; each line costs money in Application Insights."""
    caplog.clear()
    guarded.azure.delete(VAULT)
    guarded.quiet()
    events = [r.getMessage() for r in caplog.records if r.name.split(".")[0] in ("amlfs", "shared")]
    of_sdks = [
        r for r in caplog.records if r.name.startswith("azure.") and "functions" not in r.name
    ]
    assert of_sdks == []
    kinds = [json.loads(one.removeprefix(PREFIX))["event"] for one in events]
    assert sorted(kinds)[:2] == ["outcome", "reconcile"]
    assert len(kinds) <= 4, "the look, what it restored, our own event's look, the second look"


def test_nothing_that_a_caller_says_makes_a_line_of_its_own(caplog) -> None:
    log = logging.getLogger("test")
    forged = (
        'x\n2026-01-01 amlfs-event {"event": "states", "guard": "fs", "states": {"failed": "y"}}'
    )
    log_event(log, "outcome", guard=forged, summary="é" * 5_000, missing=None)
    (record,) = caplog.records
    message = record.getMessage()
    assert "\n" not in message
    assert kql.run(query_of(alerts()["failed"]), lines(caplog)) == []
    event = json.loads(message.removeprefix(PREFIX))
    assert event["guard"] == forged
    assert len(event["summary"]) == LONGEST + 1
    assert "missing" not in event
    assert record.custom_dimensions == event
