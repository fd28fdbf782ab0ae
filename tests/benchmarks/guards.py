"""Guards: from an event to "restored", an event of no interest, and a sweep of thousands."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from statistics import median
from types import SimpleNamespace
from typing import Any

import httpx

from shared.cloud.clients import close_clients
from shared.cloud.store import close_stores
from shared.context import invocation
from shared.guards.triggers import on_event
from shared.http.guards import register
from tests.azure import INTENT, NSG
from tests.benchmarks.applying import QUERY, box, by_hand, put_network, put_nsg
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
        await register("fs", GuardStatement.model_validate({"intent": INTENT}), None)
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


def sweep(count: int) -> list[Measurement]:
    """A sweep of so many guards, one in a hundred drifted, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.sweep", str(count)],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, mebibytes, reads, pages, drifted = (float(x) for x in done.stdout.split())
    assert drifted == count // 100, done.stdout
    limits = (60.0, 300.0) if count == 10_000 else (None, None)
    note = f"{reads:.0f} ARM reads for {pages:.0f} pages, {drifted:.0f} drifted"
    return [
        Measurement(f"sweep of {count:,} guards", seconds, "s", budget=limits[0], note=note),
        Measurement("  memory at its peak", mebibytes, "MiB", budget=limits[1]),
        Measurement("  ARM reads beyond the pages", reads - pages, "", budget=0),
    ]


def measure(*, quick: bool) -> list[Measurement]:
    os.environ |= {"AMLFS_CIRCUIT_SAME": "100000", "AMLFS_CIRCUIT_ANY": "100000"}
    with box() as azure:
        found = asyncio.run(events(azure, 10 if quick else 40))
    return [*found, *sweep(500 if quick else 10_000)]
