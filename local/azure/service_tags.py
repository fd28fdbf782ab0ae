"""The published service tags, as ARM answers them; read from the files that ship with the service.

The reader is the box's own: it shares data with what it checks, no code.
"""

from __future__ import annotations

import json
import struct
import zlib
from functools import cache
from ipaddress import IPv4Address, summarize_address_range
from pathlib import Path
from typing import Any

FILES = Path(__file__).resolve().parents[2] / "shared/nsg/data"


@cache
def load(cloud: str) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
    """Return a list's header, and the boundaries of each tag's addresses."""
    header, _, body = zlib.decompress((FILES / f"{cloud}.tags").read_bytes()).partition(b"\n")
    document = json.loads(header)
    numbers = struct.unpack(f"<{len(body) // 8}Q", body)
    tags, start = {}, 0
    for name, count in document["tags"]:
        tags[name] = numbers[start : start + count]
        start += count
    return document, tags


@cache
def tag_names() -> frozenset[str]:
    """Return every tag of every cloud, without case."""
    files = sorted(path.stem for path in FILES.glob("*.tags"))
    return frozenset(name.lower() for cloud in files for name in load(cloud)[1])


@cache
def published(cloud: str = "AzureCloud") -> dict[str, Any]:
    """Return the answer of `serviceTags`."""
    document, tags = load(cloud)
    return {
        "name": cloud,
        "type": "Microsoft.Network/serviceTags",
        "changeNumber": str(document["changeNumber"]),
        "cloud": cloud,
        "values": [
            {
                "name": name,
                "id": name,
                "serviceTagChangeNumber": str(document["changeNumber"]),
                "properties": {
                    "changeNumber": str(document["changeNumber"]),
                    "region": name.rpartition(".")[2].lower() if "." in name else "",
                    "systemService": name.partition(".")[0],
                    "addressPrefixes": [
                        str(prefix)
                        for first, end in zip(edges[::2], edges[1::2], strict=True)
                        for prefix in summarize_address_range(
                            IPv4Address(first), IPv4Address(end - 1)
                        )
                    ],
                },
            }
            for name, edges in tags.items()
        ],
    }
