"""The deployed alerts look for words that the service logs when, and only when, it is so.

That Application Insights keeps the lines as `traces` with these messages cannot be tried here.
"""

from __future__ import annotations

import logging
import re

import pytest

from tests.azure import NSG, rule
from tests.guards.test_circuit import undo
from tests.infra.snapshots import named, of_type

pytestmark = pytest.mark.in_process

OF_THE_HOST = "Message has reached MaxDequeueCount"
"""Logged by the Functions host itself (azure-webjobs-sdk, QueueProcessor)."""


def queries() -> dict[str, str]:
    found = {}
    for alert in of_type(named("single-subscription"), "Microsoft.Insights/scheduledQueryRules"):
        (criterion,) = alert["properties"]["criteria"]["allOf"]
        found[re.sub(r"^alert-lustre-\w{6}-", "", alert["name"])] = criterion["query"]
    return found


def matches(query: str, message: str) -> bool:
    """A query of the one form that the alerts have: words that a message has, joined by and, or."""
    table, _, where = query.partition(" | where ")
    assert table == "traces"
    return any(
        all(word in message for word in re.findall(r'message has "([^"]+)"', either))
        for either in where.split(" or ")
    )


def sounded(caplog) -> set[str]:
    messages = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    asked = {name: query for name, query in queries().items() if query.startswith("traces")}
    return {name for name, query in asked.items() for line in messages if matches(query, line)}


@pytest.fixture(autouse=True)
def listening(caplog):
    caplog.set_level(logging.INFO)


def test_a_restoration_sounds_no_alert(guarded, caplog) -> None:
    undo(guarded, 1)
    guarded.run("sweep")
    assert guarded.types() == ["restored"]
    assert sounded(caplog) == set()


def test_what_is_well_again_is_no_warning(guarded, caplog) -> None:
    guarded.azure.delete(f"{NSG}/securityRules/AMLFS-Out-KeyVault")
    guarded.quiet()
    guarded.post("suspend")
    guarded.post("resume")
    levels = {
        record.getMessage().split()[1].removeprefix("amlfs.guard."): record.levelname
        for record in caplog.records
        if record.getMessage().startswith("outcome ")
    }
    assert levels == {"restored": "INFO", "suspended": "WARNING", "resumed": "INFO"}


def test_an_open_circuit(guarded, caplog, monkeypatch) -> None:
    monkeypatch.setenv("AMLFS_CIRCUIT_SAME", "1")
    undo(guarded, 2)
    assert sounded(caplog) == {"open-circuit"}


def test_suspending_by_request_is_no_alert(guarded, caplog) -> None:
    guarded.post("suspend")
    assert guarded.types() == ["suspended"]
    assert sounded(caplog) == set()


def test_a_blocked_guard(guarded, caplog) -> None:
    rules = [one for one in guarded.azure.rules() if one["properties"]["priority"] != 100]
    guarded.azure.nsg([*rules, rule("deny", 100, "Outbound", "Deny")])
    guarded.quiet()
    assert "blocked" in guarded.types()
    assert sounded(caplog) == {"blocked"}


def test_missing_rights(guarded, caplog) -> None:
    guarded.azure.fail(method="PUT", path="*", times=9, status=403, code="AuthorizationFailed")
    guarded.azure.delete(f"{NSG}/securityRules/AMLFS-Out-KeyVault")
    guarded.quiet()
    guarded.azure.client.delete("/_box/faults")
    assert sounded(caplog) == {"failed"}


def test_a_poison_message(guarded, caplog) -> None:
    guarded.run("report_poison", "fs")
    assert sounded(caplog) == {"failed", "poison-message"}
    assert OF_THE_HOST in queries()["poison-message"]


def test_a_topic_that_is_down(guarded, caplog) -> None:
    guarded.azure.fail(method="POST", path="/topics/*", times=99, status=503)
    guarded.post("suspend")
    guarded.run("sweep")
    guarded.azure.client.delete("/_box/faults")
    assert sounded(caplog) == {"unsent-outcomes"}
    guarded.run("sweep")


def test_the_sweeps_alert_names_the_function() -> None:
    assert 'name == "sweep"' in queries()["no-sweep"]


def test_every_alert_has_its_test_above() -> None:
    seen = {"open-circuit", "blocked", "failed", "poison-message", "unsent-outcomes", "no-sweep"}
    assert set(queries()) == seen
