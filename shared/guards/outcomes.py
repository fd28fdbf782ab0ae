"""Publishing outcomes: as CloudEvents in the guard's history and on the outcome topic.

An outcome is stored before it is sent, and marked as unsent until the topic has taken it. A topic that
is down loses none; the sweep sends them later. A subscriber may get one twice, with the same id.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.context import calls_made, correlation_id
from shared.errors import ArmRefused, GuardError, PreconditionFailed
from shared.guards.guard import iso
from shared.guards.metrics import count_outcome
from shared.guards.outcome import OutcomeType, summarize_outcome
from shared.log_events import log_event

if TYPE_CHECKING:
    from shared.cloud.store import Store
    from shared.guards.outcome import Outcome
    from shared.guards.repository import AnyGuard
    from shared.settings import Settings

log = logging.getLogger(__name__)

Event = dict[str, Any]

UNSENT = "unsent"
PREFIX = "amlfs.guard."
SOURCE = "/amlfs-network-guard"
SCHEMA_URN = "urn:amlfs-network-guard:schema:outcome:1.1"
FOREVER = 10**13
"""Milliseconds; keys of a history count down from it, so that the newest stands first."""

BATCH = 500
"""So many unsent outcomes are sent by one sweep at most; a further message sends the next ones."""

SENT_TOGETHER = 10

IN_FLIGHT_SECONDS = 60.0
"""Sending one takes ten seconds at most; after so long nobody is sending it any more."""

GOOD = (OutcomeType.RESTORED, OutcomeType.RESUMED, OutcomeType.RESOLVED)
ROUTINE = (OutcomeType.REGISTERED, OutcomeType.CHANGED)


def event_of(guard: AnyGuard, outcome: Outcome) -> Event:
    """Return an outcome as a CloudEvent (version 1.0, structured)."""
    data = {
        "guard": guard.name,
        "networkSecurityGroupId": guard.nsg_id,
        "subnetId": getattr(guard, "subnet_id", None),
        "summary": summarize_outcome(outcome.kind, outcome.data),
        "correlationId": correlation_id(),
        "armCalls": calls_made(),
        **outcome.data,
    }
    return {
        "specversion": "1.0",
        "id": outcome.id or str(uuid.uuid4()),
        "type": PREFIX + outcome.kind.value,
        "source": SOURCE,
        "subject": f"guards/{guard.name}",
        "time": iso(time.time() if outcome.at is None else outcome.at),
        "datacontenttype": "application/json",
        "dataschema": SCHEMA_URN,
        "data": data,
    }


def history_kind(guard_id: str) -> str:
    """Return the kind of a guard's outcomes in the store."""
    return f"outcome-{guard_id}"


def history_key(event: Event) -> str:
    """Return the key of an outcome in its guard's history."""
    return f"{FOREVER - milliseconds(event):013}-{event['id']}"


def unsent_key(event: Event) -> str:
    """Return the key of an outcome that waits for the topic: the oldest stands first."""
    return f"{milliseconds(event):013}-{event['id']}"


def milliseconds(event: Event) -> int:
    """Return when an outcome was decided, in milliseconds since the epoch."""
    return round(datetime.fromisoformat(event["time"]).timestamp() * 1000)


class Outcomes:
    """Stores outcomes and sends them."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    async def publish(self, guard_id: str, event: Event) -> None:
        """Store an outcome and send it, once for each id; never fails because of the topic."""
        has_topic = self._settings.outcome_topic is not None
        key = unsent_key(event)
        is_marked = has_topic and await save_once(self._store, UNSENT, key, event)
        if not await save_once(self._store, history_kind(guard_id), history_key(event), event):
            if is_marked:  # somebody else has published and sent it meanwhile
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

    async def send_unsent(self) -> bool:
        """Send what the topic has not taken yet, the oldest first; returns whether more is waiting.

        Raises:
            GuardError: the topic is still down.
        """
        if self._settings.outcome_topic is None:
            return False
        records, more = await self._store.page(UNSENT, "", BATCH)
        for first in range(0, len(records), SENT_TOGETHER):
            together = records[first : first + SENT_TOGETHER]
            await asyncio.gather(*(self._send_or_drop(one.key, one.body) for one in together))
        return more is not None

    async def count_unsent(self, now: float) -> int:
        """Return how many outcomes wait for the topic; more than a batch are not counted.

        Args:
            now: seconds since the epoch. What is younger than a minute is being sent.
        """
        before = f"{round(1000 * (now - IN_FLIGHT_SECONDS)):013}"
        records, _ = await self._store.page(UNSENT, "", BATCH)
        return sum(record.key < before for record in records)

    async def _send_or_drop(self, key: str, event: Event) -> None:
        """Send an outcome; one that the topic would refuse again stays in the history only."""
        try:
            await self._send(key, event)
        except ArmRefused as error:
            if error.arm is None or error.arm.status not in (400, 413):
                raise
            log.error("outcome %s is refused by the topic: %s", event.get("id"), error)  # noqa: TRY400
            await self._store.delete(UNSENT, key)

    async def _send(self, key: str, event: Event) -> None:
        from shared.cloud.topic import publish  # noqa: PLC0415 - only where there is a topic

        if event:  # else its record was damaged, and there is nothing to send
            await publish(self._settings, event)
        await self._store.delete(UNSENT, key)

    async def history(
        self, guard_id: str, after: str = "", limit: int = 50
    ) -> tuple[list[Event], str | None]:
        """Return a guard's outcomes, newest first, and the key to go on after."""
        records, more = await self._store.page(history_kind(guard_id), after, limit)
        return [record.body for record in records if record.body], more


def log_outcome(event: Event) -> None:
    """Log an outcome in one structured line; alerts read it (`infra/modules/alerts.bicep`)."""
    data = event["data"]
    kind = event["type"].removeprefix(PREFIX)
    is_weaker = bool(data.get("weakened"))
    is_good = kind in GOOD or (kind in ROUTINE and not is_weaker)
    log_event(
        log,
        "outcome",
        logging.INFO if is_good else logging.WARNING,
        outcome=kind,
        guard=data["guard"],
        summary=data["summary"],
        networkSecurityGroupId=data["networkSecurityGroupId"],
        principal=data.get("cause", {}).get("principal"),
        caller=data.get("by"),
        circuit=data.get("circuit"),
        poison=data.get("poison"),
        weakened=is_weaker or None,
        correlationId=data["correlationId"],
    )


async def save_once(store: Store, kind: str, key: str, body: dict[str, Any]) -> bool:
    """Save a record; returns False where there is one already."""
    try:
        await store.create(kind, key, body)
    except PreconditionFailed:
        return False
    return True
