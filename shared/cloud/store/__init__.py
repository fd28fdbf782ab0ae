"""Where records are kept: Azure Table storage, or an SQLite file on one machine.

A record is a JSON document under a kind and a key. Writes are guarded by versions: two writers of one
record cannot overwrite each other unknowingly. Both stores pass one suite of contract tests.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from shared.errors import Misconfigured

if TYPE_CHECKING:
    from shared.settings import Settings

SCHEMA_VERSION = 1
"""The schema of a record whose writer names none."""

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    Attributes:
        key: unique in its kind.
        body: a JSON object; empty where `damage` says why it cannot be read.
        version: changes with every write; opaque.
        schema: the number of the shape that the body has, by its writer.
        damage: why the body is no JSON object; None where it is one.
    """

    key: str
    body: Body
    version: str
    schema: int = SCHEMA_VERSION
    damage: str | None = None


def read_record(key: str, text: str | bytes, version: str, schema: Any) -> Record:
    """Return a record as it was stored; one whose body is no JSON object is `damaged`."""
    try:
        body = json.loads(text)
        damage = None if isinstance(body, dict) else "Its body is no JSON object."
    except (RecursionError, TypeError, ValueError) as error:
        body, damage = None, f"Its body is no JSON: {error}."
    number = schema if isinstance(schema, int) else 0
    return Record(key, body if isinstance(body, dict) else {}, version, number, damage)


class Store(Protocol):
    """What the service needs of a store. Keys are letters, digits, '-', '_', '.' and '~'."""

    async def get(self, kind: str, key: str) -> Record | None:
        """Return a record, or None."""

    async def create(self, kind: str, key: str, body: Body, schema: int = SCHEMA_VERSION) -> Record:
        """Write a new record; raises `PreconditionFailed` where there is one already."""

    async def replace(
        self, kind: str, key: str, body: Body, version: str, schema: int = SCHEMA_VERSION
    ) -> Record:
        """Write over a record of this version; raises `PreconditionFailed` for another or none."""

    async def delete(self, kind: str, key: str, version: str | None = None) -> None:
        """Delete a record, of this version where one is given; raises `PreconditionFailed`.

        Deleting what is not there is fine where no version is given.
        """

    async def page(
        self, kind: str, after: str = "", limit: int = 100
    ) -> tuple[list[Record], str | None]:
        """Return records in the order of their keys, and the key to go on after, if there are more."""

    async def close(self) -> None:
        """Give back what the store holds open."""


_stores: dict[str, Store] = {}


def open_store(settings: Settings) -> Store:
    """Return the store that the settings name; opened once per process."""
    found = _stores.get(settings.store)
    if found is None:
        found = _stores[settings.store] = make_store(settings)
    return found


async def close_stores() -> None:
    """Close every store of this process."""
    while _stores:
        _, store = _stores.popitem()
        await store.close()


def make_store(settings: Settings) -> Store:
    """Open a store; raises `Misconfigured`."""
    kind, _, place = settings.store.partition(":")
    if kind == "sqlite" and place:
        from shared.cloud.store.sqlite import SqliteStore  # noqa: PLC0415 - only the one needed

        return SqliteStore(place)
    if settings.store == "table":
        from shared.cloud.store.tables import TableStore  # noqa: PLC0415

        return TableStore.from_environment(settings)
    raise Misconfigured(f"AMLFS_STORE: {settings.store!r} is neither table nor sqlite:PATH.")
