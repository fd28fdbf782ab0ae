"""AMLFS_READ_SCOPES narrows what is read on a caller's word; it is checked before any call."""

from __future__ import annotations

from typing import Any

import pytest

from tests.azure import CLIENTS, FILE_SYSTEM, GROUP, INTENT, LUSTRE, NSG, VNET
from tests.planning.test_plan import nineteen

pytestmark = pytest.mark.in_process

HERE = GROUP.removesuffix("/providers")
ELSEWHERE = HERE.replace("lustre", "secret")
OUTSIDE: dict[str, dict[str, Any]] = {
    "an NSG": {"networkSecurityGroupId": NSG.replace("/lustre/", "/secret/")},
    "a file system's subnet": {"fileSystemSubnet": {"id": LUSTRE.replace("/lustre/", "/secret/")}},
    "a client subnet": {"clientSubnets": [{"id": CLIENTS.replace("/lustre/", "/secret/")}]},
    "a file system": {
        "location": None,
        "fileSystemSubnet": None,
        "fileSystemId": FILE_SYSTEM.replace("/lustre/", "/secret/"),
    },
    "a look-alike": {"networkSecurityGroupId": NSG.replace("/lustre/", "/lustre2/")},
}


@pytest.fixture
def network(azure, monkeypatch):
    """The network of the intent, with scopes that hold its resource group alone."""
    azure.nsg(nineteen())
    azure.network(NSG)
    azure.forget_calls()
    monkeypatch.setenv("AMLFS_READ_SCOPES", HERE)
    monkeypatch.setenv("AMLFS_ALLOWED_SCOPES", "")
    return azure


def intent_with(**fields):
    changed = {**INTENT, **fields}
    return {name: value for name, value in changed.items() if value is not None}


@pytest.mark.parametrize("where", ["verify", "plan", "apply"])
@pytest.mark.parametrize("fields", OUTSIDE.values(), ids=OUTSIDE)
def test_what_lies_outside_is_refused_before_any_call(service, network, where, fields) -> None:
    answer = service.post(f"/api/{where}", json={"intent": intent_with(**fields)})
    assert answer.status_code == 403, answer.text
    assert answer.json()["type"].endswith("outside-allowed-scopes")
    setting = "AMLFS_ALLOWED_SCOPES" if where == "apply" else "AMLFS_READ_SCOPES"
    assert setting in answer.json()["detail"] or "AMLFS_READ_SCOPES" in answer.json()["detail"]
    assert network.calls() == []


def test_rules_read_subnets_and_nothing_outside(service, network) -> None:
    body = {"intent": intent_with(**OUTSIDE["a client subnet"])}
    assert service.post("/api/rules", json=body).status_code == 403
    assert network.calls() == []


def test_a_guard_is_not_registered_outside(service, network, monkeypatch) -> None:
    monkeypatch.setenv("AMLFS_ALLOWED_SCOPES", HERE)
    body = {"intent": intent_with(**OUTSIDE["a client subnet"])}
    assert service.put("/api/guards/outside", json=body).status_code == 403
    assert service.get("/api/guards/outside").status_code == 404
    assert network.calls() == []


def test_what_lies_inside_is_read(service, network) -> None:
    answer = service.post("/api/verify", json={"intent": INTENT})
    assert (answer.status_code, answer.json()["verdict"]) == (200, "compliant")


def test_what_may_be_written_may_be_read(service, network, monkeypatch) -> None:
    monkeypatch.setenv("AMLFS_READ_SCOPES", ELSEWHERE)
    monkeypatch.setenv("AMLFS_ALLOWED_SCOPES", HERE)
    assert service.post("/api/verify", json={"intent": INTENT}).status_code == 200


def test_what_azure_leads_to_is_not_read_outside(service, network, monkeypatch) -> None:
    """The NSG and the clients are inside; the subnet that the file system is in is not."""
    monkeypatch.setenv("AMLFS_READ_SCOPES", f"{FILE_SYSTEM};{NSG}")
    subnet = {"filesystemSubnet": LUSTRE}
    network.put(FILE_SYSTEM, {"location": "eastus", "properties": subnet})
    prefixes = [{"addressPrefixes": ["10.0.2.0/24"]}]
    intent = intent_with(
        location=None, fileSystemSubnet=None, fileSystemId=FILE_SYSTEM, clientSubnets=prefixes
    )
    network.forget_calls()
    answer = service.post("/api/verify", json={"intent": intent})
    assert answer.status_code == 403, answer.text
    assert VNET.lower() in answer.json()["detail"].lower()
    assert not [call for call in network.calls() if "virtualNetworks" in call["path"]]


def test_without_the_setting_the_identitys_rights_decide(service, network, monkeypatch) -> None:
    monkeypatch.delenv("AMLFS_READ_SCOPES")
    answer = service.post("/api/verify", json={"intent": intent_with(**OUTSIDE["an NSG"])})
    assert answer.status_code == 404


def test_a_scope_that_is_none_is_misconfigured(service, network, monkeypatch) -> None:
    monkeypatch.setenv("AMLFS_READ_SCOPES", "rg-lustre")
    answer = service.post("/api/verify", json={"intent": INTENT})
    assert (answer.status_code, "AMLFS_READ_SCOPES" in answer.json()["detail"]) == (500, True)
