"""The sweep: reads in pages, queues only what drifted, finds what has vanished, sends what waits."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from local.azure.estate import kind_of
from local.azure.paths import read_resource_id
from tests.azure import CLIENTS, INTENT, LUSTRE, NETWORK, NSG, SUBSCRIPTION, VNET, rule
from tests.planning.test_plan import nineteen


def many(idle, count: int) -> None:
    """A network with so many file systems, each with its NSG and guard."""
    idle.azure.set(eventLossRate=1)
    subnets: list[dict] = [
        {
            "name": f"s{n}",
            "properties": {
                "addressPrefix": f"10.1.{n}.0/24",
                "networkSecurityGroup": {"id": f"{NETWORK}/networkSecurityGroups/n{n}"},
            },
        }
        for n in range(count)
    ]
    subnets.append({"name": "clients", "properties": {"addressPrefix": "10.0.2.0/24"}})
    for n in range(count):
        own = {"addressPrefixes": [f"10.1.{n}.0/24"]}
        clients = [{"addressPrefixes": ["10.0.2.0/24"]}]
        rules = nineteen({**INTENT, "fileSystemSubnet": own, "clientSubnets": clients})
        idle.azure.nsg(rules, f"{NETWORK}/networkSecurityGroups/n{n}")
    body: dict = {"addressSpace": {"addressPrefixes": ["10.0.0.0/15"]}, "subnets": subnets}
    idle.azure.put(VNET, {"location": "eastus", "properties": body})
    for n in range(count):
        intent: dict = {
            **INTENT,
            "fileSystemSubnet": {"id": f"{VNET}/subnets/s{n}"},
            "networkSecurityGroupId": f"{NETWORK}/networkSecurityGroups/n{n}",
        }
        assert idle.put(f"g{n}", intent=intent)["status"]["verdict"] == "compliant"
    idle.forget()


def test_lists_are_read_and_only_what_drifted_is_touched(idle) -> None:
    many(idle, 7)
    idle.azure.set(pageSize=3)
    idle.azure.delete(f"{NETWORK}/networkSecurityGroups/n4/securityRules/AMLFS-Out-Ntp")
    idle.azure.forget_calls()
    idle.run("sweep")
    idle.quiet()
    lists = [c for c in idle.azure.calls() if c["path"].lower().endswith(("groups", "networks"))]
    assert len(lists) == 4, "three pages of eight NSGs and one of networks"
    assert idle.azure.counted()["PUT networksecuritygroups"] == 1
    assert idle.types() == ["restored"]
    assert idle.outcomes()[0]["subject"] == "guards/g4"
    idle.forget()
    idle.run("sweep")
    idle.quiet()
    assert len(idle.azure.calls()) == 4, "all is right: lists alone"


def test_the_same_drift_again_is_found_again(guarded) -> None:
    """What a look depended on is remembered, and never mistaken for what it was before a restoration."""
    guarded.azure.set(eventLossRate=1)
    for times in (1, 2, 3):
        guarded.azure.delete(f"{NSG}/securityRules/AMLFS-Out-KeyVault")
        guarded.run("sweep")
        guarded.quiet()
        assert guarded.types() == ["restored"] * times
        assert guarded.is_right()


CAUSES = {
    "a rule": lambda azure: azure.delete(f"{NSG}/securityRules/AMLFS-Out-Ntp"),
    "a foreign rule": lambda azure: azure.put(
        f"{NSG}/securityRules/ssh",
        rule("ssh", 100, "Inbound", "Allow", protocol="Tcp", destinationPortRange="22"),
    ),
    "the association": lambda azure: azure.network(),
    "a prefix of the clients": lambda azure: azure.put(
        CLIENTS, {"properties": {"addressPrefix": "10.0.3.0/24"}}
    ),
    "the prefix of the file system's subnet": lambda azure: azure.put(
        LUSTRE,
        {"properties": {"addressPrefix": "10.0.8.0/24", "networkSecurityGroup": {"id": NSG}}},
    ),
    "another user of the NSG": lambda azure: azure.put(
        CLIENTS,
        {"properties": {"addressPrefix": "10.0.2.0/24", "networkSecurityGroup": {"id": NSG}}},
    ),
}


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
def test_every_cause_of_drift_is_found_by_a_sweep_alone(guarded, cause) -> None:
    guarded.azure.set(eventLossRate=1)
    for _ in range(2):  # the second time the guard's fingerprint is known
        guarded.run("sweep")
        guarded.quiet()
    assert guarded.types() == []
    cause(guarded.azure)
    guarded.run("sweep")
    guarded.quiet()
    assert len(guarded.types()) == 1
    assert guarded.types()[0] in ("restored", "blocked")


@pytest.mark.parametrize("element", [None, 5, [], {}, {"id": 5}, {"id": "x"}], ids=str)
def test_an_odd_element_of_a_list_stops_nobody(guarded, element, monkeypatch) -> None:
    """ARM lists something that is no resource, beside an NSG that has drifted."""
    azure = guarded.azure
    azure.set(eventLossRate=1)
    azure.delete(f"{NSG}/securityRules/AMLFS-Out-KeyVault")
    real = azure.server.box.routes.arm.page

    def page(*given: Any) -> Any:
        answer = real(*given)
        answer.body["value"] = [element, *answer.body["value"], element]
        return answer

    monkeypatch.setattr(azure.server.box.routes.arm, "page", page)
    guarded.run("sweep")
    guarded.quiet()
    assert guarded.types() == ["restored"]


def odd_prefix(body: dict[str, Any]) -> None:
    body["properties"]["subnets"][0]["properties"]["addressPrefix"] = "garbage"


def odd_subnets(body: dict[str, Any]) -> None:
    body["properties"]["subnets"] = [None]


def odd_properties(body: dict[str, Any]) -> None:
    body["properties"] = "none"


@pytest.mark.parametrize("spoil", [odd_prefix, odd_subnets, odd_properties])
def test_a_guard_whose_network_is_shown_oddly_is_undecided_and_stops_nobody(
    guarded, monkeypatch, spoil
) -> None:
    other = {**INTENT, "networkSecurityGroupId": NSG + "2"}
    other["fileSystemSubnet"] = {"addressPrefixes": ["10.9.1.0/24"]}
    other["clientSubnets"] = [{"addressPrefixes": ["10.9.2.0/24"]}]
    guarded.put("other", intent=other, mode="audit")
    guarded.forget()
    target = read_resource_id(VNET)
    assert target is not None
    kind = type(kind_of(target))
    real = kind.show

    def show(*given: Any) -> Any:
        body = copy.deepcopy(real(*given))
        spoil(body)
        return body

    monkeypatch.setattr(kind, "show", show)
    for _ in range(2):
        guarded.run("sweep")
        guarded.quiet()
    status = guarded.get()["status"]
    assert (status["verdict"], status["lastOutcome"]) == ("undecided", "failed")
    assert "cannot be read" in status["reason"]
    failed = [one for one in guarded.outcomes() if one["type"] == "amlfs.guard.failed"]
    assert [one["subject"] for one in failed] == ["guards/fs"]
    assert guarded.post("reconcile", "other")["status"]["verdict"] == "noncompliant"
    monkeypatch.setattr(kind, "show", real)
    assert guarded.post("reconcile")["status"]["verdict"] == "compliant"
    assert guarded.types()[-1] == "resolved"


@pytest.mark.parametrize("status", [403, 404, 503])
def test_a_list_that_cannot_be_read_concerns_those_who_need_it(guarded, status) -> None:
    """One guard has clients in a subscription whose networks may not be listed."""
    azure = guarded.azure
    azure.set(eventLossRate=1)
    foreign = "00000000-0000-0000-0000-0000000000ff"
    client = CLIENTS.replace(SUBSCRIPTION, foreign)
    other = {**INTENT, "networkSecurityGroupId": NSG + "2", "clientSubnets": [{"id": client}]}
    other["fileSystemSubnet"] = {"addressPrefixes": ["10.9.1.0/24"]}
    guarded.put("other", intent=other, mode="audit")
    guarded.forget()
    azure.delete(f"{NSG}/securityRules/AMLFS-Out-KeyVault")
    path = f"/subscriptions/{foreign}/providers/microsoft.network/virtualnetworks"
    azure.fail(method="GET", path=path, status=status, code="x", times=99)
    guarded.run("sweep")
    azure.wait_until(lambda: "restored" in guarded.types(), 20)
    azure.client.delete("/_box/faults")
    guarded.quiet()
    assert guarded.is_right()


def test_a_sweep_that_is_cut_off_has_done_a_part_of_its_work(idle) -> None:
    """The list of NSGs breaks off at its second page: what the first one showed is restored."""
    many(idle, 7)
    idle.azure.set(pageSize=3)
    for n in (0, 1, 6):
        idle.azure.delete(f"{NETWORK}/networkSecurityGroups/n{n}/securityRules/AMLFS-Out-Ntp")
    path = "*/providers/microsoft.network/networksecuritygroups"
    idle.azure.fail(method="GET", path=path, times=400, status=500, code="x")
    real = idle.azure.server.box._next_fault
    seen: list[str] = []

    def next_fault(method: str, asked: str) -> Any:
        if asked.lower().endswith("networksecuritygroups"):
            seen.append(asked)
            if len(seen) == 1:
                return None
        return real(method, asked)

    idle.azure.server.box._next_fault = next_fault
    try:
        idle.run("sweep")
        idle.azure.wait_until(lambda: idle.types().count("restored") == 2, 30)
    finally:
        idle.azure.server.box._next_fault = real
        idle.azure.client.delete("/_box/faults")
    idle.quiet()


def lose_the_nsg(azure) -> None:
    azure.network()
    azure.delete(NSG)


def lose_the_subnet(azure) -> None:
    body = {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": []}
    azure.put(VNET, {"location": "eastus", "properties": body})


def lose_the_network(azure) -> None:
    azure.delete(VNET)


@pytest.mark.parametrize("lose", [lose_the_nsg, lose_the_subnet, lose_the_network])
def test_what_has_vanished_is_found(guarded, lose) -> None:
    guarded.azure.set(eventLossRate=1)
    lose(guarded.azure)
    guarded.run("sweep")
    guarded.quiet()
    if lose is lose_the_nsg:
        assert guarded.types() == ["restored"]
        assert guarded.azure.get(LUSTRE)["properties"]["networkSecurityGroup"]["id"] == NSG
    else:
        assert guarded.types() == ["failed"]
        assert guarded.get()["status"]["verdict"] == "noncompliant"
        guarded.run("sweep")
        guarded.quiet()
        assert guarded.types() == ["failed"], "once"


def test_a_topic_that_is_down_loses_no_outcome_and_fails_no_restoration(guarded) -> None:
    guarded.azure.fail(method="POST", path="*/topics/*", times=9, status=503, code="Down")
    guarded.azure.delete(f"{NSG}/securityRules/AMLFS-Out-KeyVault")
    guarded.quiet()
    assert guarded.is_right()
    assert guarded.outcomes() == []
    assert guarded.history()[0]["type"].endswith("restored")
    guarded.azure.client.delete("/_box/faults")
    guarded.run("sweep")
    guarded.quiet()
    assert [event["id"] for event in guarded.outcomes()] == [guarded.history()[0]["id"]]
    guarded.run("sweep")
    assert len(guarded.outcomes()) == 1


def test_a_guard_that_can_never_be_reconciled_is_told_of(guarded) -> None:
    guarded.run("report_poison", "fs")
    assert guarded.types() == ["failed"]
    assert guarded.outcomes()[0]["data"]["poison"] is True
    guarded.run("report_poison", "nobody")


def test_a_message_that_keeps_failing_ends_in_the_poison_queue(guarded) -> None:
    guarded.azure.set(eventLossRate=1)
    guarded.azure.delete(f"{NSG}/securityRules/AMLFS-Out-KeyVault")
    fault = {"status": 429, "code": "TooManyRequests", "retryAfter": 3600}
    guarded.azure.fail(method="PUT", path="*/networksecuritygroups/*", times=99, **fault)
    guarded.run("sweep")
    guarded.azure.wait_until(lambda: guarded.types() == ["failed"], 15)
    assert guarded.azure.counted()["PUT networksecuritygroups"] == 5
    guarded.azure.client.delete("/_box/faults")


def test_missing_rights_are_announced_once(guarded) -> None:
    fault = {"status": 403, "code": "AuthorizationFailed", "message": "no rights"}
    guarded.azure.fail(method="PUT", path="*/networksecuritygroups/*", times=99, **fault)
    guarded.azure.delete(f"{NSG}/securityRules/AMLFS-Out-KeyVault")
    guarded.quiet()
    guarded.post("reconcile")
    assert guarded.types() == ["failed"]
    assert guarded.outcomes()[0]["data"]["arm"]["code"] == "AuthorizationFailed"
    guarded.azure.client.delete("/_box/faults")
    guarded.post("reconcile")
    assert guarded.types() == ["failed", "restored"]


@pytest.mark.in_process
def test_a_guard_outside_the_read_scopes_fails_once(guarded, monkeypatch) -> None:
    """Scopes that were narrowed after it was registered."""
    monkeypatch.setenv("AMLFS_READ_SCOPES", "/subscriptions/none")
    monkeypatch.setenv("AMLFS_ALLOWED_SCOPES", "/subscriptions/none")
    for _ in range(3):
        guarded.run("sweep")
        guarded.quiet()
    assert guarded.types() == ["failed"]
    assert "AMLFS_READ_SCOPES" in guarded.get()["status"]["reason"]
