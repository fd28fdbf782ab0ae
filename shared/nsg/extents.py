"""What the words of a rule stand for: address prefixes, service tags, ports and protocols as sets.

A word whose set is not known has bounds: what it holds in any case, and what it may hold.

- CIDRs, published service tags: known.
- `VirtualNetwork`: the virtual network's address space, peered and on-premises ranges,
  168.63.129.16 and the prefixes of user-defined routes. Its bounds are given by the caller.
- `Internet`: what lies outside `VirtualNetwork`, Azure's public addresses included.
- `AzureLoadBalancer`, `AzurePlatformDNS`: 168.63.129.16. `AzurePlatformIMDS`: 169.254.169.254.
- Application security groups, tags that no list has, prefixes that cannot be read: anything.

Source: "Virtual network service tags" and "What is IP address 168.63.129.16?", Microsoft Learn.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from shared.nsg.rules import Protocol
from shared.packets.axis import Background, Bounds
from shared.packets.intervals import (
    NOTHING,
    Boundaries,
    complement,
    difference,
    intersection,
    union,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.nsg.service_tags import ServiceTags

ADDRESSES = 1 << 32
EVERY_ADDRESS: Boundaries = (0, ADDRESSES)
ANYWHERE = Bounds(EVERY_ADDRESS)
UNKNOWN = Bounds(NOTHING, EVERY_ADDRESS)

VIRTUAL_NETWORK, INTERNET = "virtualnetwork", "internet"
OPPOSITES = {VIRTUAL_NETWORK: INTERNET, INTERNET: VIRTUAL_NETWORK}
"""Sets that share no address, and hold every address between them."""

HOST = 0xA83F8110  # 168.63.129.16
PLATFORM = {
    "azureloadbalancer": Bounds((HOST, HOST + 1)),
    "azureplatformdns": Bounds((HOST, HOST + 1)),
    "azureplatformimds": Bounds((0xA9FEA9FE, 0xA9FEA9FF)),  # 169.254.169.254
}

PORTS = 1 << 16
PORTLESS = PORTS
"""The one value on the axis of ports that packets without ports have."""

PORT_LINE = PORTS + 1
ANY_PORT = Bounds((0, PORT_LINE))
UNKNOWN_PORT = Bounds(NOTHING, (0, PORT_LINE))

PROTOCOLS = (Protocol.TCP, Protocol.UDP, Protocol.ICMP, Protocol.ESP, Protocol.AH)
"""The values on the axis of protocols; the first two have ports."""

WITH_PORTS = 2

CIDR = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})(?:/([0-9]{1,2}))?")
LEADING_ZERO = re.compile(r"(?<![0-9])0[0-9]")
PORT_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


class Extents:
    """What address words stand for in one network."""

    def __init__(self, tags: ServiceTags, virtual_network: Bounds) -> None:
        """Hold the published tags and the bounds of `VirtualNetwork`."""
        self.tags = tags
        self._words = dict(PLATFORM)
        self._words["*"] = ANYWHERE
        self._words[VIRTUAL_NETWORK] = virtual_network
        within = union((virtual_network.sure, virtual_network.doubt))
        self._words[INTERNET] = Bounds(complement(within, ADDRESSES), virtual_network.doubt)
        self._lists: dict[tuple[str, ...], Bounds] = {}
        self._inside: dict[tuple[str, ...], Bounds] = {}

    def bounds(self, words: tuple[str, ...]) -> Bounds:
        """Return what a rule's side stands for; equal words give the same object."""
        found = self._lists.get(words)
        if found is None:
            each = [self._of(word) for word in words]
            found = self._lists[words] = each[0] if len(each) == 1 else self._together(each)
        return found

    def _of(self, word: str) -> Bounds:
        known = self._words.get(word) or self._words.get(word.lower())
        if known is None:
            known = self._words[word] = self._read(word)
        return known

    def _read(self, word: str) -> Bounds:
        prefix = read_prefix(word)
        if prefix is not None:
            return Bounds(prefix)
        boundaries = self.tags.boundaries(word)
        if boundaries is not None:
            return Bounds(NOTHING, name=word.lower())
        return UNKNOWN

    def _together(self, each: Iterable[Bounds]) -> Bounds:
        plain = [self.spelled_out(bounds) for bounds in each]
        sure = union(bounds.sure for bounds in plain)
        doubt = union(bounds.doubt for bounds in plain)
        return Bounds(sure, difference(doubt, sure, ADDRESSES)) if doubt else Bounds(sure)

    def spelled_out(self, bounds: Bounds) -> Bounds:
        """Return bounds by their addresses in place of a tag's name."""
        if bounds.name is None:
            return bounds
        return Bounds(tuple(self.tags.boundaries(bounds.name) or ()))

    def bounds_within(self, words: tuple[str, ...], universe: Boundaries) -> Bounds:
        """Return what a rule's side stands for inside some addresses."""
        found = self._inside.get(words)
        if found is None:
            found = self._inside[words] = self._cut(self.bounds(words), universe)
        return found

    def _cut(self, bounds: Bounds, universe: Boundaries) -> Bounds:
        if bounds is ANYWHERE:
            return Bounds(universe)
        plain = self.spelled_out(bounds)
        sure = intersection(plain.sure, universe)
        return Bounds(sure, intersection(plain.doubt, universe) if plain.doubt else NOTHING)


def doubtful_word(words: tuple[str, ...]) -> str:
    """Return one word for a side whose bounds are uncertain.

    It stands for the same set wherever it stands, however little is known of that set.
    """
    return " ".join(words).lower()


@lru_cache(maxsize=1 << 16)
def read_prefix(word: str) -> Boundaries | None:
    """Return the boundaries of an IPv4 address or CIDR, nothing for IPv6, None for another word.

    ARM refuses host bits that are set; where they stand all the same, the network is meant.
    """
    found = CIDR.fullmatch(word)
    if found is None:
        return NOTHING if ":" in word else None
    a, b, c, d, length = found.groups()
    octets = (int(a), int(b), int(c), int(d))
    bits = 32 if length is None else int(length)
    if max(octets) > 255 or bits > 32 or LEADING_ZERO.search(word):
        return None
    size = 1 << (32 - bits)
    address = int.from_bytes(bytes(octets), "big")
    first = address - address % size
    return (first, first + size)


@lru_cache(maxsize=1 << 12)
def ports_bounds(words: tuple[str, ...]) -> Bounds:
    """Return what a rule's ports stand for; any port includes having none.

    How Azure matches a packet without ports against a rule with some is documented nowhere: it may
    match (an assumption). Ranges that come to every port only together are still ports.
    """
    if words == ("*",):
        return ANY_PORT
    ranges = [read_port_range(word) for word in words]
    if None in ranges:
        return UNKNOWN_PORT
    if (0, PORTS) in ranges:
        return ANY_PORT
    ports = union(found for found in ranges if found)
    return Bounds(ports, (PORTLESS, PORT_LINE))


@lru_cache(maxsize=1 << 12)
def read_port_range(word: str) -> Boundaries | None:
    """Return the boundaries of a port or a range of ports, None for another word."""
    if word == "*":
        return (0, PORTS)
    found = PORT_RANGE.fullmatch(word)
    if found is None:
        return None
    low, high = int(found[1]), int(found[2] or found[1])
    return (low, high + 1) if low <= high < PORTS else None


@cache
def protocol_bounds(protocol: Protocol) -> Bounds:
    """Return what a rule's protocol stands for."""
    if protocol is Protocol.ANY:
        return Bounds((0, len(PROTOCOLS)))
    place = PROTOCOLS.index(protocol)
    return Bounds((place, place + 1))


@lru_cache(maxsize=32)
def tag_background(tags: ServiceTags, names: frozenset[str]) -> Background:
    """Return what these tags cut the addresses into; worked out once and kept."""
    return Background({name: tags.boundaries(name) or () for name in names})
