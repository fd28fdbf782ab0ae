"""Plans: what is changed, what is left alone, and what cannot be done."""

from __future__ import annotations

import copy
from ipaddress import IPv4Network

import pytest

from shared.amlfs.catalogue import all_keys, load_catalogue
from shared.amlfs.verification import Verdict, extent_of
from shared.documents import read_document
from shared.http.rules import RulesRequest
from shared.nsg.locations import Cloud
from shared.nsg.service_tags import shipped_service_tags
from shared.planning.documents import read_documents
from shared.planning.generation import generate
from shared.planning.plan import ForeignRules, Plan, Question, make_plan
from tests.azure import rule
from tests.intents import EAST_US, EVERYTHING, with_fields

TAGS = shipped_service_tags(Cloud.PUBLIC)
SPACE = [IPv4Network("10.0.0.0/16")]
SSH = {"protocol": "Tcp", "destinationPortRange": "22"}


def question(intent=EAST_US, foreign_rules=ForeignRules.KEEP) -> Question:
    resolved = read_document(RulesRequest, {"intent": intent}).intent.resolve()
    extent = extent_of(resolved, SPACE, ())
    return Question(resolved, load_catalogue(), TAGS, extent, foreign_rules)


def nineteen(intent=EAST_US) -> list[dict]:
    resolved = read_document(RulesRequest, {"intent": intent}).intent.resolve()
    return [one.to_arm() for one in generate(resolved, "2024-11-08").rules]


def plan(rules: list[dict], **asked) -> Plan:
    standing, errors = read_documents(copy.deepcopy(rules))
    assert errors == ()
    found = make_plan(question(**asked), standing)
    again = make_plan(question(**asked), list(found.rules))
    assert again.changes == (), "a plan of its own result is empty"
    return found


def shown(found: Plan) -> list[tuple]:
    return [
        (c.action.value, c.name, (c.after or {}).get("properties", {}).get("priority"))
        for c in found.changes
    ]


def without(rules: list[dict], *names: str) -> list[dict]:
    return [one for one in rules if one["name"] not in names]


def changed(rules: list[dict], name: str, **fields) -> list[dict]:
    return [
        {**one, "properties": {**one["properties"], **fields}} if one["name"] == name else one
        for one in copy.deepcopy(rules)
    ]


@pytest.mark.parametrize("intent", [EAST_US, EVERYTHING, with_fields(dnsServers=["10.0.7.4"])])
def test_an_empty_nsg_gets_what_rules_generates(intent) -> None:
    found = plan([], intent=intent)
    assert {c.action.value for c in found.changes} == {"create"}
    assert {one.name: one.document for one in found.rules} == {
        one["name"]: one for one in nineteen(intent)
    }


def test_an_nsg_made_by_hand_is_left_alone() -> None:
    by_hand = [{**one, "name": f"rule-{i}"} for i, one in enumerate(nineteen())]
    found = plan(by_hand)
    assert (found.changes, found.after.verdict) == ((), Verdict.COMPLIANT)


def test_a_row_split_in_two_managed_rules_is_left_alone_when_another_is_mended() -> None:
    rules = changed(nineteen(), "AMLFS-In-Lustre", destinationPortRanges=["988"])
    second = changed(
        nineteen(), "AMLFS-In-Lustre", destinationPortRanges=["1019-1023"], priority=113
    )
    rules += [{**one, "name": "amlfs-in-lustre-2"} for one in second if "In-Lustre" in one["name"]]
    assert plan(rules).changes == ()
    assert shown(plan(without(rules, "AMLFS-Out-Ntp"))) == [("create", "AMLFS-Out-Ntp", 109)]


DRIFT = {
    "a deleted rule comes back": (
        without(nineteen(), "AMLFS-Out-KeyVault"),
        [("create", "AMLFS-Out-KeyVault", 101)],
    ),
    "a changed rule is written in place": (
        changed(nineteen(), "AMLFS-Out-KeyVault", destinationPortRange="444"),
        [("update", "AMLFS-Out-KeyVault", 101)],
    ),
    "a widened rule is narrowed": (
        changed(nineteen(), "AMLFS-In-Lustre", sourceAddressPrefix="*"),
        [("update", "AMLFS-In-Lustre", 111)],
    ),
    "a rule turned round is turned back": (
        changed(nineteen(), "AMLFS-In-DenyAll", access="Allow"),
        [("update", "AMLFS-In-DenyAll", 120)],
    ),
    "a rule behind the deny row moves before it": (
        changed(nineteen(), "AMLFS-In-Lustre", priority=300),
        [("move", "AMLFS-In-Lustre", 111)],
    ),
    "a rule of the wrong direction is written anew": (
        changed(nineteen(), "AMLFS-In-Lustre", direction="Outbound", priority=300),
        [("update", "AMLFS-In-Lustre", 111)],
    ),
    "what the intent no longer asks for goes": (
        [*nineteen(), rule("AMLFS-Out-DnsUdp", 113, "Outbound", "Allow", protocol="Udp")],
        [("delete", "AMLFS-Out-DnsUdp", None)],
    ),
    "a region that is no longer used goes": (
        [
            *nineteen(),
            rule(
                *("amlfs-out-storage-northeurope", 113, "Outbound", "Allow"),
                destinationAddressPrefix="Storage.NorthEurope",
            ),
        ],
        [("delete", "amlfs-out-storage-northeurope", None)],
    ),
    "a wrong rule that nobody needs goes": (
        [
            *changed(nineteen(), "AMLFS-Out-Ntp", protocol="*"),
            rule("ntp", 113, "Outbound", "Allow", protocol="Udp", destinationPortRange="123")
            | {"properties": {**nineteen()[13]["properties"], "priority": 113}},
        ],
        [("delete", "AMLFS-Out-Ntp", None)],
    ),
    "a leak behind the deny row is none": (
        [*nineteen(), rule("ssh", 200, "Inbound", "Allow", **SSH)],
        [],
    ),
    "the deny row moves before a leak": (
        [*nineteen(), rule("ssh", 115, "Inbound", "Allow", **SSH)],
        [("move", "AMLFS-In-DenyAll", 114)],
    ),
    "a row moves before a foreign deny rule": (
        [
            *without(nineteen(), "AMLFS-Out-Storage"),
            rule("no-storage", 103, "Outbound", "Deny", destinationAddressPrefix="Storage"),
        ],
        [("move", "AMLFS-Out-EntraId", 113), ("create", "AMLFS-Out-Storage", 102)],
    ),
}


@pytest.mark.parametrize("case", DRIFT.values(), ids=DRIFT)
def test_drift_is_mended(case) -> None:
    rules, expected = case
    found = plan(rules)
    assert shown(found) == expected
    assert found.after.verdict is Verdict.COMPLIANT


def test_the_storage_backup_rule_is_foreign() -> None:
    backup = rule(
        *("AMLFS-Out-Storage-Backup", 113, "Outbound", "Allow"),
        destinationAddressPrefix="Storage.NorthEurope",
    )
    found = plan([*nineteen(), backup])
    assert found.changes == ()
    assert [v.decided_by.name for v in found.after.excess] == ["AMLFS-Out-Storage-Backup"]


def test_foreign_rules_and_unknown_fields_survive_byte_for_byte() -> None:
    foreign = rule("mine", 4000, "inbound", "allow", sourceAddressPrefix="INTERNET", zip={"a": [1]})
    foreign |= {"id": "/x", "etag": 'W/"1"', "new": None}
    rules = changed(nineteen(), "AMLFS-Out-KeyVault", destinationPortRange="444", colour="blue")
    found = plan([foreign, *rules])
    assert found.rules[0].document == foreign
    (change,) = found.changes
    properties = (change.after or {})["properties"]
    assert (properties["colour"], properties["destinationPortRange"]) == ("blue", "443")


def test_a_deny_rule_at_100_is_a_conflict_that_names_it_with_a_packet() -> None:
    found = plan(
        [rule("deny-public", 100, "Outbound", "Deny", destinationAddressPrefix="Internet")]
    )
    names = [blocked.row.name for blocked in found.blocked]
    assert "AMLFS-Out-KeyVault" in names
    assert "AMLFS-Out-Lustre" not in names
    for blocked in found.blocked:
        (violation,) = blocked.by
        assert violation.decided_by.name == "deny-public"
        assert violation.witness.destination_port in (443, 123)
    assert "AMLFS-Out-Lustre" in {change.name for change in found.changes}


def test_every_blocker_is_named() -> None:
    rules = [
        rule(f"no-{tag}", 100 + i, "Outbound", "Deny", destinationAddressPrefix=tag)
        for i, tag in enumerate(["AzureKeyVault.EastUS", "AzureKeyVault"])
    ]
    (blocked,) = plan(rules).blocked
    assert [violation.decided_by.name for violation in blocked.by] == ["no-AzureKeyVault.EastUS"]
    halves = ["20.0.0.0/8", "40.0.0.0/8"]
    rules = [
        rule(f"no-{half}", 100 + i, "Outbound", "Deny", destinationAddressPrefix=half)
        for i, half in enumerate(halves)
    ]
    blocked = next(b for b in plan(rules).blocked if b.row.name == "AMLFS-Out-Storage")
    assert [violation.decided_by.name for violation in blocked.by] == [f"no-{h}" for h in halves]


def test_where_one_place_is_left_one_row_gets_it_and_the_others_are_blocked() -> None:
    found = plan([rule("no-tcp", 101, "Inbound", "Deny", protocol="Tcp")])
    inbound = [one for one in found.rules if "-In-" in one.name and one.rule.priority < 101]
    assert len(inbound) == 1
    rows = {"AMLFS-In-FileSystem", "AMLFS-In-Lustre", "AMLFS-In-Monitor"}
    assert {inbound[0].name, *(blocked.row.name for blocked in found.blocked)} == rows
    for blocked in found.blocked:
        assert [violation.decided_by.name for violation in blocked.by] == ["no-tcp"]


def test_removing_foreign_rules_removes_only_what_blocks_or_leaks() -> None:
    foreign = [
        rule("deny-public", 100, "Outbound", "Deny", destinationAddressPrefix="Internet"),
        rule("ssh", 100, "Inbound", "Allow", **SSH),
        rule("harmless", 105, "Inbound", "Deny", sourceAddressPrefix="10.9.0.0/16"),
        rule("late", 4000, "Outbound", "Allow"),
    ]
    found = plan(foreign, foreign_rules=ForeignRules.REMOVE)
    deleted = {c.name: c.reason for c in found.changes if c.action.value == "delete"}
    assert set(deleted) == {"deny-public", "ssh"}
    assert "denies Tcp 10.0.1.4" in deleted["deny-public"]
    assert "allows Tcp" in deleted["ssh"]
    assert found.after.verdict is Verdict.COMPLIANT
    assert found.blocked == ()


def test_a_leak_that_cannot_be_helped_is_reported_and_the_rest_is_written() -> None:
    found = plan([rule("ssh", 100, "Inbound", "Allow", **SSH)])
    assert len(found.changes) == 19
    assert found.after.verdict is Verdict.NONCOMPLIANT
    assert [violation.decided_by.name for violation in found.after.excess] == ["ssh"]


def test_hundreds_of_foreign_rules_leave_room() -> None:
    foreign = [
        rule(f"f{i}", 100 + i, "Inbound", "Deny", sourceAddressPrefix=f"10.200.{i % 250}.0/24")
        for i in range(900)
    ]
    found = plan(foreign)
    assert found.after.verdict is Verdict.COMPLIANT
    inbound = [slot for _, name, slot in shown(found) if "-In-" in name]
    assert sorted(inbound) == [1000, 1001, 1002, 1003]


SSH_EXCEPTION = {
    "name": "bastion",
    "direction": "Inbound",
    "sourceAddressPrefix": "10.0.9.0/26",
    **SSH,
}


def test_an_exception_is_opened_by_a_rule_of_its_own() -> None:
    found = plan(nineteen(), intent=with_fields(exceptions=[SSH_EXCEPTION]))
    assert shown(found) == [("create", "AMLFS-In-Exception-1", 113)]
    assert found.after.verdict is Verdict.COMPLIANT


def test_an_exception_that_a_foreign_rule_opens_already_gets_none() -> None:
    own = {key: value for key, value in SSH_EXCEPTION.items() if key not in ("name", "direction")}
    foreign = rule("bastion", 115, "Inbound", "Allow", **own)
    assert (
        plan([*nineteen(), foreign], intent=with_fields(exceptions=[SSH_EXCEPTION])).changes == ()
    )


@pytest.mark.parametrize("policy", ForeignRules)
def test_azures_default_rules_are_neither_blockers_nor_removed(policy) -> None:
    """Without the deny rows the default rules leak: the rows are what mends that."""
    found = plan(without(nineteen(), "AMLFS-In-DenyAll", "AMLFS-Out-DenyAll"), foreign_rules=policy)
    assert {(c.action.value, c.name) for c in found.changes} == {
        ("create", "AMLFS-In-DenyAll"),
        ("create", "AMLFS-Out-DenyAll"),
    }
    assert found.blocked == ()


def test_of_several_leaks_only_those_before_the_deny_row_are_removed() -> None:
    rules = [
        *nineteen(),
        rule("first", 100, "Inbound", "Allow", **SSH),
        rule("covered", 101, "Inbound", "Allow", **SSH),
        rule("late", 500, "Inbound", "Allow", **SSH),
    ]
    found = plan(rules, foreign_rules=ForeignRules.REMOVE)
    deleted = {c.name for c in found.changes if c.action.value == "delete"}
    assert deleted == {"first", "covered"}, "what the first covers leaks once that is gone"
    assert found.after.verdict is Verdict.COMPLIANT


def test_a_row_that_a_newer_revision_dropped_is_removed_and_not_left_as_a_strangers(
    monkeypatch,
) -> None:
    old = rule("AMLFS-Out-Retired", 500, "Outbound", "Allow", protocol="Tcp")
    old["properties"]["destinationAddressPrefix"] = "Storage"
    rules = [*nineteen(), old]
    assert "AMLFS-Out-Retired" not in {change.name for change in plan(rules).changes}, "foreign"
    keys = all_keys()
    monkeypatch.setattr("shared.planning.ownership.all_keys", lambda: keys | {"Out-Retired"})
    assert [(c.action.value, c.name) for c in plan(rules).changes] == [
        ("delete", "AMLFS-Out-Retired")
    ]
