"""What the network provider refuses in rules and prefixes, worded as it words it."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

from local.azure.errors import ArmError, bad_request

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from local.azure.resources import Child

Rule = dict[str, Any]

PORTS = re.compile(r"(\d+)(?:-(\d+))?")
TAG = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:\.[A-Za-z0-9]+)*")
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,78}[A-Za-z0-9_])?")
NETWORK_TAGS = {
    "virtualnetwork",
    "internet",
    "azureloadbalancer",
    "azureplatformdns",
    "azureplatformimds",
    "azureplatformlkm",
    "corpnetsaw",
    "corpnetpublic",
}
"""Tags that stand in no published list; the last two were recorded as taken."""

CHOICES = {
    "access": ("Allow", "Deny"),
    "direction": ("Inbound", "Outbound"),
    "protocol": ("Tcp", "Udp", "Icmp", "Esp", "Ah", "*"),
}


def check_rule(rule_id: str, rule: Rule, known_tags: Collection[str]) -> None:
    """Raise `ArmError` for the first thing that is wrong with one rule."""
    name = rule_id.rpartition("/")[2]
    if not NAME.fullmatch(name):
        raise bad_request("InvalidResourceName", f"Resource name {name} is invalid.")
    for field, words in CHOICES.items():
        if rule.get(field) not in words:
            value = rule.get(field)
            raise invalid_format(f"Error converting value {value!r} to {field} of {name}.")
    check_priority(rule.get("priority"), name)
    if len(rule.get("description", "")) > 140:
        raise bad_request(
            "SecurityRuleDescriptionTooLong", "Security rule description cannot exceed 140 chars."
        )
    for side in ("source", "destination"):
        check_ports(rule_id, rule, side)
        check_side(rule_id, rule, side, known_tags)
    families = {
        network.version
        for side in ("source", "destination")
        for word in values(rule, f"{side}AddressPrefix", "es")
        if (network := parse(word))
    }
    if len(families) > 1:
        raise bad_request(
            "ResourceCannotContainAddressPrefixesFromDifferentAddressFamilies",
            f"{name} contains IP addresses or prefixes that belong to different address families."
            " All IP addresses or prefixes in the resource should belong to the same address family.",
        )


def check_priority(priority: object, name: str) -> None:
    """Raise `ArmError` for a priority that no custom rule can have."""
    if not isinstance(priority, int) or isinstance(priority, bool):
        raise invalid_format(f"Error converting value {priority!r} to priority of {name}.")
    if not 100 <= priority <= 4096:
        raise bad_request(
            "SecurityRuleInvalidPriority",
            f"Security rule has invalid Priority. Value provided: {priority}"
            " Allowed range 100-4096.",
        )


def check_ports(rule_id: str, rule: Rule, side: str) -> None:
    """Raise `ArmError` for what are no ports, or none that a list can hold."""
    for port in values(rule, f"{side}PortRange"):
        check_port(port)
    if "*" in (rule.get(f"{side}PortRanges") or ()):
        raise bad_request(
            "SecurityRuleParameterContainsUnsupportedValue",
            f"Security rule parameter {side.title()}PortRanges for rule with Id {rule_id} cannot"
            " specify '*'.",
        )


def check_port(port: object) -> None:
    """Raise `ArmError` for what is no port."""
    found = PORTS.fullmatch(str(port))
    fine = port == "*" or (found and int(found[1]) <= int(found[2] or found[1]) <= 65535)
    if not fine:
        raise bad_request(
            "SecurityRuleInvalidPortRange",
            f"Security rule has invalid Port range. Value provided: {port}. Value should be an"
            " integer OR integer range with '-' delimiter. Valid range 0-65535.",
        )


def check_side(rule_id: str, rule: Rule, side: str, known_tags: Collection[str]) -> None:
    """Raise `ArmError` for a side without an address, or with one that is none."""
    plural = rule.get(f"{side}AddressPrefixes") or ()
    words = values(rule, f"{side}AddressPrefix", "es")
    if not words and not rule.get(f"{side}ApplicationSecurityGroups"):
        raise bad_request(
            "SecurityRuleMissingAddressPrefix",  # the code is an assumption
            f"Security rule {rule_id} has no {side} address prefix.",
        )
    for word in words:
        if parse(word) is not None or (word == "*" and not plural):
            continue
        is_tag = word.lower() in NETWORK_TAGS or word.lower() in known_tags or word == "*"
        if plural and is_tag:
            raise bad_request(
                "SecurityRuleParameterContainsUnsupportedValue",
                f"Security rule parameter {side.title()}AddressPrefix for rule with Id {rule_id}"
                " cannot specify existing VIRTUALNETWORK, INTERNET, AZURELOADBALANCER, '*' or"
                f" system tags. Unsupported value used: {word}.",
            )
        if not is_tag and not word.isdecimal():  # whole numbers were recorded as taken
            raise bad_request(
                "SecurityRuleInvalidAddressPrefix",
                f"Security rule {rule_id} has invalid Address prefix. Value provided: {word}",
            )
    for first, second in overlapping(plural):
        raise bad_request(
            "OverlappingSubnetsNotPermittedInSecurityRule",
            f"Security rule {rule_id} has overlapping address prefixes {first} and {second}.",
        )


def check_rules(rules: Iterable[Child]) -> None:
    """Raise `ArmError` for what is wrong with rules together."""
    rules = list(rules)
    if len(rules) > 1000:
        raise bad_request(
            "SecurityRuleCountLimitReached",
            "A security group cannot have more than 1000 security rules.",
        )
    slots: dict[tuple[str, int], str] = {}
    for rule in rules:
        slot = rule.content["direction"], rule.content["priority"]
        if slot in slots:
            raise bad_request(
                "SecurityRuleConflict",
                f"Security rule {rule.name} conflicts with rule {slots[slot]}. Rules cannot have the"
                " same Priority and Direction.",
            )
        slots[slot] = rule.name


def check_prefix(prefix: object, resource_id: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Return an address prefix of a network; raises `ArmError`."""
    try:
        loose = ipaddress.ip_network(str(prefix) if "/" in str(prefix) else "", strict=False)
    except ValueError:
        raise bad_request(
            "InvalidAddressPrefixFormat",
            f"Address prefix {prefix} of resource {resource_id} is not formatted correctly. It"
            " should follow CIDR notation, for example 10.0.0.0/24.",
        ) from None
    if str(loose.network_address) != str(prefix).partition("/")[0].lower():
        raise bad_request(
            "InvalidCIDRNotation",
            f"The address prefix {prefix} in resource {resource_id} has an invalid CIDR notation."
            f" For the given prefix length, the address prefix should be {loose}.",
        )
    return loose


def invalid_format(message: str) -> ArmError:
    """Return the refusal of a body that cannot be read."""
    detail = {"code": "InvalidJson", "message": message}
    return ArmError(400, "InvalidRequestFormat", "Cannot parse the request.", [detail])


def values(rule: Rule, singular: str, ending: str = "s") -> list[str]:
    """Return what the singular and the plural field of one property say."""
    one = rule.get(singular)
    return [*([str(one)] if one is not None else []), *map(str, rule.get(singular + ending) or ())]


def parse(word: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Return the network that an address or CIDR names exactly, or None."""
    if word.isdecimal():
        return None
    try:
        return ipaddress.ip_network(word)
    except ValueError:
        return None


def overlapping(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield prefixes of a list that overlap."""
    networks = [network for word in words if (network := parse(str(word))) is not None]
    ordered = sorted(networks, key=lambda n: (n.version, int(n.network_address), n.prefixlen))
    last = None
    for network in ordered:
        if last is not None and last.version == network.version and last.overlaps(network):
            yield str(last), str(network)
        else:
            last = network
