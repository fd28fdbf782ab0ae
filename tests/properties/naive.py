"""A second evaluator: it reads rule documents by itself and asks one packet at a time.

It shares nothing with the engine that it checks but the published addresses, which another test
compares with what Microsoft published.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

Document = dict[str, Any]
Member = Callable[[str, int], bool]
"""Whether an address is in the set that a word stands for."""

PORTLESS = ("Icmp", "Esp", "Ah")
HOST = int(ipaddress.IPv4Address("168.63.129.16"))


@dataclass(frozen=True)
class Packet:
    protocol: str
    source: int
    source_port: int
    destination: int
    destination_port: int


def default_rules(direction: str) -> list[Document]:
    rows = {
        "Inbound": [
            ("AllowVnetInBound", "Allow", "VirtualNetwork", "VirtualNetwork"),
            ("AllowAzureLoadBalancerInBound", "Allow", "AzureLoadBalancer", "*"),
            ("DenyAllInBound", "Deny", "*", "*"),
        ],
        "Outbound": [
            ("AllowVnetOutBound", "Allow", "VirtualNetwork", "VirtualNetwork"),
            ("AllowInternetOutBound", "Allow", "*", "Internet"),
            ("DenyAllOutBound", "Deny", "*", "*"),
        ],
    }[direction]
    return [
        {
            "name": name,
            "properties": {
                "priority": 65000 + i,
                "direction": direction,
                "access": access,
                "protocol": "*",
                "sourceAddressPrefix": source,
                "destinationAddressPrefix": destination,
                "sourcePortRange": "*",
                "destinationPortRange": "*",
            },
        }
        for i, (name, access, source, destination) in enumerate(rows)
    ]


def ordered(documents: Sequence[Document], direction: str) -> list[Document]:
    """The rules of one direction as Azure asks them, defaults last."""
    own = [d for d in documents if prop(d, "direction").lower() == direction.lower()]
    return sorted(own, key=lambda d: int(prop(d, "priority"))) + default_rules(direction)


def prop(document: Document, field: str) -> Any:
    return document.get("properties", document).get(field)


def either(document: Document, singular: str, plural: str) -> list[str]:
    one = prop(document, singular)
    return [str(one)] if one not in (None, "") else [str(v) for v in prop(document, plural) or ()]


def matches(document: Document, packet: Packet, member: Member, portless_match: bool) -> bool:
    protocol = prop(document, "protocol").lower()
    if protocol not in ("*", packet.protocol.lower()):
        return False
    for side, address in (("source", packet.source), ("destination", packet.destination)):
        words = either(document, f"{side}AddressPrefix", f"{side}AddressPrefixes")
        words += [g["id"] for g in prop(document, f"{side}ApplicationSecurityGroups") or ()]
        if not any(in_word(word, address, member) for word in words):
            return False
    for side, port in (("source", packet.source_port), ("destination", packet.destination_port)):
        ranges = either(document, f"{side}PortRange", f"{side}PortRanges")
        if packet.protocol in PORTLESS:
            every = any(r in ("*", "0-65535") for r in ranges)
            if not every and not portless_match:
                return False
        elif not any(in_ports(r, port) for r in ranges):
            return False
    return True


@cache
def network(word: str) -> tuple[int, int] | None:
    try:
        parsed = ipaddress.ip_network(word, strict=False)
    except ValueError:
        return None
    if parsed.version == 6:
        return (1, 0)
    return int(parsed.network_address), int(parsed.broadcast_address)


def in_word(word: str, address: int, member: Member) -> bool:
    if word == "*":
        return True
    span = network(word)
    if span is not None:
        return span[0] <= address <= span[1]
    return member(word, address)


def in_ports(text: str, port: int) -> bool:
    if text == "*":
        return True
    low, _, high = text.partition("-")
    return int(low) <= port <= int(high or low)


def decide(
    rules: Sequence[Document], packet: Packet, member: Member, portless_match: bool = True
) -> tuple[str, str]:
    """The access and the name of the first of the ordered rules that matches."""
    for document in rules:
        if matches(document, packet, member, portless_match):
            return prop(document, "access").title(), document["name"]
    raise AssertionError("a default rule matches everything")


def network_member(virtual_network: Callable[[int], bool], tags: Any) -> Member:
    """Membership where the virtual network is known; a word that no list has holds nothing."""

    def member(word: str, address: int) -> bool:
        lowered = word.lower()
        if lowered == "virtualnetwork":
            return virtual_network(address)
        if lowered == "internet":
            return not virtual_network(address)
        if lowered in ("azureloadbalancer", "azureplatformdns"):
            return address == HOST
        boundaries = tags.boundaries(word) or ()
        return sum(edge <= address for edge in boundaries) % 2 == 1

    return member
