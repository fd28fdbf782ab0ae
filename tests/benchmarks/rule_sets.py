"""Random rule sets of the sizes that the budgets name; the same for everybody (fixed seed).

Near the file system every rule names `*` or a prefix that holds it, as real rules do, so that each
one counts; far away they name a CIDR of the public or private ranges, a service tag, or `*`.
"""

from __future__ import annotations

import random
from typing import Any

TAGS = ["VirtualNetwork", "Internet", "Storage", "Sql.EastUS", "AzureCloud.eastus", "AzureMonitor"]
PORTS = [22, 80, 123, 443, 445, 988, 1019, 1433, 2049, 3128, 3389, 5432, 8080, 8443, 9000]


def rule(chance: random.Random, i: int, prefixes: int, ports: int) -> dict[str, Any]:
    inbound = bool(i & 1)
    far = "source" if inbound else "destination"
    near = "destination" if inbound else "source"
    fields: dict[str, Any] = {
        "priority": 100 + i,
        "direction": "Inbound" if inbound else "Outbound",
        "access": chance.choice(["Allow", "Deny"]),
        "protocol": chance.choice(["Tcp", "Tcp", "Tcp", "Udp", "*"]),
        "sourcePortRange": "*",
    }
    if prefixes == 1:
        fields[f"{near}AddressPrefix"] = chance.choice(["*", "10.0.0.0/8", "10.0.1.0/24"])
        fields[f"{far}AddressPrefix"] = far_word(chance)
    else:
        near_list = {f"10.0.1.{32 * chance.randrange(8)}/27" for _ in range(prefixes - 1)}
        fields[f"{near}AddressPrefixes"] = sorted({*near_list, f"10.9.{i % 256}.0/24"})
        fields[f"{far}AddressPrefixes"] = sorted({cidr(chance) for _ in range(prefixes)})
    if ports == 1:
        some = [str(chance.choice(PORTS)), "1000-2000"]
        is_cidr = "/" in fields[f"{far}AddressPrefix"]  # what names everybody names a port
        fields["destinationPortRange"] = chance.choice([*some, "*"] if is_cidr else some)
    else:
        fields["destinationPortRanges"] = [str(p) for p in chance.sample(range(1, 60000), ports)]
    return {"name": f"rule-{i}", "properties": fields}


def far_word(chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.1:
        return chance.choice(TAGS)
    return "*" if kind < 0.15 else cidr(chance)


def cidr(chance: random.Random) -> str:
    first = chance.choice([10, 20, 40, 52, 104, 172])
    return f"{first}.{chance.randrange(256)}.{chance.randrange(256)}.0/24"


def rule_set(
    size: int, *, prefixes: int = 1, ports: int = 1, seed: int | None = None
) -> list[dict[str, Any]]:
    chance = random.Random(size if seed is None else seed)
    return [rule(chance, i, prefixes, ports) for i in range(size)]
