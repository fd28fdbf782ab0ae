"""What one instance carries: `python -m tests.benchmarks.concurrency [--requests N] [--levels N …]`.

The service runs in one process on one core, as an instance of 2 GB has one on Flex Consumption (an
assumption: "CPU is allocated proportionally" is all that is documented). So many requests at once as the
first column says are kept waiting, of two kinds: a pipeline's verify with 200 rules of its own, which is
pure computing, and verify of a live NSG, which waits for two reads of an ARM that answers after 150 ms.
`perInstanceConcurrency` in `infra/modules/functions.bicep` follows from the table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

import httpx

from local.server import listen
from tests.azure import INTENT, NSG, VNET
from tests.benchmarks.applying import box
from tests.benchmarks.rule_sets import rule_set
from tests.planning.test_plan import nineteen

ROOT = Path(__file__).resolve().parents[2]
LEVELS = (1, 2, 4, 8, 16, 32)
PREFIXES = {
    "location": "eastus",
    "fileSystemSubnet": {"addressPrefixes": ["10.0.1.0/24"]},
    "clientSubnets": [{"addressPrefixes": ["10.0.2.0/24"]}],
}
GIVEN = {"intent": PREFIXES, "securityRules": rule_set(200)}
LIVE = {"intent": INTENT}
QUERY = {"api-version": "2024-07-01"}
ARM_SECONDS = 0.15


@contextmanager
def service(azure: str) -> Iterator[tuple[httpx.Client, int]]:
    """The local host in a process on one core; gives a client and the process's id."""
    listener = listen(0)
    port = listener.getsockname()[1]
    listener.close()
    command = [sys.executable, "-m", "local", "--port", str(port), "--azure", azure]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=ROOT, stdout=quiet, stderr=quiet) as process:
        try:
            os.sched_setaffinity(process.pid, {max(os.sched_getaffinity(0))})
            with httpx.Client(
                base_url=f"http://127.0.0.1:{port}",
                timeout=120,
                limits=httpx.Limits(max_connections=100),
            ) as client:
                wait_for(client)
                yield client, process.pid
        finally:
            process.terminate()


def wait_for(client: httpx.Client) -> None:
    """Wait until the service answers."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if client.get("/api/health").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the service does not answer")


def load(
    client: httpx.Client, body: object, together: int, count: int
) -> tuple[float, list[float]]:
    """Send requests, so many at a time; returns the seconds in all, and of each."""
    content, taken, left = json.dumps(body), [], iter(range(count))
    lock = threading.Lock()

    def ask() -> None:
        while True:
            with lock:
                if next(left, None) is None:
                    return
            started = time.perf_counter()
            answer = client.post("/api/verify", content=content)
            assert answer.status_code == 200, answer.text
            with lock:
                taken.append(time.perf_counter() - started)

    threads = [threading.Thread(target=ask) for _ in range(together)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started, taken


def peak(pid: int) -> float:
    """The largest memory of a process so far, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmHWM")


def measure(count: int, levels: tuple[int, ...] = LEVELS) -> list[str]:
    """Measure every level, and return the rows of a table."""
    rows = [
        "| together | given rules/s | median ms | 95 % ms | live NSG/s | median ms | 95 % ms | MiB |"
    ]
    rows.append("| --- " * 8 + "|")
    with box() as azure:
        prepare(azure)
        with service(str(azure.base_url).rstrip("/")) as (client, pid):
            load(client, GIVEN, 1, 5)
            load(client, LIVE, 1, 5)
            for together in levels:
                cells = [str(together)]
                for body in (GIVEN, LIVE):
                    seconds, taken = load(client, body, together, max(count, 3 * together))
                    last = quantiles(taken, n=20)[-1]
                    cells += [
                        f"{len(taken) / seconds:.1f}",
                        f"{1000 * median(taken):.0f}",
                        f"{1000 * last:.0f}",
                    ]
                rows.append("| " + " | ".join([*cells, f"{peak(pid):.0f}"]) + " |")
    return rows


def prepare(azure: httpx.Client) -> None:
    """Put the network of the intent into the emulator, whose answers take a while from now on."""
    subnets = [
        {
            "name": "lustre",
            "properties": {"addressPrefix": "10.0.1.0/24", "networkSecurityGroup": {"id": NSG}},
        },
        {"name": "clients", "properties": {"addressPrefix": "10.0.2.0/24"}},
    ]
    space = {"addressPrefixes": ["10.0.0.0/16"]}
    for path, properties in (
        (NSG, {"securityRules": nineteen()}),
        (VNET, {"addressSpace": space, "subnets": subnets}),
    ):
        body = {"location": "eastus", "properties": properties}
        azure.put(path, params=QUERY, json=body).raise_for_status()
    azure.patch("/_box/settings", json={"latencySeconds": ARM_SECONDS}).raise_for_status()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=300, help="of each kind, at each level")
    parser.add_argument("--levels", type=int, nargs="*", default=LEVELS)
    given = parser.parse_args()
    print("\n".join(measure(given.requests, tuple(given.levels))))


if __name__ == "__main__":
    main()
