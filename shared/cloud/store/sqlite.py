"""Records in an SQLite file, or in memory: for one machine, in several processes where it is a file.

A call takes microseconds, unless another process holds the file or the disk is slow. So each store has a
thread of its own, and the event loop waits for none.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from shared.cloud.store import SCHEMA_VERSION, Body, Record, read_record
from shared.errors import Misconfigured, PreconditionFailed, Transient

TABLE = """
CREATE TABLE IF NOT EXISTS records (
    kind TEXT NOT NULL, key TEXT NOT NULL, schema INTEGER NOT NULL, version TEXT NOT NULL,
    body TEXT NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID
"""

SELECT = "SELECT key, body, version, schema FROM records"


BUSY_MILLISECONDS = 2_000
"""So long another process's transaction is waited for."""


class Result(NamedTuple):
    """What a statement came to: its rows, and how many records it has changed."""

    rows: list[Any]
    changed: int


class SqliteStore:
    """Records in one SQLite database."""

    def __init__(self, path: str) -> None:
        """Open or make the file; `:memory:` is forgotten with the process."""
        try:
            if path != ":memory:":
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._database = open_database(path)
        except (OSError, sqlite3.Error) as error:
            raise Misconfigured(f"AMLFS_STORE: {path} cannot be opened: {error}.") from error
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")

    async def _run(self, statement: str, *values: Any) -> Result:
        """Run a statement.

        Raises:
            sqlite3.IntegrityError: there is such a record already.
            Transient: the file is locked, full, damaged or gone.
        """

        def run() -> Result:
            cursor = self._database.execute(statement, values)
            return Result(cursor.fetchall(), cursor.rowcount)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, run)
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise Transient(f"The store's file cannot be used now: {error}.") from error

    async def get(self, kind: str, key: str) -> Record | None:
        """Return a record, or None."""
        query = f"{SELECT} WHERE kind = ? AND key = ?"
        rows = (await self._run(query, kind, key)).rows
        return read_record(*rows[0]) if rows else None

    async def create(self, kind: str, key: str, body: Body, schema: int = SCHEMA_VERSION) -> Record:
        """Write a new record; raises `PreconditionFailed` where there is one already."""
        version = new_version()
        try:
            await self._run(
                "INSERT INTO records (kind, key, schema, version, body) VALUES (?, ?, ?, ?, ?)",
                *(kind, key, schema, version, json.dumps(body)),
            )
        except sqlite3.IntegrityError:
            raise PreconditionFailed(f"There is a {kind} {key} already.") from None
        return Record(key, body, version, schema)

    async def replace(
        self, kind: str, key: str, body: Body, version: str, schema: int = SCHEMA_VERSION
    ) -> Record:
        """Write over a record of this version; raises `PreconditionFailed` for another or none."""
        newer = new_version()
        done = await self._run(
            "UPDATE records SET schema = ?, version = ?, body = ?"
            " WHERE kind = ? AND key = ? AND version = ?",
            *(schema, newer, json.dumps(body), kind, key, version),
        )
        if not done.changed:
            raise PreconditionFailed(f"The {kind} {key} was changed meanwhile.")
        return Record(key, body, newer, schema)

    async def delete(self, kind: str, key: str, version: str | None = None) -> None:
        """Delete a record, of this version where one is given; raises `PreconditionFailed`."""
        if version is None:
            await self._run("DELETE FROM records WHERE kind = ? AND key = ?", kind, key)
            return
        statement = "DELETE FROM records WHERE kind = ? AND key = ? AND version = ?"
        if not (await self._run(statement, kind, key, version)).changed:
            raise PreconditionFailed(f"The {kind} {key} was changed meanwhile.")

    async def page(
        self, kind: str, after: str = "", limit: int = 100
    ) -> tuple[list[Record], str | None]:
        """Return records in the order of their keys, and the key to go on after."""
        query = f"{SELECT} WHERE kind = ? AND key > ? ORDER BY key LIMIT ?"
        rows = (await self._run(query, kind, after, limit + 1)).rows
        records = [read_record(*row) for row in rows]
        more = len(records) > limit
        return records[:limit], records[limit - 1].key if more else None

    async def close(self) -> None:
        """Close the file."""
        self._thread.shutdown()
        self._database.close()


def open_database(path: str) -> sqlite3.Connection:
    """Open or make a file with the table; raises `sqlite3.Error`, and leaves nothing open then."""
    database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        database.text_factory = lambda raw: raw.decode(errors="replace")
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
        database.execute(TABLE)
    except sqlite3.Error:
        database.close()
        raise
    return database


def new_version() -> str:
    """Return a version that no other write has."""
    return uuid.uuid4().hex
