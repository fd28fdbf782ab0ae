"""Guards over HTTP: made, shown, replaced, suspended, forgotten, and never two for one thing."""

from __future__ import annotations

import json
import threading

import pytest

from tests.azure import FILE_SYSTEM, INTENT, LUSTRE, NSG, rule
from tests.planning.test_plan import nineteen


def test_a_guard_is_made_once_and_replaced_after(idle) -> None:
    made = idle.put(status=201)
    assert made == {
        "name": "fs",
        "intent": INTENT,
        "mode": "enforce",
        "foreignRules": "keep",
        "reassociate": False,
        "allowShared": False,
        "suspended": False,
        "declared": False,
        "catalogue": "2024-11-08",
        "suspension": None,
        "conflict": None,
        "summary": "All 19 requirements are satisfied, and nothing else passes.",
        "findings": {"changes": [], "remaining": [], "notices": made["findings"]["notices"]},
        "status": {**made["status"], "verdict": "compliant", "circuit": "closed", "reason": None},
    }
    assert idle.put(status=200, mode="audit")["mode"] == "audit"
    assert idle.put("FS", status=200)["name"] == "fs", "names are compared without case"
    answer = idle.service.put("/api/guards/fs", json=idle.get())
    assert answer.status_code == 200, "what is shown can be sent back"


def test_a_guard_restores_at_once_where_it_enforces(idle) -> None:
    idle.azure.delete(f"{NSG}/securityRules/AMLFS-Out-KeyVault")
    assert idle.put(mode="audit")["status"]["verdict"] == "noncompliant"
    guard = idle.put(mode="enforce")
    assert (guard["status"]["verdict"], guard["status"]["lastOutcome"]) == ("compliant", "restored")


def test_a_guard_is_made_also_where_its_restoration_is_blocked(idle) -> None:
    idle.azure.nsg([], NSG.replace("nsg-lustre", "other"))
    idle.azure.network(NSG.replace("nsg-lustre", "other"))
    guard = idle.put(status=201)
    assert (guard["status"]["verdict"], guard["status"]["lastOutcome"]) == (
        "noncompliant",
        "blocked",
    )


def test_two_guards_cannot_have_one_nsg_or_one_subnet(guarded) -> None:
    problem = guarded.put("second", status=409)
    assert (problem["guard"], problem["resource"]) == ("fs", NSG.lower())
    other = {**INTENT, "networkSecurityGroupId": NSG + "2"}
    problem = guarded.put("second", status=409, intent=other)
    assert problem["resource"] == LUSTRE.lower()
    guarded.service.delete("/api/guards/fs")
    assert guarded.put("second", status=201)


def test_a_guard_by_its_file_system_cannot_take_anothers_subnet(guarded) -> None:
    properties = {"filesystemSubnet": LUSTRE}
    guarded.azure.put(FILE_SYSTEM, {"location": "eastus", "properties": properties})
    intent = {k: v for k, v in INTENT.items() if k not in ("location", "fileSystemSubnet")}
    intent |= {"fileSystemId": FILE_SYSTEM, "networkSecurityGroupId": NSG + "2"}
    problem = guarded.put("second", status=409, intent=intent, reassociate=True)
    assert (problem["guard"], problem["resource"]) == ("fs", LUSTRE.lower())
    assert [one["name"] for one in guarded.service.get("/api/guards").json()["value"]] == ["fs"]
    assert guarded.writes() == 1, "the file system alone"


def test_of_many_who_want_one_nsg_one_gets_it(idle) -> None:
    answers: list[int] = []

    def want(name: str) -> None:
        answers.append(
            idle.service.put(f"/api/guards/{name}", json={"intent": INTENT}, timeout=30).status_code
        )

    threads = [threading.Thread(target=want, args=(f"g{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201] + [409] * 5


def test_versions_are_honoured(guarded) -> None:
    shown = guarded.service.get("/api/guards/fs")
    etag = shown.headers["etag"]
    body = {"intent": INTENT, "mode": "audit"}
    wrong = {"If-Match": '"old"'}
    assert guarded.service.put("/api/guards/fs", json=body, headers=wrong).status_code == 412
    assert guarded.service.delete("/api/guards/fs", headers=wrong).status_code == 412
    right = {"If-Match": etag}
    assert guarded.service.put("/api/guards/fs", json=body, headers=right).status_code == 200
    assert guarded.service.put("/api/guards/fs", json=body, headers=right).status_code == 412
    new = {"If-None-Match": "*"}
    assert guarded.service.put("/api/guards/fs", json=body, headers=new).status_code == 412
    assert guarded.service.put("/api/guards/none", json=body, headers=right).status_code == 412


def test_a_guard_is_forgotten_and_its_nsg_stays(guarded) -> None:
    answer = guarded.service.delete("/api/guards/fs")
    assert (answer.status_code, answer.content) == (204, b"")
    for call in ("", "/history"):
        assert guarded.service.get(f"/api/guards/fs{call}").status_code == 404
    for action in ("reconcile", "suspend", "resume"):
        assert guarded.service.post(f"/api/guards/fs/{action}").status_code == 404
    assert guarded.service.delete("/api/guards/fs").status_code == 404
    guarded.azure.delete(f"{NSG}/securityRules/AMLFS-Out-Ntp")
    guarded.quiet()
    assert "AMLFS-Out-Ntp" not in guarded.azure.names()


def test_a_suspended_guard_looks_and_does_not_write(guarded) -> None:
    assert guarded.post("suspend")["suspended"] is True
    guarded.azure.delete(f"{NSG}/securityRules/AMLFS-Out-Ntp")
    guarded.quiet()
    assert guarded.types() == ["suspended", "driftDetected"]
    assert "AMLFS-Out-Ntp" not in guarded.azure.names()
    guard = guarded.post("resume")
    assert (guard["suspended"], guard["status"]["verdict"]) == (False, "compliant")
    assert guarded.types() == ["suspended", "driftDetected", "resumed", "restored"]


def test_lists_come_in_pages(idle) -> None:
    for n in range(5):
        rules = [{**one, "name": f"r{i}"} for i, one in enumerate(nineteen())]
        idle.azure.nsg(rules, f"{NSG}-{n}")
        intent = {**INTENT, "networkSecurityGroupId": f"{NSG}-{n}"}
        intent["fileSystemSubnet"] = {"addressPrefixes": ["10.0.1.0/24"]}
        idle.put(f"g{n}", intent=intent)
    names, link = [], "/api/guards?limit=2"
    while link:
        page = idle.service.get(link).json()
        names += [guard["name"] for guard in page["value"]]
        link = page.get("nextLink")
    assert names == [f"g{n}" for n in range(5)]
    assert idle.service.get("/api/guards?limit=0").status_code == 400


def test_history_comes_newest_first_in_pages(guarded) -> None:
    for _ in range(3):
        guarded.azure.delete(f"{NSG}/securityRules/AMLFS-Out-Ntp")
        guarded.quiet()
    ids, link = [], "/api/guards/fs/history?limit=2"
    for _ in range(2):
        page = guarded.service.get(link).json()
        ids += [event["id"] for event in page["value"]]
        link = page.get("nextLink", link)
    assert ids[:3] == [event["id"] for event in reversed(guarded.outcomes())]


WRONG = {
    "no intent": ({}, "/intent"),
    "a mode": ({"intent": INTENT, "mode": "on"}, "/mode"),
    "a list for a mode": ({"intent": INTENT, "mode": ["audit"]}, "/mode"),
    "foreign rules": ({"intent": INTENT, "foreignRules": {}}, "/foreignRules"),
    "an unknown field": ({"intent": INTENT, "owner": "me"}, "/owner"),
    "another name": ({"intent": INTENT, "name": "other"}, "/name"),
    "no NSG": (
        {"intent": {k: v for k, v in INTENT.items() if k != "networkSecurityGroupId"}},
        "/intent/networkSecurityGroupId",
    ),
}


@pytest.mark.parametrize(("body", "pointer"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_pointed_at(idle, body, pointer) -> None:
    answer = idle.service.put("/api/guards/fs", json=body)
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]


def test_a_name_that_cannot_be_is_refused(idle) -> None:
    answer = idle.service.put("/api/guards/-x", json={"intent": INTENT})
    assert answer.status_code == 422
    assert "Begin with a letter or digit" in answer.text


def test_outside_the_allowed_scopes_no_guard_is_made(idle, monkeypatch) -> None:
    monkeypatch.setenv("AMLFS_ALLOWED_SCOPES", "/subscriptions/other")
    idle.put(status=403)
    assert idle.service.get("/api/guards/fs").status_code == 404


def test_an_apply_that_cannot_register_its_guard_writes_nothing(guarded) -> None:
    guarded.put(mode="audit")  # it does not mend the NSG itself
    guarded.azure.delete(f"{NSG}/securityRules/AMLFS-Out-KeyVault")
    before = guarded.azure.client.get(NSG, params={"api-version": "2024-07-01"}).json()
    other = {**INTENT, "networkSecurityGroupId": NSG + "2"}
    cases = {
        "guard-name-taken": {"intent": other, "guard": {"name": "FS"}, "reassociate": True},
        "guarded-already": {"intent": INTENT, "guard": {"name": "second"}},
    }
    for kind, body in cases.items():
        answer = guarded.service.post("/api/apply", json=body)
        assert (answer.status_code, answer.json()["guard"]) == (409, "fs")
        assert answer.json()["type"].endswith(kind)
    after = guarded.azure.client.get(NSG, params={"api-version": "2024-07-01"}).json()
    assert after["etag"] == before["etag"]
    assert guarded.azure.client.get(NSG + "2", params={"api-version": "2024-07-01"}).is_error


def test_apply_registers_a_guard_too(idle) -> None:
    body = {"intent": INTENT, "guard": {"name": "made-by-apply", "mode": "audit"}}
    answer = idle.service.post("/api/apply", json=body).json()
    assert answer["guard"]["name"] == "made-by-apply"
    assert idle.get("made-by-apply")["mode"] == "audit"
    wrong = {"intent": INTENT, "guard": {"name": ""}}
    assert idle.service.post("/api/apply", json=wrong).status_code == 422


def test_guards_declared_with_the_deployment_are_read_only(idle, monkeypatch, tmp_path) -> None:
    declared = tmp_path / "guards.json"
    declared.write_text(json.dumps([{"name": "declared", "mode": "audit", "intent": INTENT}]))
    monkeypatch.setenv("AMLFS_GUARDS", str(declared))
    assert [g["name"] for g in idle.service.get("/api/guards").json()["value"]] == ["declared"]
    assert idle.put("declared", status=409)["type"].endswith("guard-declared")
    assert idle.service.delete("/api/guards/declared").status_code == 409
    assert idle.post("reconcile", "declared")["status"]["verdict"] == "compliant"
    monkeypatch.setenv("AMLFS_GUARDS", "[]")
    assert idle.service.get("/api/guards").json()["value"] == []


def test_a_store_and_an_arm_that_fail_are_said(guarded, monkeypatch) -> None:
    guarded.azure.fail(method="GET", path="*", times=9, status=429, code="x", retryAfter=60)
    monkeypatch.setenv("AMLFS_REQUEST_SECONDS", "5")
    answer = guarded.service.post("/api/guards/fs/reconcile")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
    guarded.azure.client.delete("/_box/faults")


def test_what_get_shows_can_be_sent_back_however_long_its_findings(guarded) -> None:
    rules = [rule("x" * 70 + str(n), 3000 + n, "Inbound", "Allow") for n in range(40)]
    guarded.azure.nsg([*guarded.azure.rules(), *rules])
    guarded.quiet()
    shown = guarded.get()
    shown["summary"] = shown["summary"] + "x" * 5_000
    answer = guarded.service.put("/api/guards/fs", json=shown, timeout=30)
    assert answer.status_code == 200, answer.text
