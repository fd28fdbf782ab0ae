"""What ARM accepted is published once, whatever fails afterwards and whichever process is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests import ROOT
from tests.azure import INTENT, NSG, Azure, rule
from tests.conftest import free_ports
from tests.planning.test_plan import nineteen

VAULT = f"{NSG}/securityRules/AMLFS-Out-KeyVault"
SUBNETS = "*/subnets/*"


def lose_the_nsg(azure: Azure) -> None:
    azure.network()
    azure.delete(NSG)


def changed_names(event: dict[str, Any]) -> set[str]:
    return {change["name"] for change in event["data"]["changes"]}


@pytest.mark.parametrize(
    ("status", "code"), [(409, "ScopeLocked"), (409, "AnyConflict"), (500, "InternalServerError")]
)
def test_an_nsg_that_is_written_is_published_also_where_its_association_fails(
    guarded, status, code
) -> None:
    azure = guarded.azure
    azure.set(eventLossRate=1)
    lose_the_nsg(azure)
    azure.fail(method="PUT", path=SUBNETS, status=status, code=code, times=1)
    guarded.post("reconcile")
    assert guarded.types() == ["restored", "failed"]
    restored, failed = guarded.outcomes()
    assert {"nsg-lustre", "AMLFS-Out-KeyVault"} <= changed_names(restored)
    assert "lustre" not in changed_names(restored), "the association was not made"
    assert failed["data"]["arm"]["code"] == code
    assert failed["data"]["verdictAfter"] == "noncompliant"
    assert guarded.get()["status"]["verdict"] == "noncompliant"
    guarded.post("reconcile")
    assert guarded.types() == ["restored", "failed", "restored"]
    assert changed_names(guarded.outcomes()[-1]) == {"lustre"}
    guard = guarded.get()
    assert (guard["status"]["lastOutcome"], guard["status"]["verdict"]) == ("restored", "compliant")


def test_a_locked_nsg_with_a_missing_rule_is_noncompliant(guarded) -> None:
    guarded.azure.set(eventLossRate=1)
    guarded.azure.delete(VAULT)
    guarded.azure.fail(method="PUT", path="*", times=9, status=409, code="ScopeLocked")
    status = guarded.post("reconcile")["status"]
    assert (status["verdict"], status["lastOutcome"]) == ("noncompliant", "failed")
    assert "ScopeLocked" in status["reason"]
    (failed,) = guarded.outcomes()
    assert changed_names(failed) == {"AMLFS-Out-KeyVault"}
    assert failed["data"]["arm"]["code"] == "ScopeLocked"
    guarded.azure.client.delete("/_box/faults")


def test_what_was_announced_and_is_right_again_is_resolved(guarded) -> None:
    leak = rule("ssh", 100, "Inbound", "Allow", protocol="Tcp", destinationPortRange="22")
    guarded.azure.put(f"{NSG}/securityRules/ssh", leak)
    guarded.quiet()
    assert guarded.types() == ["blocked"]
    assert guarded.get()["status"]["lastOutcome"] == "blocked"
    guarded.azure.delete(f"{NSG}/securityRules/ssh")
    guarded.quiet()
    assert guarded.types() == ["blocked", "resolved"]
    status = guarded.get()["status"]
    assert (status["verdict"], status["lastOutcome"], status["reason"]) == (
        "compliant",
        "resolved",
        None,
    )


def test_findings_are_those_of_the_last_look(guarded) -> None:
    guarded.put(mode="audit")
    guarded.azure.delete(VAULT)
    guarded.quiet()
    guard = guarded.get()
    assert [change["name"] for change in guard["findings"]["changes"]] == ["AMLFS-Out-KeyVault"]
    assert "AMLFS-Out-KeyVault by AMLFS-Out-DenyInternet" in guard["summary"]
    assert guard["status"]["reason"] == guard["summary"]


def test_a_guard_of_which_nobody_knows_what_its_nsg_filters_is_undecided(idle) -> None:
    idle.azure.network()  # the NSG filters nothing
    intent = {**INTENT, "fileSystemSubnet": {"addressPrefixes": ["10.0.1.0/24"]}}
    guard = idle.put(intent=intent)
    assert guard["status"]["verdict"] == "undecided"
    assert "association-unknown" in {one["code"] for one in guard["findings"]["notices"]}
    idle.azure.network(NSG)
    assert idle.post("reconcile")["status"]["verdict"] == "compliant", "its prefixes are there now"
    idle.azure.network()
    idle.azure.set(eventLossRate=1)
    leak = rule("ssh", 100, "Inbound", "Allow", protocol="Tcp", destinationPortRange="22")
    idle.azure.put(f"{NSG}/securityRules/ssh", leak)
    assert idle.post("reconcile")["status"]["verdict"] == "noncompliant", "what is proved stays"


def test_a_look_that_failed_is_made_again_by_its_message(guarded, monkeypatch) -> None:
    """The second look meets an ARM that is down; its message looks again when it is given out again."""
    monkeypatch.setenv("AMLFS_SETTLE_SECONDS", "2")
    guarded.azure.set(staleReadSeconds=0.9)
    guarded.azure.delete(VAULT)
    path = "*/networksecuritygroups/nsg-lustre"
    guarded.azure.wait_until(lambda: guarded.azure.counted()["GET networksecuritygroups"] > 0, 10)
    guarded.azure.fail(method="GET", path=path, times=1, status=503, code="x", retryAfter=3600)
    guarded.azure.wait_until(lambda: guarded.types() == ["restored"], 20)
    guarded.azure.set(staleReadSeconds=0)
    guarded.quiet()
    assert guarded.types() == ["restored"]


def test_a_failure_shows_in_the_status_while_a_request_still_waits(guarded) -> None:
    path = "*/networksecuritygroups/nsg-lustre"
    guarded.azure.fail(method="GET", path=path, times=60, status=503, code="ServerTimeout")
    answers: list[int] = []
    thread = threading.Thread(
        target=lambda: answers.append(
            guarded.service.post("/api/guards/fs/reconcile", timeout=120).status_code
        )
    )
    thread.start()
    guarded.azure.wait_until(lambda: guarded.get()["status"]["reason"] is not None, 20)
    assert answers == [], "it waits for ARM"
    assert "ServerTimeout" in guarded.get()["status"]["reason"]
    guarded.azure.client.delete("/_box/faults")
    thread.join()
    assert answers == [200]
    assert guarded.get()["status"]["reason"] is None


def test_a_guard_for_another_subnet_does_not_inherit_the_right_to_the_old_one(guarded) -> None:
    """Its NSG filters the old subnet: that makes it a shared one for the new statement."""
    moved = {**INTENT, "fileSystemSubnet": {"addressPrefixes": ["10.77.1.0/24"]}}
    before = guarded.azure.rules()
    guard = guarded.put(intent=moved)
    assert guard["status"]["lastOutcome"] == "blocked"
    assert guard["findings"]["remaining"][0]["kind"] == "shared-network-security-group"
    assert guarded.azure.rules() == before


def test_a_guard_for_another_nsg_has_no_verdict_until_that_one_is_read(guarded) -> None:
    fault = {"status": 503, "code": "x", "retryAfter": 3600}
    guarded.azure.fail(method="GET", path="*/nsg-lustre2", times=1, **fault)
    other = {**INTENT, "networkSecurityGroupId": NSG + "2"}
    guard = guarded.put(intent=other, mode="audit")
    assert guard["status"]["verdict"] is None
    assert guard["summary"] == ""
    guarded.azure.wait_until(lambda: guarded.get()["status"]["verdict"] == "noncompliant", 20)


def test_outside_the_allowed_scopes_drift_is_seen_and_blocked(guarded, monkeypatch) -> None:
    monkeypatch.setenv("AMLFS_ALLOWED_SCOPES", "/subscriptions/other")
    guarded.azure.delete(VAULT)
    guarded.quiet()
    assert guarded.types() == ["blocked"]
    guard = guarded.get()
    assert guard["status"]["verdict"] == "noncompliant"
    assert guard["findings"]["remaining"][0]["kind"] == "outside-allowed-scopes"


# -- a stop is a stop -----------------------------------------------------------------------------


def suspend(client: httpx.Client) -> httpx.Response:
    return client.post("/api/guards/fs/suspend", timeout=30)


def delete(client: httpx.Client) -> httpx.Response:
    return client.delete("/api/guards/fs", timeout=30)


def audit(client: httpx.Client) -> httpx.Response:
    body = {"intent": INTENT, "mode": "audit"}
    return client.put("/api/guards/fs", json=body, timeout=30)


@pytest.mark.parametrize("stop", [suspend, delete, audit])
def test_once_a_stop_is_answered_no_write_is_begun(guarded, stop) -> None:
    """ARM keeps the write waiting; meanwhile somebody stops the guard."""
    azure = guarded.azure
    throttled = {"status": 429, "code": "RetryableError", "retryAfter": 1}
    azure.fail(method="PUT", path="*/networksecuritygroups/*", times=3, **throttled)
    azure.delete(VAULT)
    azure.wait_until(lambda: azure.counted()["PUT networksecuritygroups"] > 0, 20)
    assert stop(guarded.service).status_code in (200, 204)
    writes = azure.counted()["PUT networksecuritygroups"]
    time.sleep(3)
    guarded.quiet()
    assert azure.counted()["PUT networksecuritygroups"] == writes
    assert "AMLFS-Out-KeyVault" not in azure.names()
    assert "restored" not in guarded.types()


# -- processes that die ---------------------------------------------------------------------------


class Service:
    """A service in a process of its own, which is killed and started while Azure stays."""

    def __init__(self, azure: Azure, store: str) -> None:
        self.azure = azure
        self.port = free_ports(1)[0]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=40)
        self.database = store.removeprefix("sqlite:")
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("AzureWebJobs")},
            "AMLFS_STORE": store,
            "AMLFS_SETTLE_SECONDS": "0.2",
            "AMLFS_SWEEP_SCHEDULE": "0 0 0 1 1 *",
            "AMLFS_OUTCOME_TOPIC_ENDPOINT": f"{azure.server.url}/topics/outcomes/api/events",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        arguments = ["--port", str(self.port), "--azure", self.azure.server.url]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "local", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with contextlib.suppress(httpx.TransportError):
                if self.client.get("/api/health").status_code == 200:
                    return
            time.sleep(0.05)
        raise AssertionError("the service does not answer")

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def reconcile(self) -> dict[str, Any]:
        answer = self.client.post("/api/guards/fs/reconcile")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def reconcile_in_background(self) -> threading.Thread:
        """Ask for a reconcile whose connection may die with the service."""

        def ask() -> None:
            with contextlib.suppress(httpx.TransportError):
                self.client.post("/api/guards/fs/reconcile")

        thread = threading.Thread(target=ask)
        thread.start()
        return thread

    def write_states(self) -> list[str]:
        """What the store says of the writes of which nothing was published yet."""
        with contextlib.closing(sqlite3.connect(self.database)) as database:
            (body,) = database.execute("SELECT body FROM records WHERE kind = 'guard'").fetchone()
        return [one["write"]["state"] for one in json.loads(body)["pending"]]

    def restorations(self) -> list[set[str]]:
        outcomes = self.azure.client.get("/_box/outcomes").json()["value"]
        return [changed_names(one) for one in outcomes if one["type"].endswith("restored")]


@pytest.fixture
def mortal(azure, tmp_path) -> Iterator[Service]:
    """A guarded file system, and a service that can be killed."""
    azure.set(eventDelaySeconds=0.01)
    azure.nsg(nineteen())
    azure.network(NSG)
    service = Service(azure, f"sqlite:{tmp_path}/guards.db")
    service.start()
    answer = service.client.put("/api/guards/fs", json={"intent": INTENT})
    assert answer.json()["status"]["verdict"] == "compliant", answer.text
    yield service
    service.kill()
    service.client.close()
    azure.client.delete("/_box/webhooks")


def has_now(azure: Azure, name: str) -> bool:
    """Whether the NSG has a rule, looked up without a call, which would take its time."""
    found: list[bool] = []

    def look(box: Any) -> None:
        rules = box.estate.find(NSG).children["securityRules"]
        found.append(name.lower() in rules)

    azure.server.call(look)
    return found[0]


def puts(azure: Azure) -> list[dict[str, Any]]:
    return [c for c in azure.calls() if c["method"] == "PUT" and c["path"].lower() == NSG.lower()]


def kill_after_arm_accepted(mortal: Service) -> None:
    """Kill the service while ARM carries out a write that it has accepted."""
    azure = mortal.azure
    azure.forget_calls()
    azure.set(operationSeconds=30)
    thread = mortal.reconcile_in_background()
    azure.wait_until(lambda: any(one["status"] == 200 for one in puts(azure)), 20)
    time.sleep(0.5)
    mortal.kill()
    thread.join()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
class TestKilled:
    def test_after_arm_has_accepted_and_then_it_drifts_once_more(self, mortal) -> None:
        azure = mortal.azure
        azure.set(eventLossRate=1)
        azure.delete(VAULT)
        kill_after_arm_accepted(mortal)
        assert mortal.restorations() == []
        azure.set(operationSeconds=0, eventLossRate=1)
        body = azure.get(NSG)
        kept = [
            one for one in body["properties"]["securityRules"] if one["name"] != "AMLFS-Out-Ntp"
        ]
        azure.nsg(kept)
        azure.set(eventLossRate=0)
        mortal.start()
        assert mortal.reconcile()["status"]["verdict"] == "compliant"
        assert mortal.restorations() == [{"AMLFS-Out-KeyVault"}, {"AMLFS-Out-Ntp"}]

    def test_after_a_write_whose_answer_was_lost(self, mortal) -> None:
        azure = mortal.azure
        azure.fail(method="PUT", path="*/networksecuritygroups/*", cut="after", times=1)
        azure.set(latencySeconds=0.3)
        azure.client.delete(VAULT, params={"api-version": "2024-07-01"})
        azure.wait_until(lambda: not has_now(azure, "AMLFS-Out-KeyVault"), 20)
        azure.wait_until(lambda: has_now(azure, "AMLFS-Out-KeyVault"), 20)
        mortal.kill()  # the write has its effect, its answer never came
        azure.set(latencySeconds=0)
        assert "AMLFS-Out-KeyVault" in azure.names()
        assert mortal.restorations() == []
        mortal.start()
        mortal.reconcile()
        assert mortal.restorations() == [{"AMLFS-Out-KeyVault"}]
        mortal.reconcile()
        assert len(mortal.restorations()) == 1, "once"

    def test_before_the_write_and_somebody_else_repairs_it(self, mortal) -> None:
        """ARM refuses every write; then the service dies, and a person puts the rule back.

        It dies while it waits for its next attempt: of a write that was just sent nobody could tell
        whose the very same rule is.
        """
        azure = mortal.azure
        path = "*/networksecuritygroups/nsg-lustre"
        azure.fail(method="PUT", path=path, cut="before", times=2)
        azure.fail(method="PUT", path=path, status=429, code="x", retryAfter=15, times=500)
        azure.client.delete(VAULT, params={"api-version": "2024-07-01"})
        azure.wait_until(lambda: len(puts(azure)) > 2, 20)
        azure.wait_until(lambda: mortal.write_states() == ["refuted"], 20)
        mortal.kill()
        azure.client.delete("/_box/faults")
        original = next(one for one in nineteen() if one["name"] == "AMLFS-Out-KeyVault")
        azure.put(VAULT, original)
        mortal.start()
        assert mortal.reconcile()["status"]["verdict"] == "compliant"
        assert mortal.restorations() == [], "this service did not write"

    def test_a_guard_that_is_put_anew_keeps_what_is_pending(self, mortal) -> None:
        azure = mortal.azure
        azure.set(eventLossRate=1)
        azure.delete(f"{NSG}/securityRules/AMLFS-Out-Ntp")
        kill_after_arm_accepted(mortal)
        azure.set(operationSeconds=0)
        azure.nsg(azure.rules())
        mortal.start()
        body = {"intent": INTENT, "foreignRules": "remove"}
        answer = mortal.client.put("/api/guards/fs", json=body)
        assert answer.json()["status"]["verdict"] == "compliant"
        assert mortal.restorations() == [{"AMLFS-Out-Ntp"}]

    def test_an_emulator_is_not_slowed_by_a_service_that_died(self, mortal) -> None:
        azure = mortal.azure
        mortal.kill()
        started = time.monotonic()
        for n in range(50):
            azure.put(f"{NSG}/securityRules/x{n}", rule(f"x{n}", 3000 + n, "Inbound", "Deny"))
        assert time.monotonic() - started < 5
        mortal.start()
        azure.delete(VAULT)
        azure.wait_until(lambda: "AMLFS-Out-KeyVault" in azure.names(), 20)


def test_an_operation_that_outlives_its_worker_says_that_it_was_applied(mortal) -> None:
    """Killed after its write was sent and cut off; another worker takes the operation over."""
    azure = mortal.azure
    mortal.client.delete("/api/guards/fs")
    azure.set(eventLossRate=1)
    azure.delete(VAULT)
    azure.fail(method="PUT", path="*/networksecuritygroups/*", cut="after", times=1)
    azure.set(latencySeconds=0.5)
    accepted = mortal.client.post(
        "/api/apply", json={"intent": INTENT}, headers={"Prefer": "respond-async"}
    )
    azure.wait_until(lambda: has_now(azure, "AMLFS-Out-KeyVault"), 20)
    mortal.kill()
    azure.set(latencySeconds=0)
    assert "AMLFS-Out-KeyVault" in azure.names()
    mortal.start()
    end = time.monotonic() + 60
    location = accepted.headers["location"].partition("/api/")[2]
    while (answer := mortal.client.get(f"/api/{location}")).status_code == 202:
        assert time.monotonic() < end
        time.sleep(0.5)
    result = answer.json()
    assert (result["applied"], result["verdictAfter"]) == (True, "compliant")
    assert {change["name"] for change in result["changes"]} == {"AMLFS-Out-KeyVault"}
