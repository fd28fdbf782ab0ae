"""A worker of the sweep's benchmark: it imports what the function in Azure imports, and little else."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
import urllib.request
from pathlib import Path

from shared.guards import sweep
from shared.guards.triggers import on_part, on_timer

TIMER = "timer"
POLL_SECONDS = 0.05
FIRST, LAST = 300.0, 1.0
"""Seconds that a worker waits for its first message, and for a further one."""


def take(address: str) -> str | None:
    """Take a message of the sweep's queue; None where there is none."""
    request = urllib.request.Request(f"{address}/take/amlfs-sweeps", b"", method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode() if answer.status == 200 else None


async def handle(role: str, address: str) -> float:
    """Handle messages until the queue stays empty; returns when the last one was done."""
    from shared.cloud.clients import close_clients  # noqa: PLC0415
    from shared.cloud.queues import close_queues  # noqa: PLC0415
    from shared.cloud.store import close_stores  # noqa: PLC0415

    if role == TIMER:
        await on_timer(past_due=False)
    ended = time.time()
    patience = LAST if role == TIMER else FIRST
    while patience > 0:
        while (message := await asyncio.to_thread(take, address)) is not None:
            await on_part(message)
            ended, patience = time.time(), LAST
        await asyncio.sleep(POLL_SECONDS)
        patience -= POLL_SECONDS
    await close_clients()
    await close_queues()
    await close_stores()
    return ended


def peak_mib() -> float:
    """The most memory that this process had, in MiB.

    Linux's `ru_maxrss` is no such thing: a process that was spawned starts with its parent's.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = [one for one in status.read_text().splitlines() if one.startswith("VmHWM:")]
        return int(line.split()[1]) / 1024
    scale = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def main() -> None:
    sweep.PART_SIZE = int(os.environ["AMLFS_BENCH_PART_SIZE"])
    print("ready", flush=True)
    role = sys.stdin.readline().strip()
    started = time.process_time()
    ended = asyncio.run(handle(role, os.environ["AMLFS_BENCH_QUEUE"]))
    cpu = time.process_time() - started
    print(json.dumps({"cpu": cpu, "mebibytes": peak_mib(), "ended": ended}))


if __name__ == "__main__":
    main()
