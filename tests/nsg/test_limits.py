"""What ARM demands of rules, one breach at a time."""

from __future__ import annotations

import pytest

from shared.nsg.limits import breaches
from shared.nsg.rules import Access, Direction, Flow, Protocol, SecurityRule

FLOW = Flow(Protocol.TCP, ("10.0.0.0/24",), ("VirtualNetwork",), ("*",), ("443",))
RULE = SecurityRule("allow-kv", 100, Direction.OUTBOUND, Access.ALLOW, FLOW, "why")


def rule(**changes) -> SecurityRule:
    flow = {k: v for k, v in changes.items() if hasattr(FLOW, k)}
    own = {k: v for k, v in changes.items() if k not in flow}
    return RULE._replace(flow=FLOW._replace(**flow), **own)


WRONG = {
    "no name": (rule(name=""), "name"),
    "name ends with a dot": (rule(name="a."), "name"),
    "name begins with '_'": (rule(name="_a"), "name"),
    "name of 81": (rule(name="a" * 81), "name"),
    "priority 99": (rule(priority=99), "99"),
    "priority 4097": (rule(priority=4097), "4097"),
    "description of 141": (rule(description="x" * 141), "140"),
    "no address": (rule(sources=()), "both sides"),
    "not an address": (rule(sources=("10.0.0.0/40",)), "no address"),
    "tag in a list": (rule(sources=("10.0.0.0/24", "Internet")), "list"),
    "star in a list": (rule(sources=("*", "10.0.0.0/24")), "list"),
    "overlap": (rule(sources=("10.0.0.0/8", "10.1.0.0/16")), "overlap"),
    "the same twice": (rule(sources=("10.0.0.0/8", "10.0.0.0/8")), "overlap"),
    "both families": (rule(sources=("10.0.0.0/8", "fd00::/8")), "IPv6"),
    "families across sides": (rule(destinations=("fd00::/8",)), "IPv6"),
    "no port": (rule(destination_ports=()), "ports"),
    "port 65536": (rule(destination_ports=("65536",)), "65536"),
    "range upside down": (rule(destination_ports=("9-1",)), "9-1"),
    "star among ports": (rule(source_ports=("*", "1")), "list of ports"),
}


def test_a_right_rule_breaks_nothing() -> None:
    longest = rule(name="a" * 79 + "_", description="x" * 140, priority=4096)
    assert breaches([RULE, longest]) == []


@pytest.mark.parametrize(("wrong", "says"), WRONG.values(), ids=WRONG)
def test_one_breach(wrong, says) -> None:
    found = breaches([wrong])
    assert len(found) == 1
    assert found[0].rule == wrong.name
    assert says in found[0].message


def test_names_and_priorities_are_unique() -> None:
    twice = breaches([RULE, rule(name="ALLOW-KV", priority=101)])
    assert [b.message for b in twice] == ["2 rules have this name."]
    same_slot = breaches([RULE, rule(name="other")])
    assert [b.message for b in same_slot] == ["2 Outbound rules have priority 100."]
    assert breaches([RULE, rule(name="other", direction=Direction.INBOUND)]) == []


def test_an_nsg_holds_a_thousand_rules() -> None:
    many = [rule(name=f"r{i}", priority=100 + i) for i in range(1001)]
    assert breaches(many[:1000]) == []
    assert "1001 rules" in breaches(many)[0].message


@pytest.mark.parametrize("side", ["sources", "destinations"])
def test_an_nsg_holds_four_thousand_addresses_a_side(side) -> None:
    addresses = tuple(f"10.{i // 250}.{i % 250}.0/24" for i in range(4001))
    only_tags = {"sources": ("Internet",), "destinations": ("Internet",)}
    assert breaches([rule(**{**only_tags, side: addresses[:4000]})]) == []
    found = breaches([rule(**{**only_tags, side: addresses})])
    assert [b.message for b in found] == [
        f"4,001 {side[:-1]} addresses; an NSG holds at most 4,000."
    ]
