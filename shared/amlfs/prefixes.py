"""Address prefixes as AMLFS takes them: IPv4, and exactly the network that they name.

AMLFS is IPv4 only. Source: "Azure Managed Lustre prerequisites", Microsoft Learn.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Iterable

IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?:/[0-9]{1,2})?")


def wrong(message: str) -> PydanticCustomError:
    """Return the error that says so; braces of the caller's text are no placeholders."""
    return PydanticCustomError("prefix", "{message}", {"message": message})


def parse_address(value: object) -> IPv4Network:
    """Read an IPv4 address or CIDR; one address is a /32."""
    if isinstance(value, str) and ":" in value:
        raise wrong("AMLFS is IPv4 only: give an IPv4 prefix such as 10.0.1.0/24.")
    if not isinstance(value, str) or not IPV4.fullmatch(value):
        raise wrong("Give an IPv4 prefix such as 10.0.1.0/24.")
    try:
        network = IPv4Network(value, strict=False)
    except ValueError:
        raise wrong(
            f"{value} is no IPv4 prefix: four numbers up to 255 without leading zeros,"
            " a length up to 32."
        ) from None
    address, _, _ = value.partition("/")
    if str(network.network_address) != address:
        raise wrong(
            f"{value} has host bits set: give {network} for the network"
            f" or {address}/32 for the one address."
        )
    return network


def parse_prefix(value: object) -> IPv4Network:
    """Read an IPv4 CIDR, its length spelled out."""
    network = parse_address(value)
    if isinstance(value, str) and "/" not in value:
        raise wrong(f"{value} has no length: give {value}/24 or the like ({value}/32 for a host).")
    return network


Address = Annotated[IPv4Network, BeforeValidator(parse_address)]
Prefix = Annotated[IPv4Network, BeforeValidator(parse_prefix)]


def first_overlap(networks: Iterable[IPv4Network]) -> tuple[IPv4Network, IPv4Network] | None:
    """Return two of these networks that overlap, the larger first, or None."""
    largest: IPv4Network | None = None
    for network in sorted(networks):  # a network sorts before those inside it
        if largest is not None and largest.overlaps(network):
            return largest, network
        largest = network
    return None


def overlapping(
    those: Iterable[IPv4Network], these: Iterable[IPv4Network]
) -> dict[IPv4Network, IPv4Network]:
    """Return which of these networks overlap one of those, each with the one."""
    apart = sorted(without_overlaps(those))
    found = {}
    for network in these:
        place = bisect_right(apart, network)
        for other in apart[max(place - 1, 0) : place + 1]:  # the one before may hold it,
            if other.overlaps(network):  # the one after may lie inside it
                found[network] = other
    return found


def without_overlaps(networks: Iterable[IPv4Network]) -> tuple[IPv4Network, ...]:
    """Drop networks that lie inside another; the others keep their order.

    ARM refuses a rule whose list of prefixes overlaps itself
    (`OverlappingSubnetsNotPermittedInSecurityRule`).
    """
    given = dict.fromkeys(networks)
    kept: set[IPv4Network] = set()
    largest: IPv4Network | None = None
    for network in sorted(given):
        if largest is None or not largest.overlaps(network):
            kept.add(network)
            largest = network
    return tuple(network for network in given if network in kept)
