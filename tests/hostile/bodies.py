"""The largest and worst requests that the limits permit, by name: (function, query, body)."""

from __future__ import annotations

import random
from typing import Any

from tests.azure import rule
from tests.benchmarks.rule_sets import rule_set

Body = tuple[str, dict[str, str], dict[str, Any]]

INTENT: dict[str, Any] = {
    "location": "eastus",
    "fileSystemSubnet": {"addressPrefixes": ["10.0.1.0/24"]},
    "clientSubnets": [{"addressPrefixes": ["10.0.2.0/24"]}],
}


def ranges(chance: random.Random, count: int) -> list[str]:
    starts = [chance.randrange(0, 65_000) for _ in range(count)]
    return [f"{start}-{start + chance.randrange(1, 500)}" for start in starts]


def exceptions(chance: random.Random, count: int) -> list[dict[str, Any]]:
    return [
        {
            "name": f"e{n}",
            "direction": chance.choice(["Inbound", "Outbound"]),
            "protocol": chance.choice(["Tcp", "Udp", "*"]),
            "sourceAddressPrefix": f"10.{chance.randrange(256)}.{chance.randrange(256)}.0/24",
            "destinationAddressPrefix": "*",
            "destinationPortRange": str(chance.randrange(1, 65_535)),
        }
        for n in range(count)
    ]


def on_both_ends(chance: random.Random, n: int, directions: list[str]) -> dict[str, Any]:
    """A rule with five port ranges on both ends."""
    ports = {"sourcePortRanges": ranges(chance, 5), "destinationPortRanges": ranges(chance, 5)}
    one = rule(f"r{n}", 100 + n, chance.choice(directions), chance.choice(["Allow", "Deny"]))
    properties = {**one["properties"], "protocol": "Tcp", **ports}
    del properties["sourcePortRange"], properties["destinationPortRange"]
    return {"name": one["name"], "properties": properties}


def worst(seed: int = 1) -> dict[str, Body]:
    """Return the bodies; another seed makes others of the same shape."""
    chance = random.Random(seed)
    both = ["Inbound", "Outbound"]
    many = {**INTENT, "exceptions": exceptions(chance, 100)}
    words = [
        rule(f"r{n}", 100 + n, "Inbound", "Allow", sourceAddressPrefix="Ab" * 120 + str(n))
        for n in range(1_000)
    ]
    crossed = [on_both_ends(chance, n, both) for n in range(981)]
    inbound = [on_both_ends(chance, n, ["Inbound"]) for n in range(981)]
    servers = [f"10.{n // 250 + 9}.{n % 250}.4" for n in range(4_000)]
    listed = rule_set(400, prefixes=9, ports=5, seed=seed)
    lenient = {"lenient": "true"}

    def given(rules: list[Any], intent: dict[str, Any] = INTENT, **more: Any) -> dict[str, Any]:
        return {"intent": intent, "securityRules": rules, **more}

    return {
        "1,000 rules of nothing": ("verify", lenient, given([1] * 1_000)),
        "1,000 empty rules": ("verify", lenient, given([{}] * 1_000)),
        "1,000 words that are no tag": ("verify", lenient, given(words)),
        "five ranges on both ends": ("verify", {}, given(crossed)),
        "the same, inbound": ("verify", {}, given(inbound)),
        "1,000 rules": ("verify", {}, given(rule_set(1_000, seed=seed))),
        "3,600 prefixes": ("verify", {}, given(listed)),
        "100 exceptions": ("verify", {}, given(rule_set(900, seed=seed), many)),
        "planned with 100 exceptions": ("plan", {}, given(rule_set(881, seed=seed), many)),
        "nothing kept": (
            "plan",
            {},
            given(rule_set(981, seed=seed), many, foreignRules="remove"),
        ),
        "ranges planned": ("plan", {}, given(crossed)),
        "ranges removed": ("plan", {}, given(inbound, foreignRules="remove")),
        "4,000 servers": ("rules", {}, {"intent": {**INTENT, "dnsServers": servers}}),
    }
