"""The worker that carries out operations, one at a time for each, whatever ends in between."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from shared.cloud.store import open_store
from shared.context import invocation
from shared.documents import read_document
from shared.errors import GuardError, PreconditionFailed
from shared.http.operations import (
    DONE,
    FAILED,
    LEASE_SECONDS,
    OPERATION,
    RUNNING,
    update,
)
from shared.http.plans import ApplyRequest, apply_now
from shared.http.problems import internal_error, problem_of
from shared.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.cloud.store import Record, Store

log = logging.getLogger(__name__)

OPERATION_SECONDS = 240
"""The time for one operation; the functions' time-out in host.json is five minutes."""


async def run_operation(key: str) -> None:
    """Carry out an operation, unless it is done or another worker has it."""
    store = open_store(read_settings())
    record = await store.get(OPERATION, key)
    if record is None or record.body["status"] in (DONE, FAILED):
        return
    if record.body["status"] == RUNNING and time.time() - record.body["heard"] < LEASE_SECONDS:
        return
    try:
        record = await update(store, record, status=RUNNING)
    except PreconditionFailed:
        return  # another worker was faster
    async with heartbeat(store, record) as beating:
        result = await outcome_of(record)
    await update(store, beating.record, **result)


async def outcome_of(record: Record) -> dict[str, Any]:
    """Carry out what was asked, and return what becomes of the record."""
    try:
        async with invocation(OPERATION_SECONDS, record.body["correlationId"]):
            asked = read_document(ApplyRequest, record.body["request"])
            return {"status": DONE, "answer": await apply_now(asked)}
    except GuardError as error:
        problem = problem_of(error)
    except Exception:
        log.exception("operation %s failed in an unforeseen way", record.key)
        problem = internal_error()
    where = f"/api/operations/{record.key}"
    return {
        "status": FAILED,
        "problem": problem.to_json(where),
        "retryAfter": problem.retry_after,
    }


class Heartbeat:
    """Says again and again that a worker is alive.

    Attributes:
        record: the operation, as it was last written.
    """

    def __init__(self, store: Store, record: Record) -> None:
        self._store = store
        self.record = record

    async def run(self) -> None:
        """Say so until cancelled."""
        while True:
            await asyncio.sleep(LEASE_SECONDS / 4)
            self.record = await update(self._store, self.record)


@asynccontextmanager
async def heartbeat(store: Store, record: Record) -> AsyncIterator[Heartbeat]:
    """Have a worker be heard of while it works."""
    beating = Heartbeat(store, record)
    task = asyncio.create_task(beating.run())
    try:
        yield beating
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
