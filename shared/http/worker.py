"""The worker that carries out operations, one at a time for each, whatever ends in between."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from shared.applying.writes import Write, WriteState
from shared.cloud.store import open_store
from shared.context import invocation
from shared.documents import read_document
from shared.errors import GuardError, PreconditionFailed, Withdrawn
from shared.guards.housekeeping import OPERATION, note_end
from shared.http.operations import (
    DONE,
    FAILED,
    LEASE_SECONDS,
    RUNNING,
    update,
)
from shared.http.plans import ApplyRequest, apply_now
from shared.http.problems import internal_error, problem_of
from shared.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from shared.cloud.store import Record, Store

log = logging.getLogger(__name__)

WRITES = TypeAdapter(tuple[Write, ...])

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
        result = await outcome_of(beating)
    if await beating.save(**result):
        await note_end(store, key)


async def outcome_of(beating: Heartbeat) -> dict[str, Any]:
    """Carry out what was asked, and return what becomes of the record."""
    body = beating.record.body
    try:
        async with invocation(OPERATION_SECONDS, body["correlationId"]):
            asked = read_document(ApplyRequest, body["request"])
            answer = await apply_now(asked, str(body.get("by", "unknown")), beating)
            return {"status": DONE, "answer": answer}
    except GuardError as error:
        problem = problem_of(error)
    except Exception:
        log.exception("operation %s failed in an unforeseen way", beating.record.key)
        problem = internal_error()
    where = f"/api/operations/{beating.record.key}"
    return {
        "status": FAILED,
        "problem": problem.to_json(where),
        "retryAfter": problem.retry_after,
    }


class Heartbeat:
    """Says again and again that a worker is alive, and records the writes of its operation.

    Another worker that takes the operation over reads from the record which writes were sent, and
    which of them ARM has accepted.

    Attributes:
        record: the operation, as it was last written.
    """

    def __init__(self, store: Store, record: Record) -> None:
        self._store = store
        self._saving = asyncio.Lock()
        self.record = record

    async def run(self) -> None:
        """Say so until cancelled."""
        while True:
            await asyncio.sleep(LEASE_SECONDS / 4)
            await self.save()

    async def save(self, **fields: Any) -> bool:
        """Save some fields of the operation; returns False where another worker has taken it over."""
        async with self._saving:
            try:
                self.record = await update(self._store, self.record, **fields)
            except PreconditionFailed:
                return False
        return True

    @property
    def earlier(self) -> Sequence[Write]:
        """The writes of a worker that did not live to finish the operation."""
        return WRITES.validate_python(self.record.body.get("writes") or ())

    async def sending(self, write: Write) -> None:
        """Save that a write is about to be sent; raises `Transient` where another worker goes on."""
        await self._note(write)

    async def accepted(self, write: Write) -> None:
        """Save that ARM has accepted a write."""
        await self._note(write.is_now(WriteState.ACCEPTED))

    async def refuted(self, write: Write) -> None:
        """Save that ARM has not accepted a write."""
        await self._note(write.is_now(WriteState.REFUTED))

    async def _note(self, write: Write) -> None:
        kept = [one for one in self.earlier if one.id != write.id]
        writes = WRITES.dump_python((*kept, write), mode="json", by_alias=True)
        if not await self.save(writes=writes) and write.state is WriteState.SENT:
            raise Withdrawn("Another worker carries out the operation.")


@asynccontextmanager
async def heartbeat(store: Store, record: Record) -> AsyncIterator[Heartbeat]:
    """Say that a worker is alive while it works."""
    beating = Heartbeat(store, record)
    task = asyncio.create_task(beating.run())
    try:
        yield beating
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
