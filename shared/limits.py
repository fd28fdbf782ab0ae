"""How large a request may be. Checked before any work, and softened by no mode.

The figures are the contract's. They hold for what a caller sends, not for stored guards and not for what
ARM already has: those are bounded by the work that they cause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.errors import FieldError
from shared.nsg.limits import ADDRESSES_PER_SIDE, RULES_PER_NSG

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_TEXT = 256
"""Characters of a name, an address, a port or a tag."""

LONGEST_ID = 1_024
"""Characters of a resource id."""

LISTS = {
    "securityRules": RULES_PER_NSG,
    "exceptions": 100,
    "clientSubnets": 64,
    "storageLocations": 32,
}
"""Items of a list, by its field; every other list has as many as an NSG has addresses on a side."""

SHORT = (
    "name",
    "location",
    "protocol",
    "direction",
    "access",
    "sourceAddressPrefix",
    "sourceAddressPrefixes",
    "destinationAddressPrefix",
    "destinationAddressPrefixes",
    "sourcePortRange",
    "sourcePortRanges",
    "destinationPortRange",
    "destinationPortRanges",
    "addressPrefixes",
    "virtualNetworkPrefixes",
    "storageLocations",
    "privateEndpointPrefixes",
    "dnsServers",
    "ntpServers",
    "telemetryPrefixes",
    "namePrefix",
    "catalogue",
)
"""The fields whose texts are names, addresses, ports or tags."""

IDS = ("id", "fileSystemId", "networkSecurityGroupId")
"""The fields whose texts are resource ids. Other texts (a description, a summary) are bounded by the
body."""

SIDES = ("source", "destination")
DEEPEST = 16
"""Objects and lists inside each other; what the service reads has eight."""

MOST_ERRORS = 100
"""So many are told of at most; a request that breaks more is not one that was typed."""


def breaches(document: object) -> list[FieldError]:
    """Return where a request is larger than it may be, each with its JSON pointer."""
    found: list[FieldError] = []
    for error in (*too_large(document, "", "", 0), *too_many_addresses(document)):
        found.append(error)
        if len(found) == MOST_ERRORS:
            break
    return found


def too_large(value: object, at: str, field: str, depth: int) -> Iterator[FieldError]:
    """Yield the texts and lists of a document that are too long.

    Args:
        value: the document, or what stands in it.
        at: its JSON pointer.
        field: the name of the field that it stands in.
        depth: how many objects and lists it stands in.
    """
    if isinstance(value, str):
        most = LONGEST_TEXT if field in SHORT else LONGEST_ID
        if len(value) > most and (field in SHORT or field in IDS):
            yield FieldError(at, f"{len(value):,} characters; at most {most:,} are read here.")
    elif isinstance(value, dict | list):
        if depth == DEEPEST:
            yield FieldError(at, f"Nested deeper than {DEEPEST} levels.")
        else:
            inside = in_list if isinstance(value, list) else in_object
            yield from inside(value, at, field, depth + 1)


def in_list(value: Any, at: str, field: str, depth: int) -> Iterator[FieldError]:
    """Yield what is too large in a list, or that the list is."""
    most = LISTS.get(field, ADDRESSES_PER_SIDE)
    if len(value) > most:
        yield FieldError(at, f"{len(value):,} items; at most {most:,} are read here.")
        return
    for i, item in enumerate(value):
        yield from too_large(item, f"{at}/{i}", field, depth)


def in_object(value: Any, at: str, _: str, depth: int) -> Iterator[FieldError]:
    """Yield what is too large in an object."""
    for name, inner in value.items():
        if len(name) > LONGEST_TEXT:
            yield FieldError(at, f"A field's name has {len(name):,} characters.")
            continue
        place = f"{at}/{name.replace('~', '~0').replace('/', '~1')}"
        yield from too_large(inner, place, name, depth)


def too_many_addresses(document: object) -> Iterator[FieldError]:
    """Yield that the rules of a request have more addresses on a side than an NSG holds."""
    rules = document.get("securityRules") if isinstance(document, dict) else None
    if not isinstance(rules, list) or len(rules) > RULES_PER_NSG:
        return
    for side in SIDES:
        count = sum(addresses(rule, side) for rule in rules)
        if count > ADDRESSES_PER_SIDE:
            yield FieldError(
                "/securityRules",
                f"{count:,} {side} addresses; an NSG holds at most {ADDRESSES_PER_SIDE:,}.",
            )


def addresses(rule: Any, side: str) -> int:
    """Return how many addresses one side of a rule lists."""
    nested = rule.get("properties") if isinstance(rule, dict) else None
    properties = nested if isinstance(nested, dict) else rule if isinstance(rule, dict) else {}
    listed = properties.get(f"{side}AddressPrefixes")
    one = properties.get(f"{side}AddressPrefix")
    single = isinstance(one, str) and one[:1].isdecimal()
    return (len(listed) if isinstance(listed, list) else 0) + single
