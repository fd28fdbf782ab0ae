"""`GET /api/health`: whether the service can answer; `GET /api/health/details`: what of it can."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

from shared.amlfs.catalogue import load_catalogue, revisions
from shared.cloud.store import open_store
from shared.errors import GuardError, Misconfigured
from shared.guards.deleting import POISON
from shared.guards.guard import UnreadableGuard
from shared.guards.services import open_repository
from shared.http.answers import answered, json_response
from shared.nsg.locations import locations
from shared.nsg.service_tags import shipped_service_tags
from shared.settings import read_settings
from shared.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Awaitable

    import azure.functions as func

    from shared.settings import Settings

SECONDS = 10
"""What does not answer by then counts as down."""

SHOWN = 100
"""So many guards of each kind are named."""


async def report_health(request: func.HttpRequest) -> func.HttpResponse:
    """Answer `GET /api/health`, to anybody: up where data and store can be read."""
    try:
        read_settings()
    except Misconfigured:  # which setting is wrong is for those who have a key
        return json_response({"status": "down"}, 503)
    return await up_or_down(request)


@answered()
async def up_or_down(_: func.HttpRequest) -> func.HttpResponse:
    """Return whether data and store can be read."""
    ready = bool(locations()) and all(load_catalogue(revision).rows for revision in revisions())
    store = await checked(check_store(read_settings()))
    is_up = ready and store["status"] == "up"
    return json_response({"status": "up" if is_up else "down"}, 200 if is_up else 503)


@answered()
async def report_details(_: func.HttpRequest) -> func.HttpResponse:
    """Answer `GET /api/health/details`, to those who have the key."""
    settings = read_settings()
    store, arm, guards = await asyncio.gather(
        checked(check_store(settings)),
        checked(check_arm(settings)),
        checked(check_guards(settings)),
    )
    is_up = store["status"] == "up"
    is_degraded = arm["status"] == "down" or guards["status"] == "down" or has_trouble(guards)
    tags = shipped_service_tags(settings.cloud)
    return json_response(
        {
            "status": "down" if not is_up else "degraded" if is_degraded else "up",
            "version": VERSION,
            "azureFunctions": metadata.version("azure-functions"),
            "cloud": settings.cloud.value,
            "mayWrite": bool(settings.allowed_scopes),
            "store": store,
            "arm": arm,
            "guards": guards,
            "serviceTags": {
                "changeNumber": tags.change_number,
                "published": tags.published,
                "ageDays": tags.age_days(datetime.now(UTC).date()),
            },
        },
        200 if is_up else 503,
    )


def has_trouble(guards: dict[str, Any]) -> bool:
    """Whether a guard cannot be read, is in conflict with another, or fails."""
    return bool(guards.get("unreadable") or guards.get("conflicts") or guards.get("failing"))


async def check_guards(settings: Settings) -> dict[str, Any]:
    """Return the guards that cannot be read, that are in conflict with another, and that fail."""
    repository = await open_repository(settings)
    unreadable, conflicts, failing, count = [], [], [], 0
    async for guard in repository.all():
        count += 1
        if isinstance(guard, UnreadableGuard):
            unreadable.append({"name": guard.name, "reason": guard.reason})
            continue
        if guard.declaration_error is not None:
            unreadable.append({"name": guard.name, "reason": guard.declaration_error})
        if guard.failure is not None and guard.failure.announced:
            failing.append({"name": guard.name, "reason": guard.failure.reason})
        if guard.conflict is not None:
            known = {"guard": guard.conflict.guard, "resource": guard.conflict.resource}
            conflicts.append({"name": guard.name, **known})
    named = {"unreadable": unreadable, "conflicts": conflicts, "failing": failing}
    return {"count": count, **{kind: found[:SHOWN] for kind, found in named.items()}}


async def checked(check: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """Return what a check says, and how long it took."""
    started = time.perf_counter()
    try:
        async with asyncio.timeout(SECONDS):
            found = {"status": "up", **await check}
    except (GuardError, TimeoutError) as error:
        found = {"status": "down", "reason": str(error) or "no answer in time"}
    return {**found, "milliseconds": round(1000 * (time.perf_counter() - started), 1)}


async def check_store(settings: Settings) -> dict[str, Any]:
    """Read from the store; returns how many guards could not be reconciled."""
    store = open_store(settings)
    poisoned, _ = await store.page(POISON, limit=500)
    return {"poisonMessages": len(poisoned), "guards": [record.key for record in poisoned]}


async def check_arm(settings: Settings) -> dict[str, Any]:
    """Sign in and ask ARM for the subscriptions that can be seen."""
    from shared.cloud.network import Network  # noqa: PLC0415 - a cold start pays for it

    return {"endpoint": settings.arm_endpoint, **await Network(settings).reach()}
