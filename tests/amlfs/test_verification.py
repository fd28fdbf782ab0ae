"""Verdicts on whole NSGs: the article's, made by hand, loosened, broken."""

from __future__ import annotations

from typing import Any

import pytest

from shared.amlfs.catalogue import load_catalogue
from shared.amlfs.verification import Verdict, Verification, extent_of, verify
from shared.documents import read_document
from shared.http.rules import RulesRequest
from shared.nsg.locations import Cloud
from shared.nsg.parsing import read_rules
from shared.nsg.proofs import ProofVerdict
from shared.nsg.rules import Access
from shared.nsg.service_tags import shipped_service_tags
from tests.intents import EAST_US, EVERYTHING, with_fields
from tests.planning.test_generation import generated, ssh_from

CATALOGUE = load_catalogue()


def article(intent: dict[str, Any] = EAST_US) -> list[dict[str, Any]]:
    return [rule.to_arm() for rule in generated(intent).rules]


def rule(name: str, priority: int, direction: str = "Outbound", **fields: Any) -> dict[str, Any]:
    base = {
        "priority": priority,
        "direction": direction,
        "access": "Allow",
        "protocol": "*",
        "sourceAddressPrefix": "*",
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRange": "*",
    }
    return {"name": name, "properties": base | fields}


def verified(
    rules: list[dict[str, Any]], intent: dict[str, Any] = EAST_US, known: bool = False
) -> Verification:
    read = read_rules(rules)
    assert read.errors == ()
    resolved = read_document(RulesRequest, {"intent": intent}).intent.resolve()
    extent = extent_of(resolved, peered=()) if known else None
    tags = shipped_service_tags(resolved.location.cloud)
    return verify(resolved, read.rules, CATALOGUE, tags, extent)


def broken(found: Verification) -> dict[str, list[str]]:
    """Names of what is violated, without their prefix, with the rules that decide."""
    return {
        requirement.name.partition("-")[2]: [v.decided_by.name for v in proof.violations]
        for requirement, proof in found.requirements
        if proof.verdict is ProofVerdict.VIOLATED
    }


@pytest.mark.parametrize("intent", [EAST_US, EVERYTHING, with_fields(location="usgovvirginia")])
def test_the_articles_rules_are_compliant(intent) -> None:
    found = verified(article(intent), intent)
    assert found.verdict is Verdict.COMPLIANT
    assert found.dead_rules == ()


def test_every_row_is_proved_in_the_articles_order() -> None:
    names = [requirement.name for requirement, _ in verified(article()).requirements]
    assert names == [document["name"] for document in article()]


def test_made_by_hand_under_any_names_and_numbers_it_is_compliant() -> None:
    by_hand = [
        {"name": f"my-rule-{i}", "properties": {**d["properties"], "priority": 200 + 3 * i}}
        for i, d in enumerate(article())
    ]
    assert verified(by_hand).verdict is Verdict.COMPLIANT


def test_split_and_merged_rules_are_compliant() -> None:
    rules = [d for d in article() if "Lustre" not in d["name"] and "KeyVault" not in d["name"]]
    halves = {"protocol": "tcp", "destinationAddressPrefix": "10.0.1.0/24"}
    for i, (prefix, ports) in enumerate(
        [("10.0.2.0/25", "988"), ("10.0.2.128/25", "988"), ("10.0.2.0/24", "1019-1021")]
    ):
        fields = {"sourceAddressPrefix": prefix, "destinationPortRange": ports}
        rules.append(rule(f"lustre-{i}", 113 + i, "Inbound", **halves, **fields))
    rest = {"sourceAddressPrefix": "10.0.2.0/24", "destinationPortRange": "1022-1023"}
    rules.append(rule("lustre-rest", 118, "Inbound", **halves, **rest))
    lustre = {"destinationAddressPrefix": "10.0.2.0/24", "destinationPortRange": ""}
    rules.append(
        rule("back", 120, protocol="Tcp", destinationPortRanges=["988", "1019-1023"], **lustre)
    )
    vault = {"destinationAddressPrefix": "azurekeyvault.EASTUS", "destinationPortRange": "443"}
    rules.append(rule("vault", 121, protocol="TCP", **vault))
    assert verified(rules).verdict is Verdict.COMPLIANT


def test_the_looser_set_of_the_prerequisites_satisfies_and_leaks() -> None:
    rules = [d for d in article() if d["name"] in ("AMLFS-In-FileSystem", "AMLFS-In-Lustre")]
    rules += [d for d in article() if "Deny" in d["name"] or d["name"].endswith("Out-Lustre")]
    rules += [d for d in article() if d["name"] in ("AMLFS-In-Monitor", "AMLFS-Out-FileSystem")]
    rules.append(rule("any-azure", 200, destinationAddressPrefix="AzureCloud"))
    found = verified(rules)
    missing = broken(found)
    assert set(missing) & {"Out-KeyVault", "Out-Storage", "Out-ResourceManager"} == set()
    assert {v.decided_by.name for v in found.excess} == {"any-azure"}
    assert missing["Out-DenyAll"] == ["any-azure"]


def test_a_deny_shows_which_part_of_storage_it_cuts_off() -> None:
    deny = rule("no-20", 100, access="Deny", destinationAddressPrefix="20.0.0.0/8")
    moved = [
        {**d, "properties": {**d["properties"], "priority": d["properties"]["priority"] + 1}}
        for d in article()
    ]
    found = verified([deny, *moved])
    proofs = {requirement.name: proof for requirement, proof in found.requirements}
    (violation,) = proofs["AMLFS-Out-Storage"].violations
    assert violation.decided_by.name == "no-20"
    assert violation.cut_off is not None
    edges = violation.cut_off.boundaries()
    storage = shipped_service_tags(Cloud.PUBLIC).boundaries("Storage.EastUS") or ()
    low, high = 20 << 24, 21 << 24
    inside = [e for e in storage if low <= e <= high]
    assert list(edges) == inside
    assert proofs["AMLFS-Out-Ntp"].verdict is ProofVerdict.SATISFIED


def test_all_blockers_are_named_at_once() -> None:
    blockers = [
        rule("first", 100, access="Deny", destinationAddressPrefix="20.42.64.0/24"),
        rule("second", 101, access="Deny", destinationAddressPrefix="20.62.134.0/24"),
        rule("covered", 102, access="Deny", destinationAddressPrefix="20.62.134.0/25"),
    ]
    moved = [
        {**d, "properties": {**d["properties"], "priority": d["properties"]["priority"] + 10}}
        for d in article()
    ]
    found = verified([*blockers, *moved])
    assert broken(found)["Out-KeyVault"] == ["first", "second"]
    assert [(d.rule.name, d.covered_by) for d in found.dead_rules] == [("covered", ("second",))]


def test_a_rule_for_another_subnet_is_no_leak() -> None:
    elsewhere = rule("web", 100, "Inbound", destinationAddressPrefix="10.0.7.0/24")
    found = verified([elsewhere, *article()])
    assert found.verdict is Verdict.COMPLIANT


def test_a_leak_is_excess_with_a_packet() -> None:
    ssh = rule("ssh", 100, "Inbound", protocol="Tcp", destinationPortRange="22")
    found = verified([ssh, *article()])
    assert found.verdict is Verdict.NONCOMPLIANT
    (leak,) = found.excess
    assert (leak.decided_by.name, leak.witness.destination_port) == ("ssh", 22)
    assert leak.witness.destination == "10.0.1.4"
    assert broken(found) == {"In-DenyAll": ["ssh"]}


def test_a_declared_exception_is_tolerated_and_not_required() -> None:
    intent = with_fields(exceptions=[ssh_from(8)])
    ssh = rule(
        "ssh",
        100,
        "Inbound",
        protocol="Tcp",
        sourceAddressPrefix="10.8.8.0/24",
        destinationPortRange="22",
    )
    assert verified([ssh, *article()]).verdict is Verdict.NONCOMPLIANT
    assert verified([ssh, *article()], intent).verdict is Verdict.COMPLIANT
    assert verified(article(), intent).verdict is Verdict.COMPLIANT


def test_an_option_is_required() -> None:
    intent = with_fields(dnsServers=["10.0.0.4"])
    assert broken(verified(article(), intent)) == {
        "Out-DnsUdp": ["AMLFS-Out-DenyAll"],
        "Out-DnsTcp": ["AMLFS-Out-DenyAll"],
    }


def test_the_rule_named_decides_where_the_network_is_all_private() -> None:
    rules = [d for d in article() if d["name"] != "AMLFS-Out-Ntp"]
    assert broken(verified(rules)) == {"Out-Ntp": ["AMLFS-Out-DenyInternet"]}
    assert broken(verified(rules, known=True)) == {"Out-Ntp": ["AMLFS-Out-DenyInternet"]}


def test_azures_own_dns_needs_no_rule() -> None:
    intent = with_fields(dnsServers=["168.63.129.16"])
    assert verified(article(), intent).verdict is Verdict.COMPLIANT


def test_allow_rows_are_satisfied_by_allow_rules() -> None:
    for requirement, proof in verified([]).requirements:
        if requirement.access is Access.ALLOW:
            assert not any(name.startswith("Deny") for name in proof.satisfied_by)


def test_an_empty_nsg_leaks_through_azures_default_rules() -> None:
    found = verified([], known=True)
    assert [v.decided_by.name for v in found.excess] == [
        "AllowVnetInBound",
        "AllowVnetOutBound",
        "AllowInternetOutBound",
    ]
    assert broken(found)["In-Monitor"] == ["DenyAllInBound"]


def test_what_is_not_known_is_said() -> None:
    monitor = "AMLFS-In-Monitor"
    found = verified([d for d in article() if d["name"] not in (monitor, "AMLFS-In-DenyAll")])
    proof = next(p for r, p in found.requirements if r.name == monitor)
    assert proof.verdict is ProofVerdict.UNDECIDED
    assert proof.undecided_because == ("the extent of VirtualNetwork is not known",)


def test_an_unknown_tag_is_equal_to_itself() -> None:
    intent = with_fields(location="Mars Central", allowUnknownLocation=True)
    assert verified(article(intent), intent).verdict is Verdict.COMPLIANT
    blocked = rule("x", 100, access="Deny", destinationAddressPrefix="BrandNew.Tag")
    moved = [
        {**d, "properties": {**d["properties"], "priority": d["properties"]["priority"] + 1}}
        for d in article()
    ]
    found = verified([blocked, *moved])
    assert found.verdict is Verdict.UNDECIDED
    reasons = {reason for _, proof in found.requirements for reason in proof.undecided_because}
    assert reasons == {"what brandnew.tag stands for is not known"}


def test_a_row_that_the_cloud_cannot_have_is_satisfied() -> None:
    intent = with_fields(location="chinanorth3")
    found = verified(article(intent), intent)
    lake = next(p for r, p in found.requirements if r.name == "AMLFS-Out-DataLake")
    assert lake.verdict is ProofVerdict.SATISFIED
