"""Housekeeping: what the sweep sends late, and what it deletes because it is old."""

from __future__ import annotations

import logging
import time
import zlib
from typing import TYPE_CHECKING

from shared.guards.outcomes import FOREVER, history_kind, save_once

if TYPE_CHECKING:
    from shared.cloud.store import Record, Store
    from shared.settings import Settings

log = logging.getLogger(__name__)

DAY = 86_400
PAGE = 500
MOST = 5_000
"""So many records are deleted in one go at most; the next sweep goes on."""

FORGOTTEN = "forgotten"
"""The kind of the records that name the histories of deleted guards."""

ENDED = "ended-operation"
"""The kind of the records that say when an operation ended; the oldest stands first."""

OPERATION = "operation"
IDEMPOTENCY = "idempotency"
"""The kind of the records that say which operation an `Idempotency-Key` names."""

SLOTS = 96
"""A day's quarters of an hour: each guard's history is pruned in one of them."""


def is_due(key: str, now: float) -> bool:
    """Whether a guard's history is pruned in this quarter of an hour: once a day."""
    return zlib.crc32(key.encode()) % SLOTS == int(now / 900) % SLOTS


async def prune_history(store: Store, settings: Settings, guard_id: str, now: float) -> bool:
    """Delete outcomes older than `AMLFS_HISTORY_DAYS`; returns whether none is left."""
    kind = history_kind(guard_id)
    oldest = round(1000 * (now - settings.history_days * DAY))
    for _ in range(0, MOST, PAGE):
        records, more = await store.page(kind, f"{FOREVER - oldest:013}", PAGE)
        for record in records:
            await store.delete(kind, record.key)
        if more is None:
            return True
    return False


async def forget_history(store: Store, guard_id: str) -> None:
    """Have the history of a deleted guard pruned when it is old; twice in a millisecond is once."""
    key = f"{round(1000 * time.time()):013}-{guard_id}"
    await save_once(store, FORGOTTEN, key, {"id": guard_id})


async def note_end(store: Store, operation: str) -> None:
    """Note that an operation ended now."""
    key = f"{round(1000 * time.time()):013}-{operation}"
    await save_once(store, ENDED, key, {"operation": operation})


async def prune(store: Store, settings: Settings) -> None:
    """Delete old operations, and the histories of guards that were deleted long ago."""
    now = time.time()
    for record in await older(store, ENDED, now - settings.operation_days * DAY, MOST):
        operation = record.body.get("operation")
        if isinstance(operation, str):
            await delete_operation(store, operation)
        await store.delete(ENDED, record.key)
    for record in await older(store, FORGOTTEN, now - settings.history_days * DAY, PAGE):
        guard_id = record.body.get("id")
        if not isinstance(guard_id, str) or await prune_history(store, settings, guard_id, now):
            await store.delete(FORGOTTEN, record.key)


async def delete_operation(store: Store, operation: str) -> None:
    """Delete an operation, and the key that named it."""
    record = await store.get(OPERATION, operation)
    named = record.body.get("idempotency") if record is not None else None
    if isinstance(named, str):
        await store.delete(IDEMPOTENCY, named)
    await store.delete(OPERATION, operation)


async def older(store: Store, kind: str, moment: float, count: int) -> list[Record]:
    """Return the oldest records whose keys begin with a time before a moment (seconds)."""
    before = f"{round(1000 * moment):013}"
    records, _ = await store.page(kind, "", count)
    return [record for record in records if record.key < before]
