"""The rows of Microsoft's article, as data: one file per revision, row by row in its order.

A file and the article can be laid side by side: the columns read as they do there. `FS` is the file
system's subnet, `CL` the clients' subnets, and a tag that ends with the region of the article's
test deployment (`Storage.EastUS`) stands for the intent's region.

A row's key, behind the intent's prefix, is the name of its rule: `AMLFS-Out-KeyVault`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from ipaddress import IPv4Network
from typing import Any

from shared.nsg.rules import ANY, Access, Direction, Protocol

DEFAULT_REVISION = "2024-11-08"

FILE_SYSTEM = "FS"
CLIENTS = "CL"
OPTION = "Option"
"""Words of the source and destination columns that the intent fills in."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the article, or one that an option of the intent adds.

    Attributes:
        key: names the row, and its rule behind the intent's prefix.
        direction: the table that it stands in.
        priority: the article's number; None for a row that the article lacks.
        protocol: as in the article.
        ports: destination ports and ranges.
        source: `FS`, `CL`, `Option`, `*`, a service tag or an address prefix.
        destination: likewise.
        access: the article's "Action".
        why: what the flow is for and what breaks without it, at most 140 characters.
        option: the intent's field that replaces the destination, if one does.
    """

    key: str
    direction: Direction
    priority: int | None
    protocol: Protocol
    ports: tuple[str, ...]
    source: str
    destination: str
    access: Access
    why: str
    option: str | None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """One revision of the article.

    Attributes:
        revision: the article's date.
        written_for: the region suffix that the article's regional tags carry.
        rows: the article's rows, inbound then outbound, in its order.
        optional_rows: rows that options of the intent add.
        exception_keys: the key of the rules for declared exceptions, per direction.
    """

    revision: str
    written_for: str
    rows: tuple[Row, ...]
    optional_rows: tuple[Row, ...]
    exception_keys: dict[Direction, str]

    def row(self, key: str) -> Row:
        """Return the row with this key; raises `KeyError`."""
        return next(row for row in (*self.rows, *self.optional_rows) if row.key == key)

    def literal(self, option: str) -> tuple[IPv4Network, ...]:
        """Return the addresses that the article itself names where an option would replace them."""
        return tuple(IPv4Network(row.destination) for row in self.rows if row.option == option)


@cache
def revisions() -> list[str]:
    """Return the revisions that ship with the service, the newest first."""
    files = resources.files(__name__).iterdir()
    return sorted((f.name[:-5] for f in files if f.name.endswith(".json")), reverse=True)


@cache
def load_catalogue(revision: str = DEFAULT_REVISION) -> Catalogue:
    """Read one revision; raises `FileNotFoundError` for one that does not ship."""
    document = json.loads(resources.files(__name__).joinpath(f"{revision}.json").read_bytes())
    tables = {Direction.INBOUND: document["inbound"], Direction.OUTBOUND: document["outbound"]}
    return Catalogue(
        revision=document["revision"],
        written_for=document["writtenFor"],
        rows=tuple(read_row(row, direction) for direction in tables for row in tables[direction]),
        optional_rows=tuple(
            read_row(row, Direction(row["direction"])) for row in document["optional"]
        ),
        exception_keys={Direction(d): key for d, key in document["exceptions"].items()},
    )


@cache
def all_keys() -> frozenset[str]:
    """Return the keys of every row of every revision: rules named by them are ours for ever."""
    catalogues = [load_catalogue(revision) for revision in revisions()]
    rows = (row.key for c in catalogues for row in (*c.rows, *c.optional_rows))
    return frozenset((*rows, *(key for c in catalogues for key in c.exception_keys.values())))


def read_row(row: dict[str, Any], direction: Direction) -> Row:
    """Translate one row from the article's words (`Any`, `TCP`) to ARM's (`*`, `Tcp`)."""
    return Row(
        key=row["key"],
        direction=direction,
        priority=row.get("priority"),
        protocol=Protocol.ANY if row["protocol"] == "Any" else Protocol(row["protocol"].title()),
        ports=ANY if row["ports"] == "Any" else tuple(row["ports"].split(", ")),
        source="*" if row["source"] == "Any" else row["source"],
        destination="*" if row["destination"] == "Any" else row["destination"],
        access=Access(row["action"]),
        why=row["why"],
        option=row.get("option"),
    )
