"""Guards: from an event to "restored", an event of no interest, and a sweep of thousands."""

from __future__ import annotations

import asyncio
import os
import time
from statistics import median
from types import SimpleNamespace
from typing import Any

import httpx

from local.queues import connection_to
from shared.cloud.clients import close_clients
from shared.cloud.queues import close_queues
from shared.cloud.store import close_stores
from shared.context import invocation
from shared.guards.triggers import on_event
from shared.http.registration import register
from tests.azure import INTENT, NSG
from tests.benchmarks.applying import QUERY, box, by_hand, put_network, put_nsg
from tests.benchmarks.queue_server import queue_server
from tests.benchmarks.sweep import run as run_sweep
from tests.benchmarks.table import Measurement
from tests.planning.test_plan import nineteen

RULE = f"{NSG}/securityRules/AMLFS-Out-KeyVault"


def event(subject: str) -> Any:
    return SimpleNamespace(
        id="e",
        subject=subject,
        event_type="Microsoft.Resources.ResourceDeleteSuccess",
        get_json=lambda: {"claims": {}},
    )


async def events(azure: httpx.Client, repeat: int) -> list[Measurement]:
    from shared.guards.guard import GuardStatement  # noqa: PLC0415

    put_nsg(azure, nineteen())
    put_network(azure)
    async with invocation(60):
        await register("fs", GuardStatement.model_validate({"intent": INTENT}), "bench")
    restored, alone, foreign = [], [], []
    for _ in range(repeat):
        drop(azure)
        started = time.perf_counter()
        await on_event(event(RULE))
        restored.append(1000 * (time.perf_counter() - started))
        alone.append(by_hand(azure))
    for _ in range(50 * repeat):
        started = time.perf_counter()
        await on_event(event(f"{NSG}-of-somebody-else"))
        foreign.append(1000 * (time.perf_counter() - started))
    await close_clients()
    await close_queues()
    await close_stores()
    beyond = median(restored) - median(alone)
    return [
        Measurement("from an event to restored", median(restored), "ms"),
        Measurement("  the same ARM calls by hand", median(alone), "ms"),
        Measurement("  beyond Azure's own latency", beyond, "ms", budget=50),
        Measurement("an event that no guard concerns", median(foreign), "ms", budget=2),
    ]


def drop(azure: httpx.Client) -> None:
    azure.delete(RULE, params=QUERY).raise_for_status()


def sweeps(*, quick: bool, smallest: bool) -> list[Measurement]:
    """Sweeps of many guards, one in a hundred drifted; emulator and workers are processes."""
    if smallest:
        return sweep(20, 2, 1, part_size=5)
    found = sweep(1_000 if quick else 10_000, 1, 1, part_size=500 if quick else 5_000)
    return found if quick else found + sweep(10_000, 1, 2)


def sweep(
    count: int, subscriptions: int, workers: int, part_size: int = 5_000
) -> list[Measurement]:
    first, swept = run_sweep(count, subscriptions, [workers, workers], part_size)
    assert (first.queued, swept.queued) == (swept.expected, swept.expected), (first, swept)
    is_budgeted = (count, workers) == (10_000, 1)
    seconds, mebibytes = (60.0, 200.0) if is_budgeted else (None, None)
    of = f"{count:,} guards, {workers} {'worker' if workers == 1 else 'workers'}"
    note = f"{swept.reads} ARM reads for {swept.pages} pages, {swept.queued} drifted"
    return [
        Measurement(f"sweep of {of}", swept.seconds, "s", budget=seconds, note=note),
        Measurement("  every guard proved anew, as after an upgrade", first.seconds, "s"),
        Measurement("  memory at its peak", first.mebibytes, "MiB", budget=mebibytes),
        Measurement("  ARM reads beyond the pages", swept.reads - swept.pages, "", budget=0),
    ]


def measure(*, quick: bool, smallest: bool = False) -> list[Measurement]:
    os.environ |= {"AMLFS_CIRCUIT_SAME": "100000", "AMLFS_CIRCUIT_ANY": "100000"}
    repeat = 1 if smallest else 10 if quick else 40
    with queue_server() as queues, box() as azure:
        os.environ["AzureWebJobsStorage"] = connection_to(queues.port)
        found = asyncio.run(events(azure, repeat))
    return [*found, *sweeps(quick=quick, smallest=smallest)]
