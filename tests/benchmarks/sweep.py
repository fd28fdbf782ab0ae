"""The sweep, measured: `python -m tests.benchmarks.sweep COUNT SUBSCRIPTIONS WORKERS …`.

The emulator, the queue and each worker are processes of their own. A worker takes messages of the
sweep's queue and handles them as the function does; the first message is the timer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path

from tests.benchmarks.applying import box
from tests.benchmarks.estate import FINDINGS, is_drifted, pages, save_guards
from tests.benchmarks.queue_server import queue_server

ROOT = Path(__file__).resolve().parents[2]
READS, READS_A_SECOND = 250, 25
"""ARM's token bucket of a subscription. Source: "Understand how Azure Resource Manager throttles
requests"."""

PAGE_SECONDS = 1.0
"""Assumed for one list call of ARM."""


@dataclass(frozen=True)
class Sweep:
    """What one sweep took.

    Attributes:
        seconds: from the timer to the end of the last part.
        cpu_seconds: of all workers.
        mebibytes: the largest worker at its peak.
        reads: calls to ARM.
        pages: the list calls that the parts need.
        queued: guards that were found to need work.
        expected: guards that do.
    """

    seconds: float
    cpu_seconds: float
    mebibytes: float
    reads: int
    pages: int
    queued: int
    expected: int


def run(
    count: int, subscriptions: int, workers: Sequence[int], part_size: int = 5_000
) -> list[Sweep]:
    """Sweep so many guards several times, each time with so many workers.

    Returns:
        The sweeps. The first one proves every guard, as after an upgrade; a further one proves what
        has changed since.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        queues = stack.enter_context(queue_server())
        azure = stack.enter_context(box(str(count), str(subscriptions)))
        path = f"{folder}/guards.db"
        os.environ |= {
            "AMLFS_STORE": f"sqlite:{path}",
            "AzureWebJobsStorage": connection(queues.port),
            "AMLFS_BENCH_QUEUE": f"http://127.0.0.1:{queues.port}",
            "AMLFS_BENCH_PART_SIZE": str(part_size),
        }
        learn_findings()
        save_guards(path, count, subscriptions)
        found = []
        for several in workers:
            azure.delete("/_box/calls")
            before = queues.count("amlfs-guards")
            seconds, reports = sweep_once(several)
            found.append(
                Sweep(
                    seconds=seconds,
                    cpu_seconds=sum(report["cpu"] for report in reports),
                    mebibytes=max(report["mebibytes"] for report in reports),
                    reads=len(azure.get("/_box/calls").json()["value"]),
                    pages=pages(count, subscriptions, part_size),
                    queued=queues.count("amlfs-guards") - before,
                    expected=sum(map(is_drifted, range(count))),
                )
            )
        return found


def sweep_once(workers: int) -> tuple[float, list[dict[str, float]]]:
    """Run one sweep; returns its seconds, and what each worker reports."""
    command = [sys.executable, "-m", "tests.benchmarks.sweep_worker"]
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            for _ in range(workers)
        ]
        for worker in started:
            assert worker.stdout is not None
            assert worker.stdout.readline().strip() == b"ready"
        begun = time.time()
        for n, worker in enumerate(started):
            assert worker.stdin is not None
            worker.stdin.write(b"timer\n" if n == 0 else b"parts\n")
            worker.stdin.close()
        reports = [json.loads(worker.stdout.read()) for worker in started if worker.stdout]
        for worker in started:
            assert worker.wait() == 0
    return max(report["ended"] for report in reports) - begun, reports


def connection(port: int) -> str:
    from local.queues import connection_to  # noqa: PLC0415

    return connection_to(port)


def learn_findings() -> None:
    """Look up the notices that every guard of the estate has, so that none of them is news."""
    from shared.amlfs.advice import advise  # noqa: PLC0415
    from shared.amlfs.catalogue import load_catalogue  # noqa: PLC0415
    from shared.documents import read_document  # noqa: PLC0415
    from shared.http.rules import RulesRequest  # noqa: PLC0415
    from shared.nsg.locations import Cloud  # noqa: PLC0415
    from shared.nsg.service_tags import shipped_service_tags  # noqa: PLC0415

    stated = {
        "location": "eastus",
        "fileSystemSubnet": {"addressPrefixes": ["10.0.0.0/24"]},
        "clientSubnets": [{"addressPrefixes": ["10.0.255.0/24"]}],
    }
    intent = read_document(RulesRequest, {"intent": stated}).intent.resolve()
    tags = shipped_service_tags(Cloud.PUBLIC)
    FINDINGS[:] = [notice.to_json() for notice in advise(intent, load_catalogue(), tags)]


def estimate(cpu_seconds: float, count: int, subscriptions: int, instances: int) -> float:
    """Estimate the seconds of a sweep with so many instances in Azure.

    Each instance has a core; parts are handed out evenly; a list call takes `PAGE_SECONDS`; calls
    beyond a subscription's bucket wait for its refill.
    """
    calls = pages(count, subscriptions, 5_000)
    parts = subscriptions * ceil(count / subscriptions / 5_000)
    rounds = ceil(parts / instances)
    each = cpu_seconds / parts + calls / parts * PAGE_SECONDS
    beyond = max(0, calls / subscriptions - READS) / READS_A_SECOND
    return rounds * each + beyond


def main() -> None:
    count, subscriptions, *workers = (int(text) for text in sys.argv[1:])
    for several, found in zip(workers, run(count, subscriptions, workers), strict=True):
        fields = {k: round(v, 1) if isinstance(v, float) else v for k, v in asdict(found).items()}
        model = estimate(found.cpu_seconds, count, subscriptions, 20)
        print(
            f"{several} worker(s): {fields}, estimated with 20 instances: {model:.0f} s", flush=True
        )


if __name__ == "__main__":
    main()
