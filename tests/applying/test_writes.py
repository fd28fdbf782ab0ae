"""Whether ARM has accepted a write whose answer was lost, as live state shows it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from shared.applying.live import Live, Located, assemble
from shared.applying.planned import plan_live
from shared.applying.writes import is_unchanged, new_write, was_accepted
from shared.cloud.resources import read_network, read_nsg
from shared.documents import read_document
from shared.http.rules import RulesRequest
from tests.azure import INTENT, LUSTRE, NSG, VNET
from tests.planning.test_plan import nineteen


def live(rules: list[dict[str, Any]], etag: str, nsg: str = NSG) -> Live:
    statement = read_document(RulesRequest, {"intent": {**INTENT, "networkSecurityGroupId": nsg}})
    subnets = [
        {
            "id": LUSTRE,
            "etag": "s1",
            "properties": {"addressPrefix": "10.0.1.0/24", "networkSecurityGroup": {"id": nsg}},
        },
        {
            "id": LUSTRE.replace("lustre", "clients", 2).replace(
                "/clients/providers", "/lustre/providers"
            ),
            "properties": {"addressPrefix": "10.0.2.0/24"},
        },
    ]
    space = {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": subnets}
    network = read_network({"id": VNET, "location": "eastus", "properties": space})
    document = {
        "id": nsg,
        "etag": etag,
        "location": "eastus",
        "properties": {"securityRules": rules},
    }
    return assemble(statement.intent, Located(LUSTRE), read_nsg(document), {VNET.lower(): network})


def without(*names: str) -> list[dict[str, Any]]:
    return [copy.deepcopy(one) for one in nineteen() if one["name"] not in names]


@pytest.fixture
def write():
    """The write that puts two rules back."""
    planned = plan_live(live(without("AMLFS-Out-Ntp", "AMLFS-Out-KeyVault"), "e1"))
    assert [change.name for change in planned.changes] == ["AMLFS-Out-KeyVault", "AMLFS-Out-Ntp"]
    return new_write(NSG, "e1", planned.changes, "run", 1.0)


def test_an_unchanged_etag_refutes_it(write) -> None:
    same = live(without("AMLFS-Out-Ntp", "AMLFS-Out-KeyVault"), "e1")
    assert is_unchanged(write, same)
    assert not was_accepted(write, same)


def test_its_changes_show_it_also_where_one_has_gone_again(write) -> None:
    assert was_accepted(write, live(nineteen(), "e2"))
    assert was_accepted(write, live(without("AMLFS-Out-Ntp"), "e3"))
    assert was_accepted(write, live(without("AMLFS-Out-Monitor"), "e3"))


def test_another_state_without_its_changes_does_not(write) -> None:
    assert not was_accepted(write, live(without("AMLFS-Out-Ntp", "AMLFS-Out-KeyVault"), "e2"))


def test_a_rule_of_the_same_meaning_that_is_written_otherwise_is_somebody_elses(write) -> None:
    rules = without("AMLFS-Out-Ntp", "AMLFS-Out-KeyVault")
    for one in nineteen():
        if one["name"] in ("AMLFS-Out-Ntp", "AMLFS-Out-KeyVault"):
            by_hand = copy.deepcopy(one)
            by_hand["properties"]["description"] = "put back by hand"
            rules.append(by_hand)
    assert not was_accepted(write, live(rules, "e2"))


def test_what_arm_adds_to_a_rule_is_no_difference(write) -> None:
    rules = nineteen()
    for one in rules:
        one["etag"] = "x"
        one["properties"] |= {"provisioningState": "Succeeded", "sourceAddressPrefixes": []}
    assert was_accepted(write, live(rules, "e2"))


def test_another_nsg_shows_nothing(write) -> None:
    other = live(nineteen(), "e9", NSG + "2")
    assert not was_accepted(write, other)
    assert not is_unchanged(write, other)
