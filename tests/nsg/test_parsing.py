"""Rules as they are found: both dialects, real oddities, and errors at their place."""

from __future__ import annotations

from typing import Any

import pytest

from shared.nsg.parsing import MOST_WRONG, read_rules
from shared.nsg.rules import Access, Direction, Protocol
from tests.azure import rule

RIGHT = {
    "priority": 100,
    "direction": "Inbound",
    "access": "Allow",
    "protocol": "Tcp",
    "sourceAddressPrefix": "10.0.0.0/24",
    "sourcePortRange": "*",
    "destinationAddressPrefix": "VirtualNetwork",
    "destinationPortRange": "443",
}


def arm(**changes: Any) -> dict[str, Any]:
    return {
        "name": "r",
        "properties": {k: v for k, v in {**RIGHT, **changes}.items() if v is not ...},
    }


def flat(**changes: Any) -> dict[str, Any]:
    return {"name": "r", **arm(**changes)["properties"]}


ODD = {
    "flat": flat(),
    "read-only fields": {
        "id": "/x",
        "etag": "e",
        "type": "t",
        **arm(provisioningState="Succeeded"),
    },
    "priority a string": arm(priority="100"),
    "port an integer": arm(destinationPortRange=443),
    "any casing": arm(direction="INBOUND", access="allow", protocol="TCP"),
    "empty lists": arm(sourceAddressPrefixes=[], destinationPortRanges=[]),
    "nulls": arm(sourceAddressPrefixes=None, sourceApplicationSecurityGroups=None),
    "empty string beside a list": arm(
        sourceAddressPrefix="", sourceAddressPrefixes=["10.0.0.0/24"]
    ),
    "a list of one": arm(destinationPortRange=..., destinationPortRanges=["443"]),
}


@pytest.mark.parametrize("document", ODD.values(), ids=ODD)
def test_odd_spellings_are_the_same_rule(document) -> None:
    read = read_rules([document])
    assert read.errors == ()
    (rule,) = read.rules
    assert (rule.priority, rule.direction, rule.access) == (100, Direction.INBOUND, Access.ALLOW)
    assert rule.flow.protocol is Protocol.TCP
    assert (rule.flow.sources, rule.flow.destination_ports) == (("10.0.0.0/24",), ("443",))


def test_application_security_groups_are_words() -> None:
    groups = [{"id": "/subscriptions/s/asg/a"}, {"id": "/subscriptions/s/asg/b"}]
    document = arm(sourceAddressPrefix=..., sourceApplicationSecurityGroups=groups)
    (rule,) = read_rules([document]).rules
    assert rule.flow.sources == ("/subscriptions/s/asg/a", "/subscriptions/s/asg/b")


WRONG = {
    "not an object": (7, "", "JSON object"),
    "no name": ({**arm(), "name": None}, "/name", "name"),
    "priority 99": (arm(priority=99), "/properties/priority", "100 to 4096"),
    "priority 4097": (arm(priority="4097"), "/properties/priority", "100 to 4096"),
    "a default rule": (arm(priority=65000), "/properties/priority", "added by themselves"),
    "priority true": (arm(priority=True), "/properties/priority", "100 to 4096"),
    "no direction": (arm(direction=...), "/properties/direction", "Inbound, Outbound"),
    "access": (flat(access="Maybe"), "/access", "Allow, Deny"),
    "protocol": (arm(protocol="Sctp"), "/properties/protocol", "Tcp"),
    "protocol a number": (arm(protocol=6), "/properties/protocol", "Tcp"),
    "no address": (arm(sourceAddressPrefix=...), "/properties/sourceAddressPrefix", "no address"),
    "leading zeros": (
        arm(sourceAddressPrefix="010.0.0.0/8"),
        "/properties/sourceAddressPrefix",
        "CIDR",
    ),
    "prefix and groups": (
        arm(sourceApplicationSecurityGroups=[{"id": "/subscriptions/s/asg/a"}]),
        "/properties/sourceApplicationSecurityGroups",
        "not both",
    ),
    "malformed prefix": (
        arm(sourceAddressPrefix="10.0.0.0/40"),
        "/properties/sourceAddressPrefix",
        "CIDR",
    ),
    "a number for a prefix": (
        arm(sourceAddressPrefix="789"),
        "/properties/sourceAddressPrefix",
        "CIDR",
    ),
    "both spellings": (
        arm(sourceAddressPrefixes=["10.1.0.0/16"]),
        "/properties/sourceAddressPrefixes",
        "already",
    ),
    "a tag in a list": (
        arm(sourceAddressPrefix=..., sourceAddressPrefixes=["10.1.0.0/16", "Internet"]),
        "/properties/sourceAddressPrefixes/1",
        "addresses and CIDRs",
    ),
    "a list that is none": (
        arm(sourceAddressPrefix=..., sourceAddressPrefixes="10.0.0.0/8"),
        "/properties/sourceAddressPrefixes",
        "list",
    ),
    "groups without ids": (
        arm(sourceAddressPrefix=..., sourceApplicationSecurityGroups=[{}]),
        "/properties/sourceApplicationSecurityGroups",
        "application security groups",
    ),
    "port 65536": (
        arm(destinationPortRange="65536"),
        "/properties/destinationPortRange",
        "65535",
    ),
    "no port": (arm(destinationPortRange=...), "/properties/destinationPortRange", "no port"),
    "a port in a list": (
        flat(destinationPortRange=..., destinationPortRanges=["1", "x"]),
        "/destinationPortRanges/1",
        "65535",
    ),
    "star in a list of ports": (
        flat(destinationPortRange=..., destinationPortRanges=["1", "*"]),
        "/destinationPortRanges/1",
        "'*'",
    ),
}


@pytest.mark.parametrize(("document", "field", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_rule_is_named_by_its_index_and_field(document, field, says) -> None:
    errors = read_rules([arm(priority=200), document]).errors
    assert f"/securityRules/1{field}" in [error.pointer for error in errors]
    assert any(says in error.message for error in errors)


def test_two_rules_of_one_direction_cannot_share_a_priority() -> None:
    twins = [arm(), {**arm(), "name": "other"}, arm(direction="Outbound")]
    pointers = [error.pointer for error in read_rules(twins).errors]
    assert pointers == [f"/securityRules/{i}/properties/priority" for i in (0, 1)]


def test_a_twin_with_an_error_is_a_twin() -> None:
    twins = [arm(), {**arm(protocol="gre"), "name": "other"}]
    pointers = {error.pointer for error in read_rules(twins).errors}
    assert pointers >= {f"/securityRules/{i}/properties/priority" for i in (0, 1)}


def test_an_nsg_holds_so_many_addresses_and_rules() -> None:
    wide = [f"10.{i // 250}.{i % 250}.0/24" for i in range(4001)]
    errors = read_rules([arm(sourceAddressPrefix=..., sourceAddressPrefixes=wide)]).errors
    assert [error.pointer for error in errors] == ["/securityRules"]
    assert "4,001 source addresses" in errors[0].message
    many = [arm(priority=100 + i) for i in range(1001)]
    assert "1,001 rules" in read_rules(many).errors[0].message


def test_a_wrong_rule_stands_for_all_that_it_might_mean() -> None:
    read = read_rules([arm(access="?", direction="?"), arm(protocol="?", priority="x")])
    kinds = [(rule.direction, rule.access, rule.priority) for rule in read.rules]
    assert kinds[:4] == [(d, a, 100) for d in Direction for a in Access]
    assert kinds[4:] == [(Direction.INBOUND, Access.ALLOW, 0)]
    assert len({rule.flow.sources for rule in read.rules}) == 3


def test_many_rules_that_cannot_be_read_share_what_stands_for_them() -> None:
    read = read_rules([1] * 1_000)
    assert len(read.errors) == 1_000
    assert len(read.rules) == 4 * MOST_WRONG + 4
    assert {rule.priority for rule in read.rules} == {0}
    last = read.rules[-4:]
    assert {(rule.direction, rule.access) for rule in last} == {
        (direction, access) for direction in Direction for access in Access
    }


def test_a_right_rule_among_many_wrong_ones_is_kept() -> None:
    right = rule("right", 200, "Inbound", "Allow")
    read = read_rules([*[1] * 500, right])
    assert [one.name for one in read.rules if one.priority] == ["right"]
