"""Messages in the service's queues: which guard, why, and when.

A message is JSON; a bare guard name, as a person types it, is one too. The time of a second look
travels in the message, so that every process keeps it.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.guards.observation import Cause

if TYPE_CHECKING:
    from shared.settings import Settings

LOOKS, GUARDS, SWEEPS = "amlfs-looks", "amlfs-guards", "amlfs-sweeps"


@dataclass(frozen=True, slots=True)
class GuardMessage:
    """A guard that must be looked at.

    Attributes:
        guard: its key; empty where the message is about a resource whose guards are not known yet.
        cause: why; None: as the queue's function has it.
        resource: the changed resource, where its guards are not known yet.
        due: not before this time, in seconds since the epoch.
        correlation_id: of the change.
    """

    guard: str
    cause: Cause | None = None
    resource: str | None = None
    due: float | None = None
    correlation_id: str | None = None

    def to_text(self) -> str:
        """Return the message."""
        document = {
            "guard": self.guard,
            "cause": self.cause.to_json() if self.cause else None,
            "resource": self.resource,
            "due": self.due,
            "correlationId": self.correlation_id,
        }
        return json.dumps({name: value for name, value in document.items() if value is not None})


def read_message(text: str) -> GuardMessage:
    """Read a message; what is no JSON object is the name of a guard."""
    try:
        document: Any = json.loads(text)
    except ValueError:
        document = text
    if not isinstance(document, dict):
        return GuardMessage(str(document).strip().lower())
    cause, due = document.get("cause"), document.get("due")
    return GuardMessage(
        guard=str(document.get("guard", "")).lower(),
        cause=Cause.from_json(cause) if isinstance(cause, dict) else None,
        resource=text_or_none(document.get("resource")),
        due=float(due) if isinstance(due, int | float) else None,
        correlation_id=text_or_none(document.get("correlationId")),
    )


def text_or_none(value: object) -> str | None:
    """Return a value that is a text."""
    return value if isinstance(value, str) else None


async def send(settings: Settings, queue: str, message: GuardMessage) -> None:
    """Send a message, to be received when it is due; raises `GuardError`."""
    from shared.cloud.queues import send_message  # noqa: PLC0415 - it imports an Azure SDK

    delay = message.due - time.time() if message.due is not None else 0.0
    await send_message(settings, queue, message.to_text(), delay)
