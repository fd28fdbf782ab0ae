"""The sweep: reads in pages, queues only what drifted, finds what has vanished, sends what waits."""

from __future__ import annotations

import pytest

from tests.azure import INTENT, LUSTRE, NETWORK, NSG, VNET
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
