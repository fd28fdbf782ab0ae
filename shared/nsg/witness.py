"""One real packet that shows something: addresses that a host may have, ports that people know."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from shared.nsg.extents import PORTLESS

if TYPE_CHECKING:
    from shared.nsg.rules import Protocol


class Witness(NamedTuple):
    """One packet that shows something.

    Attributes:
        protocol: never `*`.
        source: IPv4 address.
        source_port: 0 where the protocol has none.
        destination: IPv4 address.
        destination_port: 0 where the protocol has none.
    """

    protocol: Protocol
    source: str
    source_port: int
    destination: str
    destination_port: int


RESERVED = 4
"""Addresses at the start of a subnet that no host has.

Source: "Virtual network frequently asked questions", Microsoft Learn: the first four and the last.
"""


NO_HOSTS = (0, 1 << 24), (127 << 24, 128 << 24)
"""Addresses that no packet on a network comes from or goes to: this network, and loopback.

Source: RFC 6890, "Special-Purpose IP Address Registries".
"""


def usable_address(first: int, end: int) -> int:
    """Return an address of a run; one that a host may have where the run is a subnet or more."""
    for start, after in NO_HOSTS:
        if start <= first < after < end:
            first = after
    return min(first + RESERVED, end - 1)


def dotted(address: int) -> str:
    """Spell an IPv4 address."""
    return f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"


def likely(run: tuple[int, int], ports: tuple[int, ...]) -> int:
    """Return a port of a run, one of these if it can be; 0 for a packet without ports."""
    first, end = run
    if first >= PORTLESS:
        return 0
    for port in ports:
        if first <= port < end:
            return port
    return max(first, min(1, end - 1))
