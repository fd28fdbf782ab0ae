"""Guards that cannot be read: announced once, with the reason, and never in the way of others."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from typing import TYPE_CHECKING

from shared.errors import PreconditionFailed
from shared.guards.outcome import Outcome, OutcomeType
from shared.guards.outcomes import event_of

if TYPE_CHECKING:
    from shared.cloud.store import Store
    from shared.guards.guard import UnreadableGuard
    from shared.guards.observation import Cause
    from shared.guards.outcomes import Outcomes

log = logging.getLogger(__name__)

ANNOUNCED = "unreadable"
"""The kind of the records that say which reason was announced for which guard."""


async def announce_unreadable(
    store: Store, outcomes: Outcomes, guard: UnreadableGuard, cause: Cause
) -> None:
    """Publish one `failed` outcome for each reason for which a guard cannot be read."""
    body = {"reason": hashlib.sha256(guard.reason.encode()).hexdigest()}
    record = await store.get(ANNOUNCED, guard.key)
    if record is not None and record.body == body:
        return
    try:
        if record is None:
            await store.create(ANNOUNCED, guard.key, body)
        else:
            await store.replace(ANNOUNCED, guard.key, body, record.version)
    except PreconditionFailed:
        return  # another process announces it in this moment
    log.error("guard %s cannot be read: %s", guard.name, guard.reason)
    data = {"reason": guard.reason, "cause": cause.to_json(), "verdictAfter": "undecided"}
    outcome = Outcome(OutcomeType.FAILED, data)
    await outcomes.publish(guard.id, event_of(guard, outcome))


async def forget_unreadable(store: Store, key: str) -> None:
    """Forget that a guard could not be read: it was replaced or deleted."""
    with contextlib.suppress(PreconditionFailed):
        await store.delete(ANNOUNCED, key)
