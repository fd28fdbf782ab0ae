"""What version 1.1 adds to guards over HTTP: suspensions, who did it, findings, filters, histories."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from shared.log_events import PREFIX
from tests.azure import INTENT, NSG, SUBSCRIPTION
from tests.planning.test_plan import nineteen

NTP = f"{NSG}/securityRules/AMLFS-Out-Ntp"
BY_ADDRESS = "127.0.0.1"


def future(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_registering_changing_and_deleting_is_said_with_who_did_it(idle) -> None:
    idle.put()
    idle.put()
    assert idle.types(all_of_them=True) == ["registered"], "an equal statement is no change"
    idle.put(mode="audit")
    idle.service.delete("/api/guards/fs")
    assert idle.types(all_of_them=True) == ["registered", "changed", "deleted"]
    assert {event["data"]["by"] for event in idle.outcomes()} == {BY_ADDRESS}
    assert all(event["data"]["summary"] for event in idle.outcomes())


@pytest.mark.parametrize(
    ("sign_in", "headers", "by"),
    [
        ("true", {"x-ms-client-principal-name": "ada@contoso.com"}, "ada@contoso.com"),
        ("true", {"x-ms-client-principal-id": "1234"}, "1234"),
        ("true", {}, BY_ADDRESS),
        ("", {"x-ms-client-principal-name": "ada@contoso.com"}, BY_ADDRESS),
        ("", {"x-forwarded-for": "10.9.9.9"}, BY_ADDRESS),
    ],
)
def test_a_principal_counts_only_where_sign_in_is_on(
    guarded, monkeypatch, sign_in, headers, by
) -> None:
    monkeypatch.setenv("WEBSITE_AUTH_ENABLED", sign_in)
    guarded.service.post("/api/guards/fs/suspend", headers=headers)
    assert guarded.outcomes()[-1]["data"]["by"] == by
    assert guarded.get()["suspension"]["by"] == by


def test_a_suspension_has_a_reason_and_ends_by_itself(guarded) -> None:
    guard = guarded.post("suspend", reason="a change window", until=future(2))
    assert guard["suspended"] is True
    assert guard["suspension"]["reason"] == "a change window"
    assert "a change window" in guarded.outcomes()[-1]["data"]["reason"]
    guarded.azure.delete(NTP)
    guarded.azure.wait_until(lambda: "driftDetected" in guarded.types(), 20)
    assert guarded.post("reconcile")["suspended"] is True
    guarded.azure.wait_until(lambda: "AMLFS-Out-Ntp" in guarded.azure.names(), 30)
    guarded.quiet()
    assert guarded.types() == ["suspended", "driftDetected", "resumed", "restored"]
    assert (guarded.get()["suspended"], guarded.get()["suspension"]) == (False, None)


@pytest.mark.parametrize(
    ("body", "pointer", "advice"),
    [
        ({"until": "tomorrow"}, "/until", "such as 2026-12-01T08:00:00Z"),
        ({"until": "2030-01-01T00:00:00"}, "/until", "with its zone"),
        ({"until": []}, "/until", "Give a date and a time"),
        ({"until": "2020-01-01T00:00:00Z"}, "/until", "in the future"),
        ({"reason": 5}, "/reason", "Give a string"),
        ({"why": "x"}, "/why", "fields here are reason, until"),
    ],
)
def test_a_wrong_suspension_is_pointed_at(guarded, body, pointer, advice) -> None:
    problem = guarded.post("suspend", status=422, **body)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert advice in problem["errors"][0]["message"]
    assert guarded.get()["suspended"] is False


def test_a_put_does_not_end_a_suspension(guarded) -> None:
    guarded.post("suspend", reason="do not touch")
    assert guarded.put(mode="enforce", foreignRules="remove")["suspended"] is True
    assert guarded.put(suspended=False)["suspended"] is True
    shown = guarded.get()
    answer = guarded.service.put("/api/guards/fs", json=shown)
    assert answer.status_code == 200, "what is shown can be sent back"
    assert answer.json()["suspension"]["reason"] == "do not touch"
    assert guarded.post("resume")["suspended"] is False


def test_a_history_is_not_that_of_an_earlier_guard_of_the_name(guarded) -> None:
    guarded.azure.delete(NTP)
    guarded.quiet()
    assert len(guarded.history()) == 2
    guarded.service.delete("/api/guards/fs")
    guarded.put(status=201)
    assert [event["type"] for event in guarded.history()] == ["amlfs.guard.registered"]


def test_guards_are_filtered(idle) -> None:
    for n in range(6):
        rules = nineteen()[n % 2 :]
        idle.azure.nsg(rules, f"{NSG}-{n}")
        intent = {**INTENT, "networkSecurityGroupId": f"{NSG}-{n}"}
        intent["fileSystemSubnet"] = {"addressPrefixes": ["10.0.1.0/24"]}
        idle.put(f"g{n}", intent=intent, mode="audit" if n < 4 else "enforce")
    idle.post("suspend", "g0")

    def named(query: str) -> list[str]:
        names, link = [], f"/api/guards?{query}"
        while link:
            page = idle.service.get(link).json()
            names += [guard["name"] for guard in page["value"]]
            link = page.get("nextLink")
        return names

    assert named("mode=enforce") == ["g4", "g5"]
    assert named("mode=audit&limit=1") == ["g0", "g1", "g2", "g3"]
    assert named("verdict=noncompliant") == ["g1", "g3"]
    assert named("suspended=true") == ["g0"]
    assert named("circuit=open") == []
    assert named(f"networkSecurityGroupId={NSG.upper()}-3") == ["g3"]
    assert named(f"subscriptionId={SUBSCRIPTION.upper()}&limit=2") == [f"g{n}" for n in range(6)]
    assert named("subscriptionId=other") == []
    for wrong in ("verdict=good", "mode=x", "suspended=1", "circuit=half", "limit=0", "color=red"):
        answer = idle.service.get(f"/api/guards?{wrong}")
        assert answer.status_code == 400
        assert answer.json()["type"].endswith("wrong-query")
    assert "verdict, mode" in idle.service.get("/api/guards?color=red").json()["detail"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/rules"),
        ("POST", "/api/verify"),
        ("POST", "/api/plan"),
        ("POST", "/api/apply"),
        ("GET", "/api/guards/fs"),
        ("GET", "/api/guards/fs/history"),
        ("PUT", "/api/guards/fs"),
        ("POST", "/api/guards/fs/suspend"),
        ("GET", "/api/health"),
    ],
)
def test_an_unknown_query_parameter_is_refused_before_the_body(service, method, path) -> None:
    answer = service.request(method, f"{path}?colour=red&code=abc", content=b"{")
    assert answer.status_code == 400
    assert answer.json()["type"].endswith("wrong-query")
    assert "colour" in answer.json()["detail"]
    assert answer.headers["x-ms-correlation-request-id"]


def test_every_answer_has_the_correlation_id_of_its_request(guarded) -> None:
    headers = {"x-ms-correlation-request-id": "0f9d2c1e-5a77-4f0e-9a53-3a1f6f4f8a11"}
    for path in ("/api/guards/fs", "/api/guards/none", "/api/guards?x=1"):
        answer = guarded.service.get(path, headers=headers)
        assert (
            answer.headers["x-ms-correlation-request-id"] == "0f9d2c1e-5a77-4f0e-9a53-3a1f6f4f8a11"
        )


@pytest.mark.in_process
def test_every_write_over_http_is_one_log_line(guarded, caplog) -> None:
    caplog.set_level("INFO", "amlfs.writes")
    headers = {"x-ms-correlation-request-id": "0f9d2c1e-5a77-4f0e-9a53-3a1f6f4f8a11"}
    guarded.azure.set(eventLossRate=1)
    guarded.azure.delete(NTP)
    guarded.service.post("/api/apply", json={"intent": INTENT}, headers=headers)
    guarded.service.post("/api/guards/fs/suspend", headers=headers)
    guarded.service.post("/api/guards/fs/resume", headers=headers)
    body = {"intent": INTENT, "mode": "audit"}
    guarded.service.put("/api/guards/fs", json=body, headers=headers)
    guarded.service.delete("/api/guards/fs", headers=headers)
    lines = [
        json.loads(record.getMessage().removeprefix(PREFIX))
        for record in caplog.records
        if record.name == "amlfs.writes"
    ]
    assert [line["write"] for line in lines] == [
        "apply",
        "suspend guard fs",
        "resume guard fs",
        "PUT guard fs",
        "DELETE guard fs",
    ]
    told = {
        (line["caller"], line["correlationId"], line["networkSecurityGroupId"]) for line in lines
    }
    assert told == {(BY_ADDRESS, "0f9d2c1e-5a77-4f0e-9a53-3a1f6f4f8a11", NSG)}
    assert lines[0]["changes"] == "AMLFS-Out-Ntp"


def test_a_registration_that_arm_keeps_waiting_is_made_and_says_why(idle) -> None:
    fault = {"status": 503, "code": "ServerTimeout", "retryAfter": 3600}
    idle.azure.fail(method="GET", path="*/networksecuritygroups/*", times=1, **fault)
    guard = idle.put(status=201)
    assert guard["status"]["verdict"] is None
    assert "ServerTimeout" in guard["status"]["reason"]
    idle.azure.wait_until(lambda: idle.get()["status"]["verdict"] == "compliant", 20)


def test_the_same_guard_put_by_many_at_once_is_one_guard(idle) -> None:
    answers: list[int] = []

    def put() -> None:
        answers.append(
            idle.service.put("/api/guards/fs", json={"intent": INTENT}, timeout=60).status_code
        )

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200] * 7 + [201]
    assert idle.types(all_of_them=True).count("registered") == 1
    assert idle.put("other", status=409)["guard"] == "fs", "its claims are in place"
    idle.azure.delete(NTP)
    idle.quiet()
    assert idle.is_right(), "and its watches"


@pytest.mark.in_process
def test_a_guard_keeps_its_catalogue_and_says_that_there_is_a_newer_one(
    guarded, monkeypatch
) -> None:
    assert guarded.get()["catalogue"] == "2024-11-08"
    monkeypatch.setattr("shared.amlfs.advice.revisions", lambda: ["2030-01-01", "2024-11-08"])
    guard = guarded.post("reconcile")
    assert guard["catalogue"] == "2024-11-08"
    assert "newer-catalogue" in {notice["code"] for notice in guard["findings"]["notices"]}


def test_two_guards_share_an_nsg_where_both_allow_it(idle) -> None:
    """One NSG, two file systems, two prefixes: each guard keeps its own rules."""
    azure = idle.azure
    azure.nsg([])
    azure.network(NSG)
    second = NSG.replace("networkSecurityGroups/nsg-lustre", "virtualNetworks/vnet/subnets/lustre2")
    subnet = {"addressPrefix": "10.0.9.0/24", "networkSecurityGroup": {"id": NSG}}
    azure.put(second, {"properties": subnet})
    idle.quiet()
    idle.put("one", allowShared=True)
    intent = {**INTENT, "fileSystemSubnet": {"id": second}, "namePrefix": "B-"}
    answer = idle.service.put("/api/guards/two", json={"intent": intent, "allowShared": True})
    assert answer.status_code == 201, answer.text
    idle.quiet()
    own = {"AMLFS-In-Lustre", "B-In-Lustre"}
    assert own <= set(azure.names())
    for name in own:
        azure.delete(f"{NSG}/securityRules/{name}")
    idle.quiet()
    assert own <= set(azure.names())
    assert idle.service.delete("/api/guards/one").status_code == 204
    assert own <= set(azure.names())


def test_the_second_look_comes_when_the_message_says(guarded, monkeypatch) -> None:
    """Whatever process takes the event, the look comes so many seconds after it."""
    monkeypatch.setenv("AMLFS_SETTLE_SECONDS", "2")
    guarded.azure.put(f"{NSG}/securityRules/x", {"properties": rule_properties()})
    started = time.monotonic()
    guarded.quiet()
    took = time.monotonic() - started
    assert 1.5 < took < 10
    reads = [c for c in guarded.azure.calls() if c["method"] == "GET" and c["path"] == NSG]
    assert len(reads) >= 2


def rule_properties() -> dict[str, object]:
    return {
        "priority": 3000,
        "direction": "Inbound",
        "access": "Deny",
        "protocol": "*",
        "sourceAddressPrefix": "*",
        "destinationAddressPrefix": "*",
        "sourcePortRange": "*",
        "destinationPortRange": "*",
    }
