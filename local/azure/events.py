"""Event Grid in the box: resource events, their delivery to webhooks, and a topic for outcomes.

Source: "Azure Resource Manager as an Event Grid source", "Event Grid delivery and retry" and "Webhook
event delivery", Microsoft Learn.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp

from local.azure.identity import TENANT

if TYPE_CHECKING:
    from local.azure.estate import Estate
    from local.azure.filters import Subscription
    from local.azure.operations import Operation

Document = dict[str, Any]

RETRY_SECONDS = (10, 30, 60, 300, 600, 1800, 3600, 10800, 21600, 43200)
"""Between one try and the next; the last one is repeated."""

TRIES, DAY = 30, 86400
NEVER_RETRIED = (400, 401, 403, 413)
ANSWER_SECONDS = 30
OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"


@dataclass(slots=True)
class Raised:
    """An event with what became of it.

    Attributes:
        event: in the schema that was set when it was raised.
        deliveries: each try, with its status (None where no answer came), time and number.
        dead_lettered: whether it was given up.
        lost: whether it never left, because the settings say that events get lost.
        filtered: whether there were subscriptions, and none wanted it.
    """

    event: Document
    deliveries: list[Document] = field(default_factory=list)
    dead_lettered: bool = False
    lost: bool = False
    filtered: bool = False

    def to_json(self) -> Document:
        """Spell the event with its deliveries."""
        more: Document = {"deliveries": self.deliveries, "deadLettered": self.dead_lettered}
        more |= {"lost": self.lost, "filtered": self.filtered}
        return {**self.event, **more}


class EventGrid:
    """Raises an event for every write that succeeds, and delivers it.

    Attributes:
        raised: all events, in order.
        subscriptions: where they are delivered, by name.
        outcomes: what the topic has taken, in order.
    """

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._chance = random.Random()  # noqa: S311 - no secret
        self._session: aiohttp.ClientSession | None = None
        self._deliveries: set[asyncio.Task[None]] = set()
        self._validated: set[tuple[str, str]] = set()
        self.subscriptions: dict[str, Subscription] = {}
        self.reset()

    def reset(self) -> None:
        """Forget events and outcomes; what is on its way is lost."""
        self.raised: list[Raised] = []
        self.outcomes: list[Document] = []
        self._waiting: dict[str, list[Raised]] = defaultdict(list)
        for task in self._deliveries:
            task.cancel()

    async def close(self) -> None:
        """End all deliveries."""
        self.reset()
        await asyncio.gather(*self._deliveries, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def subscribe(self, subscription: Subscription) -> None:
        """Deliver events to an endpoint from now on; see `Subscription`."""
        self.subscriptions[subscription.name or subscription.endpoint] = subscription
        self._validated = {one for one in self._validated if one[0] != subscription.endpoint}

    # -- raising ----------------------------------------------------------------------------------

    def raise_event(self, operation: Operation) -> None:
        """Raise the event of an operation that has succeeded."""
        settings, chance = self._estate.settings, self._chance
        event = event_of(operation, settings.eventSchema)
        raised = Raised(event)
        self.raised.append(raised)
        wanted = [name for name, one in self.subscriptions.items() if one.filter.passes(event)]
        raised.filtered = bool(self.subscriptions) and not wanted
        for name in wanted:
            if chance.random() < settings.eventLossRate:
                raised.lost = True
                continue
            copies = 2 if chance.random() < settings.eventDuplicateRate else 1
            for _ in range(copies):
                spread = chance.uniform(0, 10) if settings.eventReorder else 1
                delay = settings.eventDelaySeconds * spread
                self._waiting[name].append(raised)
                self._start(self._deliver(name, raised, delay))

    def _start(self, delivery: Any) -> None:
        task = asyncio.get_running_loop().create_task(delivery)
        self._deliveries.add(task)
        task.add_done_callback(self._deliveries.discard)

    # -- delivering -------------------------------------------------------------------------------

    async def _deliver(self, name: str, raised: Raised, delay: float) -> None:
        """Deliver one event, and what waits beside it, again and again where that helps.

        A batch is taken or refused as a whole, as Event Grid has it. Source: "Event Grid message
        delivery and retry: output batching", Microsoft Learn.
        """
        await asyncio.sleep(delay)
        batch = self._batch_of(name, raised)
        if not batch:  # it went with another's batch
            return
        waited = 0.0
        for attempt in range(1, TRIES + 1):
            subscription = self.subscriptions.get(name)
            if subscription is None:  # it was deleted: nobody wants the event any more
                break
            status = await self._try(subscription.endpoint, [raised.event for raised in batch])
            now = datetime.now(UTC).isoformat()
            for one in batch:
                one.deliveries.append({"status": status, "time": now, "attempt": attempt})
            if status is not None and status < 300:
                return
            seconds = RETRY_SECONDS[min(attempt - 1, len(RETRY_SECONDS) - 1)]
            waited += seconds
            if status in NEVER_RETRIED or waited > DAY:
                break
            await asyncio.sleep(seconds * self._estate.settings.retryScale)
        for one in batch:
            one.dead_lettered = True

    def _batch_of(self, name: str, raised: Raised) -> list[Raised]:
        """Take an event, and others of its schema that wait for the same subscription."""
        waiting = self._waiting[name]
        if raised not in waiting:
            return []
        waiting.remove(raised)
        size = int(self._estate.settings.eventBatchSize)
        kind = is_cloud_event(raised.event)
        others = [one for one in waiting if is_cloud_event(one.event) == kind][: size - 1]
        for one in others:
            waiting.remove(one)
        return [raised, *others]

    async def _try(self, webhook: str, events: list[Document]) -> int | None:
        """Deliver once; returns the status, or None where no answer came in time."""
        is_cloud = is_cloud_event(events[0])
        body: Any = events[0] if is_cloud and len(events) == 1 else events
        kind = "application/json"
        if is_cloud:
            kind = f"application/cloudevents{'-batch' if len(events) > 1 else ''}+json"
        headers = {"Content-Type": f"{kind}; charset=utf-8", "aeg-event-type": "Notification"}
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._validate(webhook, is_cloud=is_cloud)
                session = self._open()
                async with session.post(webhook, json=body, headers=headers) as answer:
                    return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def _validate(self, webhook: str, *, is_cloud: bool) -> None:
        """Shake hands before the first delivery in a schema."""
        key = webhook, "cloud" if is_cloud else "grid"
        if key in self._validated:
            return
        session = self._open()
        if is_cloud:
            headers = {"WebHook-Request-Origin": "eventgrid.azure.net"}
            async with session.options(webhook, headers=headers) as answer:
                accepted = answer.headers.get("WebHook-Allowed-Origin") is not None
        else:
            code = str(uuid.uuid4())
            event = validation_event(code)
            headers = {"aeg-event-type": "SubscriptionValidation"}
            async with session.post(webhook, json=[event], headers=headers) as answer:
                document = await answer.json(content_type=None) if answer.status == 200 else {}
                accepted = (document or {}).get("validationResponse") == code
        if not accepted:
            raise aiohttp.ClientError("the webhook did not shake hands")
        self._validated.add(key)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session

    # -- the topic --------------------------------------------------------------------------------

    def take(self, events: Any) -> str | None:
        """Take CloudEvents into the topic; returns what is wrong with them, if anything."""
        for event in events if isinstance(events, list) else [events]:
            known = isinstance(event, dict) and event.get("specversion") == "1.0"
            if not known or not all(event.get(name) for name in ("id", "source", "type")):
                return "Every event needs specversion 1.0, id, source and type."
        self.outcomes += events if isinstance(events, list) else [events]
        return None


def is_cloud_event(event: Document) -> bool:
    """Whether an event is a CloudEvent."""
    return "specversion" in event


def event_of(operation: Operation, schema: str) -> Document:
    """Return the resource event of an operation."""
    target, caller = operation.target, operation.caller
    verb = "delete" if operation.is_delete else "write"
    action = f"{target.type}/{verb}"
    data = {
        "authorization": {"scope": str(target), "action": action, "evidence": {}},
        "claims": {OBJECT_ID: caller.principal, "oid": caller.principal}
        if caller.principal
        else {},
        "correlationId": caller.correlation_id,
        "httpRequest": {},
        "resourceProvider": target.namespace,
        "resourceUri": str(target),
        "operationName": action,
        "status": "Succeeded",
        "subscriptionId": target.subscription,
        "tenantId": TENANT,
    }
    kind = f"Microsoft.Resources.Resource{verb.title()}Success"
    stamp = datetime.fromtimestamp(time.time(), UTC).isoformat().replace("+00:00", "Z")
    event_id = str(uuid.uuid4())
    if schema == "CloudEventSchemaV1_0":
        return {
            "specversion": "1.0",
            "id": event_id,
            "source": f"/subscriptions/{target.subscription}",
            "subject": str(target),
            "type": kind,
            "time": stamp,
            "data": data,
        }
    return {
        "id": event_id,
        "topic": f"/subscriptions/{target.subscription}",
        "subject": str(target),
        "eventType": kind,
        "eventTime": stamp,
        "data": data,
        "dataVersion": "2",
        "metadataVersion": "1",
    }


def validation_event(code: str) -> Document:
    """Return the event with which a webhook is asked whether it wants events."""
    return {
        "id": str(uuid.uuid4()),
        "topic": f"/subscriptions/{uuid.UUID(int=0)}",
        "subject": "",
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": datetime.now(UTC).isoformat(),
        "data": {"validationCode": code},
        "dataVersion": "2",
        "metadataVersion": "1",
    }
