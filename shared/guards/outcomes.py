"""Outcomes: what a guard did, as a CloudEvent in its history and on the outcome topic.

An outcome is kept before it is sent, and marked as unsent until the topic has taken it: a topic that is
down loses none, the sweep sends them later. A consumer may get one twice, with the same id.
"""

from __future__ import annotations

import logging
import time
import uuid
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from shared.errors import GuardError, PreconditionFailed
from shared.guards.guard import iso
from shared.guards.metrics import count_outcome

if TYPE_CHECKING:
    from shared.cloud.store import Store
    from shared.guards.guard import Guard
    from shared.settings import Settings

log = logging.getLogger(__name__)

UNSENT = "unsent"
PREFIX = "amlfs.guard."
SOURCE = "/amlfs-network-guard"
FOREVER = 10**13
"""Milliseconds; keys count down from it, so that the newest stands first."""


class OutcomeType(StrEnum):
    """What an outcome is about; behind `amlfs.guard.` it is the CloudEvent's type."""

    DRIFT_DETECTED = "driftDetected"
    RESTORED = "restored"
    BLOCKED = "blocked"
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    FAILED = "failed"


def outcome(guard: Guard, kind: OutcomeType, data: dict[str, Any]) -> dict[str, Any]:
    """Return an outcome as a CloudEvent (version 1.0, structured)."""
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "type": PREFIX + kind.value,
        "source": SOURCE,
        "subject": f"guards/{guard.name}",
        "time": iso(time.time()),
        "datacontenttype": "application/json",
        "data": {
            "guard": guard.name,
            "networkSecurityGroupId": guard.nsg_id,
            "subnetId": guard.subnet_id,
            **data,
        },
    }


def history_of(guard_key: str) -> str:
    """Return the kind of a guard's outcomes in the store."""
    return f"outcome-{guard_key}"


class Outcomes:
    """Keeps outcomes and sends them."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    async def tell(self, guard: Guard, event: dict[str, Any]) -> None:
        """Keep an outcome and send it, once for each id; never fails because of the topic."""
        moment = datetime.fromisoformat(event["time"]).timestamp()
        key = f"{FOREVER - round(moment * 1000):013}-{event['id']}"
        has_topic = self._settings.outcome_topic is not None
        waits = has_topic and await keep(self._store, UNSENT, key, event)
        if not await keep(self._store, history_of(guard.key), key, event):
            if waits:  # somebody else has told it meanwhile
                await self._store.delete(UNSENT, key)
            return
        count_outcome(event["type"].removeprefix(PREFIX))
        log_outcome(event)
        if not has_topic:
            return
        try:
            await self._send(key, event)
        except GuardError as error:
            log.warning("outcome %s will be sent by the sweep: %s", event["id"], error)

    async def send_unsent(self) -> int:
        """Send what the topic has not taken yet, oldest first; returns how many that were.

        Raises:
            GuardError: the topic is still down.
        """
        if self._settings.outcome_topic is None:
            return 0
        waiting: list[tuple[str, dict[str, Any]]] = []
        after: str | None = ""
        while after is not None:
            records, after = await self._store.page(UNSENT, after, 500)
            waiting += [(record.key, record.body) for record in records]
        for key, event in reversed(waiting):
            await self._send(key, event)
        return len(waiting)

    async def _send(self, key: str, event: dict[str, Any]) -> None:
        from shared.cloud.topic import publish  # noqa: PLC0415 - only where there is a topic

        await publish(self._settings, event)
        await self._store.delete(UNSENT, key)

    async def history(
        self, guard_key: str, after: str = "", limit: int = 50
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return a guard's outcomes, newest first, and the key to go on after."""
        records, more = await self._store.page(history_of(guard_key), after, limit)
        return [record.body for record in records], more


def log_outcome(event: dict[str, Any]) -> None:
    """Log an outcome in one line; alerts look for its words (`infra/modules/alerts.bicep`)."""
    is_good = event["type"].removeprefix(PREFIX) in (OutcomeType.RESTORED, OutcomeType.RESUMED)
    circuit = ", circuit open" if event["data"].get("circuit") == "open" else ""
    level = logging.INFO if is_good else logging.WARNING
    log.log(level, "outcome %s of %s%s", event["type"], event["subject"], circuit)


async def keep(store: Store, kind: str, key: str, event: dict[str, Any]) -> bool:
    """Keep an outcome; returns False for one that is there already: it is the same."""
    try:
        await store.create(kind, key, event)
    except PreconditionFailed:
        return False
    return True
