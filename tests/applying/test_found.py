"""What ARM holds and an apply must cope with: IPv6, odd ids, deletions under way, a full NSG."""

from __future__ import annotations

import threading

import pytest

from tests.applying.test_apply import NSG_WRITE, ask
from tests.azure import CLIENTS, FILE_SYSTEM, INTENT, LUSTRE, NETWORK, NSG, VNET, rule
from tests.planning.test_plan import nineteen

BY_PREFIXES = {
    **INTENT,
    "fileSystemSubnet": {"addressPrefixes": ["10.0.1.0/24"]},
    "clientSubnets": [{"addressPrefixes": ["10.0.2.0/24"]}],
}


def codes(answer) -> set[str]:
    return {notice["code"] for notice in answer["notices"]}


def pointers(problem) -> list[str]:
    return [error["pointer"] for error in problem["errors"]]


# -- IPv6 -----------------------------------------------------------------------------------------


@pytest.fixture
def dual(azure):
    """A virtual network with an IPv6 address space too."""
    azure.network()
    network = azure.get(VNET)
    network["properties"]["addressSpace"]["addressPrefixes"].append("fd00::/48")
    azure.put(VNET, network)
    return azure


def test_ipv6_prefixes_of_clients_are_left_out_with_a_notice(service, dual) -> None:
    dual.put(CLIENTS, {"properties": {"addressPrefixes": ["10.0.2.0/24", "fd00::/64"]}})
    answer = ask(service)
    assert (answer["applied"], answer["verdictAfter"]) == (True, "compliant")
    assert "client-ipv6-left-out" in codes(answer)
    assert not [one for one in dual.rules() if "fd00" in str(one)]


def test_clients_with_ipv6_alone_are_refused_where_they_were_stated(service, dual) -> None:
    dual.put(CLIENTS, {"properties": {"addressPrefix": "fd00::/64"}})
    assert pointers(ask(service, status=422)) == ["/intent/clientSubnets/0/id"]


def test_a_file_system_subnet_with_ipv6_is_refused(service, dual) -> None:
    dual.put(LUSTRE, {"properties": {"addressPrefixes": ["10.0.1.0/24", "fd00:0:0:1::/64"]}})
    assert pointers(ask(service, status=422)) == ["/intent/fileSystemSubnet/id"]


# -- the file system and its subnet ---------------------------------------------------------------


@pytest.mark.parametrize("subnet", ["lustre", f"{NETWORK}/virtualNetworks/vnet", None])
def test_a_file_system_that_names_no_subnet_is_refused(service, azure, subnet) -> None:
    azure.network()
    properties = {"filesystemSubnet": subnet} if subnet else {}
    azure.put(FILE_SYSTEM, {"location": "eastus", "properties": properties})
    intent = {k: v for k, v in INTENT.items() if k not in ("location", "fileSystemSubnet")}
    problem = ask(service, status=422, intent={**intent, "fileSystemId": FILE_SYSTEM})
    assert pointers(problem) == ["/intent/fileSystemId"]


def test_a_subnet_stated_by_prefixes_is_known_by_its_nsg(service, azure) -> None:
    azure.nsg([])
    azure.network(NSG)
    answer = ask(service, intent=BY_PREFIXES)
    assert answer["verdictAfter"] == "compliant"
    assert answer["proofAfter"]["association"]["subnetId"] == LUSTRE


def test_a_shared_nsg_is_refused_for_a_subnet_stated_by_prefixes_too(service, azure) -> None:
    azure.nsg([])
    azure.network(NSG)
    properties = {"addressPrefix": "10.0.2.0/24", "networkSecurityGroup": {"id": NSG}}
    azure.put(CLIENTS, {"properties": properties})
    problem = ask(service, status=409, intent=BY_PREFIXES)
    assert problem["type"].endswith("shared-network-security-group")
    assert CLIENTS in problem["otherUsers"]


def test_a_location_of_another_cloud_is_told(service, azure) -> None:
    azure.network()
    assert "location-of-another-cloud" in codes(
        ask(service, "plan", intent={**INTENT, "location": "usgovvirginia"})
    )


@pytest.mark.parametrize("call", ["plan", "verify", "apply"])
def test_a_location_that_is_not_the_networks_is_told(service, azure, call) -> None:
    azure.nsg([])
    azure.network(NSG)
    assert "location-of-another-region" not in codes(ask(service, call))
    elsewhere = ask(service, call, intent={**INTENT, "location": "West Europe"})
    told = {notice["code"]: notice["message"] for notice in elsewhere["notices"]}
    assert "in eastus, the intent says westeurope" in told["location-of-another-region"]


# -- the NSG --------------------------------------------------------------------------------------


def test_a_deletion_under_way_is_waited_for(service, azure) -> None:
    azure.nsg([])
    azure.network()
    azure.set(operationSeconds=0.6)
    azure.delete(NSG)
    assert azure.get(NSG)["properties"]["provisioningState"] == "Deleting"
    azure.set(operationSeconds=0)
    answer = ask(service)
    assert (answer["applied"], answer["verdictAfter"]) == (True, "compliant")
    assert answer["changes"][0]["action"] == "createNetworkSecurityGroup"


def test_the_answers_etag_is_the_nsgs(service, azure) -> None:
    azure.nsg([])
    azure.network(NSG)
    assert ask(service)["etag"] == azure.get(NSG)["etag"]
    assert ask(service)["etag"] == azure.get(NSG)["etag"]


def test_a_full_nsg_is_a_conflict_before_any_write(service, azure) -> None:
    sides = ("Inbound", 2000), ("Outbound", 2000)
    azure.nsg(
        [
            rule(f"{d}-{i}", first + i, d, "Deny", protocol="Ah", destinationPortRange="*")
            for d, first in sides
            for i in range(495)
        ]
    )
    azure.network(NSG)
    azure.forget_calls()
    problem = ask(service, status=409)
    assert problem["type"].endswith("network-security-group-full")
    assert azure.counted()[NSG_WRITE] == 0


@pytest.mark.parametrize("group", ["..", "a/../b", "%2e%2e"])
def test_an_id_that_leads_elsewhere_is_refused_before_any_call(service, azure, group) -> None:
    azure.forget_calls()
    nsg = NSG.replace("/lustre/", f"/{group}/")
    problem = ask(service, status=422, intent={**INTENT, "networkSecurityGroupId": nsg})
    assert "/intent/networkSecurityGroupId" in pointers(problem)
    assert azure.calls() == []


# -- requests -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [["keep"], 1, "none"])
def test_foreign_rules_is_one_of_two_words(service, azure, value) -> None:
    problem = ask(service, "plan", status=422, foreignRules=value)
    assert pointers(problem) == ["/foreignRules"]
    assert "keep" in problem["errors"][0]["message"]


def test_outside_the_scopes_is_said_before_an_operation_is_accepted(
    service, azure, monkeypatch
) -> None:
    monkeypatch.setenv("AMLFS_ALLOWED_SCOPES", "/subscriptions/other")
    ask(service, status=403, headers={"Prefer": "respond-async"})
    assert azure.calls() == []


# -- after the write ------------------------------------------------------------------------------


def test_a_poll_that_fails_does_not_hide_that_the_write_was_taken(service, azure) -> None:
    azure.nsg([one for one in nineteen() if one["name"] != "AMLFS-Out-KeyVault"])
    azure.network(NSG)
    azure.forget_calls()
    azure.fail(method="GET", path="*/operations/*", times=1, cut="before")
    answer = ask(service)
    assert (answer["applied"], answer["verdictAfter"]) == (True, "compliant")
    assert azure.counted()[NSG_WRITE] == 1


def test_two_applies_at_once_are_one_write(service, azure) -> None:
    azure.nsg([one for one in nineteen() if one["name"] != "AMLFS-Out-KeyVault"])
    azure.network(NSG)
    azure.set(latencySeconds=0.05)
    azure.forget_calls()
    answers: list[dict] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(service))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [one["verdictAfter"] for one in answers] == ["compliant"] * 4
    assert sum(one["applied"] for one in answers) == 1
    taken = [c for c in azure.calls() if c["method"] == "PUT" and c["status"] in (200, 201)]
    assert len(taken) == 1
