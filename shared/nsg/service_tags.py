r"""Service tags: the names that Microsoft keeps for groups of its addresses, and those addresses.

The lists that Microsoft publishes are some megabytes of JSON a cloud. They ship here packed, one
file a cloud in `data/`, and are loaded on first use. A packed file is the zlib compression of

    {"cloud": …, "changeNumber": …, "published": …, "tags": [[name, count], …]}\n
    count × unsigned 64-bit little-endian integers, tag after tag

where a tag's integers are the boundaries of its IPv4 addresses: the first address of a run, the
first address after the run, the first of the next run, and so on, ascending. IPv6 prefixes are left
out: AMLFS is IPv4 only.

`python3 dev.py service-tags` builds the files. The tags that are in no list, because they mean
something else in every network, are `PLATFORM_TAGS`.
"""

from __future__ import annotations

import difflib
import json
import sys
import zlib
from array import array
from bisect import bisect_right
from datetime import date
from functools import cache
from importlib import resources
from ipaddress import IPv4Network, collapse_addresses
from typing import TYPE_CHECKING, Any

from shared.nsg.locations import Cloud

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

PLATFORM_TAGS = (
    "VirtualNetwork",
    "AzureLoadBalancer",
    "Internet",
    "AzurePlatformDNS",
    "AzurePlatformIMDS",
    "AzurePlatformLKM",
)
"""Tags that are in no list: they mean the virtual network, what lies outside it, or its host.

Source: "Virtual network service tags", Microsoft Learn.
"""


class ServiceTags:
    """The service tags of one cloud at one change of their list."""

    def __init__(
        self,
        cloud: Cloud,
        change_number: int,
        published: str,
        tags: Iterable[tuple[str, Sequence[int]]],
    ) -> None:
        """Hold the tags given as (name, boundaries).

        Args:
            cloud: whose tags these are.
            change_number: Microsoft's number of the whole list, ascending with time.
            published: the day on which the list was published, in ISO 8601.
            tags: each tag with the boundaries of its IPv4 addresses.
        """
        self.cloud = cloud
        self.change_number = change_number
        self.published = published
        self._tags = {name.lower(): (name, boundaries) for name, boundaries in tags}

    def age_days(self, today: date) -> int:
        """Return for how many days the list has been published."""
        return (today - date.fromisoformat(self.published)).days

    def canonical(self, name: str) -> str | None:
        """Return a tag's name in Microsoft's casing, or None for an unknown tag."""
        for tag in PLATFORM_TAGS:
            if tag.lower() == name.lower():
                return tag
        found = self._tags.get(name.lower())
        return found[0] if found else None

    def nearest(self, name: str, count: int = 3) -> list[str]:
        """Return the tags whose names are most like this one, the likeliest first."""
        known = [*self._tags, *(tag.lower() for tag in PLATFORM_TAGS)]
        near = difflib.get_close_matches(name.lower(), known, n=count, cutoff=0.0)
        return [self.canonical(tag) or tag for tag in near]

    def boundaries(self, name: str) -> Sequence[int] | None:
        """Return the boundaries of a published tag's IPv4 addresses, or None for another name."""
        found = self._tags.get(name.lower())
        return found[1] if found else None

    def contains(self, name: str, network: IPv4Network) -> bool:
        """Whether a published tag holds all of a network."""
        boundaries = self.boundaries(name) or ()
        place = bisect_right(boundaries, int(network.network_address))
        return place % 2 == 1 and int(network.broadcast_address) < boundaries[place]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._tags.values())

    def __len__(self) -> int:
        return len(self._tags)

    def pack(self) -> bytes:
        """Return the packed form that `unpack` reads."""
        header = {
            "cloud": self.cloud.value,
            "changeNumber": self.change_number,
            "published": self.published,
            "tags": [[name, len(boundaries)] for name, boundaries in self._tags.values()],
        }
        numbers = array("Q")
        for _, boundaries in self._tags.values():
            numbers.extend(boundaries)
        if sys.byteorder == "big":
            numbers.byteswap()
        return zlib.compress(json.dumps(header).encode() + b"\n" + numbers.tobytes(), level=9)


def unpack(packed: bytes) -> ServiceTags:
    """Read the packed form; raises `zlib.error` or `ValueError` for anything else."""
    header_line, _, body = zlib.decompress(packed).partition(b"\n")
    header = json.loads(header_line)
    numbers = array("Q")
    numbers.frombytes(body)
    if sys.byteorder == "big":
        numbers.byteswap()
    tags, start = [], 0
    for name, count in header["tags"]:
        tags.append((name, numbers[start : start + count]))
        start += count
    return ServiceTags(Cloud(header["cloud"]), header["changeNumber"], header["published"], tags)


def read_published(document: Mapping[str, Any], cloud: Cloud, published: str) -> ServiceTags:
    """Read a list in the shape in which Microsoft publishes it and ARM answers it."""
    tags = (
        (tag["name"], ipv4_boundaries(tag["properties"]["addressPrefixes"]))
        for tag in document["values"]
    )
    return ServiceTags(cloud, int(document["changeNumber"]), published, tags)


def ipv4_boundaries(prefixes: Iterable[str]) -> list[int]:
    """Return the boundaries of the union of these prefixes, those of IPv6 left out."""
    networks = (IPv4Network(prefix) for prefix in prefixes if ":" not in prefix)
    boundaries: list[int] = []
    for network in collapse_addresses(networks):
        first, end = int(network.network_address), int(network.broadcast_address) + 1
        if boundaries and boundaries[-1] == first:
            boundaries[-1] = end
        else:
            boundaries += [first, end]
    return boundaries


@cache
def shipped_service_tags(cloud: Cloud) -> ServiceTags:
    """Return the tags that ship with the service; the first call for a cloud unpacks its file."""
    return unpack(resources.files(__package__).joinpath(f"data/{cloud}.tags").read_bytes())
