"""Records in Azure Table storage: for the service in Azure, by its identity.

A kind is a partition. A body is compressed and cut into properties, because a property takes 64 KiB
and an entity 1 MiB.

Source: "Understanding the Table service data model", Microsoft Learn.
"""

from __future__ import annotations

import json
import os
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableServiceClient

from shared.cloud.failures import translate
from shared.cloud.store import SCHEMA_VERSION, Body, Record, read_record
from shared.cloud.transport import PinnedTransport
from shared.errors import Misconfigured, PreconditionFailed

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Iterator, Mapping

    from azure.data.tables.aio import TableClient

    from shared.settings import Settings

TABLE = "amlfsguard"
CHUNK = 60 * 1024
"""Bytes of a property; the limit is 64 KiB."""


def pinned() -> dict[str, Any]:
    """Return the options of a client that talks to its own host alone."""
    return {"transport": PinnedTransport(), "permit_redirects": False}


class TableStore:
    """Records in one table; it is made on first use."""

    def __init__(self, service: TableServiceClient, table: str = TABLE) -> None:
        self._service = service
        self._name = table
        self._tables: dict[asyncio.AbstractEventLoop, TableClient] = {}

    @classmethod
    def from_environment(cls, settings: Settings) -> TableStore:
        """Find the storage account: `AMLFS_STORE__tableServiceUri`, or the Functions storage.

        Raises:
            Misconfigured: neither is set.
        """
        get = os.environ.get
        uri = get("AMLFS_STORE__tableServiceUri") or get("AzureWebJobsStorage__tableServiceUri")
        account = get("AzureWebJobsStorage__accountName")
        if not uri and account:
            uri = f"https://{account}.table.core.windows.net"
        if uri:
            from shared.cloud.credentials import make_credential  # noqa: PLC0415

            credential = make_credential(settings)
            return cls(TableServiceClient(endpoint=uri, credential=credential, **pinned()))
        connection = get("AzureWebJobsStorage")
        if connection:
            return cls(TableServiceClient.from_connection_string(connection, **pinned()))
        raise Misconfigured(
            "AMLFS_STORE is table, but no storage account is named: set AMLFS_STORE__tableServiceUri"
            " (https://ACCOUNT.table.core.windows.net) or AzureWebJobsStorage."
        )

    async def _table(self) -> TableClient:
        import asyncio  # noqa: PLC0415

        loop = asyncio.get_running_loop()
        if loop not in self._tables:
            with translated():
                self._tables[loop] = await self._service.create_table_if_not_exists(self._name)
        return self._tables[loop]

    async def get(self, kind: str, key: str) -> Record | None:
        """Return a record, or None."""
        table = await self._table()
        try:
            with translated():
                return read(await table.get_entity(kind, key))
        except KeyError:
            return None

    async def create(self, kind: str, key: str, body: Body, schema: int = SCHEMA_VERSION) -> Record:
        """Write a new record; raises `PreconditionFailed` where there is one already."""
        table = await self._table()
        with translated():
            done = await table.create_entity(entity_of(kind, key, body, schema))
        return Record(key, body, str(done["etag"]), schema)

    async def replace(
        self, kind: str, key: str, body: Body, version: str, schema: int = SCHEMA_VERSION
    ) -> Record:
        """Write over a record of this version; raises `PreconditionFailed` for another or none."""
        table = await self._table()
        try:
            with translated():
                done = await table.update_entity(
                    entity_of(kind, key, body, schema),
                    mode=UpdateMode.REPLACE,
                    etag=version,
                    match_condition=MatchConditions.IfNotModified,
                )
        except KeyError:
            raise PreconditionFailed(f"The {kind} {key} was deleted meanwhile.") from None
        return Record(key, body, str(done["etag"]), schema)

    async def delete(self, kind: str, key: str, version: str | None = None) -> None:
        """Delete a record, of this version where one is given; raises `PreconditionFailed`."""
        table = await self._table()
        guard: dict[str, Any] = {}
        if version is not None:
            if await self.get(kind, key) is None:
                raise PreconditionFailed(f"The {kind} {key} was deleted meanwhile.")
            guard = {"etag": version, "match_condition": MatchConditions.IfNotModified}
        with translated():
            await table.delete_entity(kind, key, **guard)

    async def page(
        self, kind: str, after: str = "", limit: int = 100
    ) -> tuple[list[Record], str | None]:
        """Return records in the order of their keys, and the key to go on after."""
        table = await self._table()
        query = "PartitionKey eq @kind and RowKey gt @after"
        parameters = {"kind": kind, "after": after}
        records: list[Record] = []
        with translated():
            entities: AsyncIterator[Mapping[str, Any]] = table.query_entities(
                query, parameters=parameters, results_per_page=limit + 1
            )
            async for entity in entities:
                records.append(read(entity))
                if len(records) > limit:
                    break
        more = len(records) > limit
        return records[:limit], records[limit - 1].key if more else None

    async def close(self) -> None:
        """Give back the connections."""
        await self._service.close()


def entity_of(kind: str, key: str, body: Body, schema: int) -> dict[str, Any]:
    """Return the entity of a record."""
    packed = zlib.compress(json.dumps(body).encode())
    chunks = (packed[i : i + CHUNK] for i in range(0, len(packed), CHUNK))
    return {
        "PartitionKey": kind,
        "RowKey": key,
        "schema": schema,
        **{f"body{number:02}": chunk for number, chunk in enumerate(chunks)},
    }


def read(entity: Mapping[str, Any]) -> Record:
    """Read an entity; one whose parts are no compressed JSON object is damaged."""
    names = sorted(name for name in entity if name.startswith("body"))
    version = str(entity.metadata["etag"])  # type: ignore[attr-defined] # of TableEntity
    key, schema = str(entity["RowKey"]), entity.get("schema")
    try:
        text = zlib.decompress(b"".join(entity[name] for name in names))
    except (TypeError, zlib.error) as error:
        number = schema if isinstance(schema, int) else 0
        return Record(key, {}, version, number, f"Its body cannot be unpacked: {error}.")
    return read_record(key, text, version, schema)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the SDK raises into the service's own errors; `KeyError` for what is not there."""
    try:
        yield
    except (ResourceExistsError, ResourceModifiedError) as error:
        raise PreconditionFailed("The record was changed meanwhile.") from error
    except ResourceNotFoundError as error:
        raise KeyError from error
    except HttpResponseError as error:
        if error.status_code == 412:
            raise PreconditionFailed("The record was changed meanwhile.") from error
        raise translate(error, "Table storage") from error
    except AzureError as error:
        raise translate(error, "Table storage") from error
