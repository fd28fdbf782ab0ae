"""What ARM demands of security rules, checked before ARM is asked.

Sources: "Azure subscription and service limits" (networking limits) and the error codes that ARM
answered in public recordings: SecurityRuleInvalidPriority, SecurityRuleConflict,
SecurityRuleDescriptionTooLong, SecurityRuleParameterContainsUnsupportedValue,
OverlappingSubnetsNotPermittedInSecurityRule,
ResourceCannotContainAddressPrefixesFromDifferentAddressFamilies, SecurityRuleCountLimitReached.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import pairwise
from typing import TYPE_CHECKING

from shared.nsg.rules import ANY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.nsg.rules import SecurityRule

RULES_PER_NSG = 1000
ADDRESSES_PER_SIDE = 4000
"""Addresses and ranges in the sources of all rules of one NSG together; as many in destinations."""

LOWEST_PRIORITY, HIGHEST_PRIORITY = 100, 4096
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,78}[A-Za-z0-9_])?")
DESCRIPTION_LENGTH = 140
TAG = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:\.[A-Za-z0-9]+)*")
PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Breach:
    """A demand of ARM that a set of rules does not meet.

    Attributes:
        rule: the rule's name; None where all rules together break it.
        message: what ARM demands and what stands there.
    """

    rule: str | None
    message: str


def breaches(rules: Sequence[SecurityRule]) -> list[Breach]:
    """Return everything that ARM would refuse in an NSG of these rules."""
    return [*wrong_together(rules), *(breach for rule in rules for breach in wrong_alone(rule))]


def wrong_together(rules: Sequence[SecurityRule]) -> Iterator[Breach]:
    """Yield what no rule shows by itself."""
    if len(rules) > RULES_PER_NSG:
        yield Breach(None, f"{len(rules)} rules; an NSG holds at most {RULES_PER_NSG}.")
    for name, times in Counter(rule.name.lower() for rule in rules).items():
        if times > 1:
            yield Breach(name, f"{times} rules have this name.")
    slots = Counter((rule.direction, rule.priority) for rule in rules)
    for (direction, priority), times in slots.items():
        if times > 1:
            yield Breach(None, f"{times} {direction} rules have priority {priority}.")
    for side in ("sources", "destinations"):
        number = sum(is_address(a) for rule in rules for a in getattr(rule.flow, side))
        if number > ADDRESSES_PER_SIDE:
            yield Breach(
                None,
                f"{number:,} {side[:-1]} addresses; an NSG holds at most {ADDRESSES_PER_SIDE:,}.",
            )


def wrong_alone(rule: SecurityRule) -> Iterator[Breach]:
    """Yield what is wrong with one rule."""
    if not NAME.fullmatch(rule.name):
        yield Breach(rule.name, "A name has 1 to 80 letters, digits, '.', '-' and '_'.")
    if not LOWEST_PRIORITY <= rule.priority <= HIGHEST_PRIORITY:
        yield Breach(rule.name, f"Priority {rule.priority} is not from 100 to 4096.")
    if len(rule.description) > DESCRIPTION_LENGTH:
        yield Breach(rule.name, f"The description is longer than {DESCRIPTION_LENGTH} characters.")
    flow = rule.flow
    for message in (
        *wrong_addresses(flow.sources),
        *wrong_addresses(flow.destinations),
        *wrong_families(flow.sources + flow.destinations),
        *wrong_ports(flow.source_ports),
        *wrong_ports(flow.destination_ports),
    ):
        yield Breach(rule.name, message)


def wrong_addresses(addresses: tuple[str, ...]) -> Iterator[str]:
    """Yield what is wrong with one side of a rule."""
    if not addresses:
        yield "A rule needs an address on both sides."
    for word in addresses:
        if is_address(word):
            continue
        if len(addresses) > 1:
            yield f"{word} cannot stand in a list of addresses."
        elif word not in ANY and not TAG.fullmatch(word):
            yield f"{word!r} is no address, no service tag and not '*'."
    ordered = sorted(spans(addresses))
    for (_, _, first), (version, start, second) in pairwise(ordered):
        if (version, start) <= (first.version, int(first.broadcast_address)):
            yield f"{first} and {second} overlap."


def spans(addresses: tuple[str, ...]) -> Iterator[tuple[int, int, IPv4Network | IPv6Network]]:
    """Yield each address of a list as (IP version, first address, network)."""
    for word in filter(is_address, addresses):
        network = ip_network(word, strict=False)
        yield network.version, int(network.network_address), network


def wrong_families(addresses: tuple[str, ...]) -> Iterator[str]:
    """Yield that one rule names addresses of both families."""
    if len({version for version, _, _ in spans(addresses)}) > 1:
        yield "One rule cannot name both IPv4 and IPv6 addresses."


def wrong_ports(ports: tuple[str, ...]) -> Iterator[str]:
    """Yield what is wrong with one list of ports."""
    if not ports:
        yield "A rule needs ports on both sides."
    for port in ports:
        found = PORTS.fullmatch(port)
        if port in ANY:
            if len(ports) > 1:
                yield "'*' cannot stand in a list of ports."
        elif not found or not int(found[1]) <= int(found[2] or found[1]) <= 65535:
            yield f"{port!r} is no port and no range of ports."


def is_address(text: str) -> bool:
    """Whether a prefix is an address or CIDR, of either family, and no tag."""
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True
