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
from functools import lru_cache
from ipaddress import IPv6Network
from typing import TYPE_CHECKING

from shared.nsg.limits import TAG
from shared.packets.axis import Bounds
from shared.packets.background import Background
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

VIRTUAL_NETWORK, INTERNET = SIDES = "virtualnetwork", "internet"
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
NO_PORT: Boundaries = (PORTLESS, PORT_LINE)
UNKNOWN_PORT = Bounds(NOTHING, (0, PORTS))

OCTETS = {str(number): number for number in range(256)}
"""As they are spelled: a leading zero is refused, some systems take such octets for octal."""

SIZES = {"": 1} | {f"/{length}": 1 << (32 - length) for length in range(33)}
PORT_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
PORT_LIST = re.compile(r"[0-9]{1,5}(?:,[0-9]{1,5})*")


class Extents:
    """What address words stand for in one network.

    Attributes:
        is_known: whether the extent of `VirtualNetwork` is.
    """

    def __init__(self, tags: ServiceTags, virtual_network: Bounds) -> None:
        """Hold the published tags and the bounds of `VirtualNetwork`."""
        self.tags = tags
        self._words = dict(PLATFORM)
        self._words["*"] = ANYWHERE
        self._words[VIRTUAL_NETWORK] = virtual_network
        within = union(virtual_network[:2])
        self._words[INTERNET] = Bounds(complement(within, ADDRESSES), virtual_network.doubt)
        self.is_known = not virtual_network.doubt

    def bounds(self, words: tuple[str, ...]) -> Bounds:
        """Return what a rule's side stands for."""
        prefixes = prefix_bounds(words)
        if prefixes is not None:
            return prefixes
        each = [self._of(word) for word in words]
        return each[0] if len(each) == 1 else self._together(each)

    def bounds_within(self, words: tuple[str, ...], universe: Boundaries) -> Bounds:
        """Return what a rule's side stands for inside some addresses."""
        bounds = self._spelled_out(self.bounds(words))
        sure = intersection(bounds.sure, universe)
        return Bounds(sure, intersection(bounds.doubt, universe) if bounds.doubt else NOTHING)

    def _of(self, word: str) -> Bounds:
        known = self._words.get(word.lower())
        if known is not None:
            return known
        prefix = read_prefix(word)
        if prefix is not None:
            return Bounds(prefix)
        published = self.tags.boundaries(word)
        if published is None:
            return UNKNOWN
        return Bounds(NOTHING, name=word.lower() if published else None)

    def _together(self, each: Iterable[Bounds]) -> Bounds:
        plain = [self._spelled_out(bounds) for bounds in each]
        sure = union(bounds.sure for bounds in plain)
        doubt = union(bounds.doubt for bounds in plain)
        return Bounds(sure, difference(doubt, sure, ADDRESSES)) if doubt else Bounds(sure)

    def _spelled_out(self, bounds: Bounds) -> Bounds:
        """Return bounds by their addresses in place of a tag's name."""
        if bounds.name is None:
            return bounds
        return Bounds(tuple(self.tags.boundaries(bounds.name) or ()))


def doubtful_word(words: tuple[str, ...]) -> str:
    """Return one word for a side whose bounds are uncertain.

    It stands for the same set wherever it stands, however little is known of that set.
    """
    return " ".join(words).lower()


@lru_cache(maxsize=1 << 14)
def read_prefixes(words: tuple[str, ...]) -> Boundaries | None:
    """Return the boundaries of all the addresses of a list, None where a word is no prefix."""
    runs = [read_prefix(word) for word in words]
    if len(runs) == 1:
        return runs[0]
    return union(filter(None, runs)) if None not in runs else None


@lru_cache(maxsize=1 << 14)
def prefix_bounds(words: tuple[str, ...]) -> Bounds | None:
    """Return what a list of prefixes stands for, None where a word is no prefix."""
    prefixes = read_prefixes(words)
    return None if prefixes is None else Bounds(prefixes)


def read_prefix(word: str) -> Boundaries | None:
    """Return the boundaries of an IPv4 address or CIDR, nothing for IPv6, None for another word.

    ARM refuses host bits that are set; where they stand all the same, the network is meant.
    """
    address, slash, length = word.partition("/")
    try:
        a, b, c, d = address.split(".")
        first = OCTETS[a] << 24 | OCTETS[b] << 16 | OCTETS[c] << 8 | OCTETS[d]
        size = SIZES[slash + length]
    except (KeyError, ValueError):
        return NOTHING if ":" in word and is_ipv6(word) else None
    first -= first % size
    return (first, first + size)


def is_ipv6(word: str) -> bool:
    """Whether a word is an IPv6 address or CIDR."""
    try:
        IPv6Network(word, strict=False)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=1 << 12)
def is_address_word(word: str) -> bool:
    """Whether a word is '*', an address or CIDR of either family, or may be a service tag."""
    return word == "*" or read_prefix(word) is not None or TAG.fullmatch(word) is not None


@lru_cache(maxsize=1 << 14)
def read_ports(words: tuple[str, ...]) -> Boundaries | None:
    """Return the boundaries of all the ports of a list, None where a word is no port."""
    if len(words) > 1 and PORT_LIST.fullmatch(",".join(words)):
        ports = set(map(int, words))
        edges = sorted(ports ^ {port + 1 for port in ports})  # neighbours are one run
        return tuple(edges) if edges[-1] <= PORTS else None
    runs = [read_port_range(word) for word in words]
    return union(filter(None, runs)) if None not in runs else None


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


def ports_bounds(words: tuple[str, ...]) -> Bounds:
    """Return what a rule's ports hold of packets with ports."""
    ports = read_ports(words)
    return UNKNOWN_PORT if ports is None else Bounds(ports)


def portless_bounds(words: tuple[str, ...]) -> Bounds:
    """Return what a rule's ports hold of packets without ports; any port includes having none.

    How Azure matches a packet without ports against a rule with some is documented nowhere: it may
    match (an assumption). Ranges that come to every port only together are still ports.
    """
    ranges = [word for word in words if not word.isdecimal()]
    is_any = any(read_port_range(word) == (0, PORTS) for word in ranges)
    return Bounds(NO_PORT) if is_any else Bounds(NOTHING, NO_PORT)


@lru_cache(maxsize=32)
def tag_background(tags: ServiceTags, names: frozenset[str]) -> Background:
    """Return what these tags cut the addresses into; worked out once and kept."""
    return Background({name: tags.boundaries(name) or () for name in names})
