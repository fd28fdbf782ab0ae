"""Plan and apply against the embedded Azure in a process of its own, next to nineteen child writes.

What the box itself takes is measured with the same calls made by hand, and given beside.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import httpx

from shared.applying.applying import ApplyRun
from shared.applying.applying import apply as apply_run
from shared.applying.live import read_live
from shared.applying.planned import plan_live
from shared.applying.refusals import ApplyOptions
from shared.cloud.clients import clients, close_clients
from shared.cloud.network import Network
from shared.context import invocation
from shared.documents import read_document
from shared.http.plans import ApplyRequest
from shared.settings import read_settings
from tests.azure import INTENT, NSG, VNET, rule
from tests.benchmarks.table import Measurement
from tests.planning.test_plan import nineteen

SIZES = (1, 100, 981)
"""Foreign rules; with the article's nineteen the last one fills an NSG."""

QUERY = {"api-version": "2024-07-01"}


@contextmanager
def box(*arguments: str) -> Iterator[httpx.Client]:
    """An Azure emulator in a process of its own, whose operations take no time.

    It ends with this process, also where that fails: then its input ends.
    """
    command = [sys.executable, "-m", "tests.benchmarks.box", *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            with client_of(process.stdout.readline().strip()) as client:
                yield client
        finally:
            process.stdin.close()
            process.terminate()


@contextmanager
def client_of(url: str) -> Iterator[httpx.Client]:
    """A client of the emulator; the environment leads the service to it."""
    os.environ |= {
        "AMLFS_ARM_ENDPOINT": url,
        "AMLFS_ALLOWED_SCOPES": "/",
        "IDENTITY_ENDPOINT": f"{url}/msi/token",
        "IDENTITY_HEADER": "benchmark",
    }
    with httpx.Client(base_url=url, timeout=60) as client:
        client.patch("/_box/settings", json={"operationSeconds": 0})
        yield client


def foreign(count: int) -> list[dict[str, Any]]:
    return [
        rule(f"f{i}", 1100 + i, "Inbound", "Deny", sourceAddressPrefix=f"10.{i % 250}.7.0/24")
        for i in range(count)
    ]


def put_nsg(azure: httpx.Client, rules: list[dict[str, Any]]) -> None:
    body = {"location": "eastus", "properties": {"securityRules": rules}}
    azure.put(NSG, params=QUERY, json=body).raise_for_status()


def put_network(azure: httpx.Client) -> None:
    subnets = [
        {"name": "lustre", "properties": {"addressPrefix": "10.0.1.0/24"}},
        {"name": "clients", "properties": {"addressPrefix": "10.0.2.0/24"}},
    ]
    subnets[0]["properties"]["networkSecurityGroup"] = {"id": NSG}  # type: ignore[index]
    space = {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": subnets}
    azure.put(VNET, params=QUERY, json={"location": "eastus", "properties": space})


def forget(azure: httpx.Client) -> None:
    azure.delete("/_box/calls")


def count(azure: httpx.Client) -> int:
    return len(azure.get("/_box/calls").json()["value"])


def timed(work: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[float]]:
    async def measured() -> float:
        started = time.perf_counter()
        async with invocation(60):
            await work()
        return 1000 * (time.perf_counter() - started)

    return measured


def by_hand(azure: httpx.Client) -> float:
    """Milliseconds of an apply's calls without the service: two reads, a write, a poll, a read."""
    started = time.perf_counter()
    nsg = azure.get(NSG, params=QUERY)
    azure.get(VNET, params=QUERY)
    put = azure.put(NSG, params=QUERY, content=nsg.content)
    azure.get(put.headers["azure-asyncoperation"])
    azure.get(NSG, params=QUERY)
    return 1000 * (time.perf_counter() - started)


async def measured(azure: httpx.Client, size: int, repeat: int) -> list[Measurement]:
    statement = read_document(ApplyRequest, {"intent": INTENT}).intent
    settings = read_settings()
    network = Network(settings)
    drifted = [*nineteen()[1:], *foreign(size)]

    async def plan() -> None:
        plan_live(await read_live(statement, network))

    async def apply() -> None:
        run = ApplyRun(statement, ApplyOptions(), settings, network)
        await apply_run(run, settings)

    planning, applying, alone = [], [], []
    calls = 0
    for turn in range(repeat + 1):
        put_nsg(azure, drifted)
        one = await timed(plan)()
        forget(azure)
        two = await timed(apply)()
        calls = count(azure)
        if turn:
            planning.append(one)
            applying.append(two)
            alone.append(by_hand(azure))
    of = f"{size} foreign rules"
    return [
        Measurement(f"plan, {of}", median(planning), "ms"),
        Measurement(f"apply, {of}", median(applying), "ms", note=f"{calls} ARM calls"),
        Measurement("  the same calls by hand", median(alone), "ms"),
    ]


async def nineteen_writes(azure: httpx.Client, repeat: int) -> list[Measurement]:
    """What people do today: nineteen child rules, one after the other."""
    client = clients(read_settings()).of(NSG.split("/")[2])
    times = []
    for _ in range(repeat):
        put_nsg(azure, [])
        forget(azure)
        started = time.perf_counter()
        for one in nineteen():
            body: Any = {"properties": one["properties"]}
            poller = await client.security_rules.begin_create_or_update(
                "lustre", "nsg-lustre", one["name"], body
            )
            await poller.result()
        times.append(1000 * (time.perf_counter() - started))
    note = f"{count(azure)} ARM calls, eighteen half-finished firewalls in between"
    return [Measurement("nineteen child writes, no foreign rules", median(times), "ms", note=note)]


FIRST_USE = """
import asyncio, time
started = time.perf_counter()
import contextlib
from shared.cloud.network import Network
from shared.errors import NotFound
from shared.settings import read_settings
async def main():
    network = Network(read_settings())
    made = time.perf_counter()
    group = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network"
    with contextlib.suppress(NotFound):  # nothing is there; the call is what counts
        await network.nsg(f"{group}/networkSecurityGroups/n")
    done = time.perf_counter()
    from shared.cloud.clients import close_clients
    await close_clients()
    print(1000 * (made - started), 1000 * (done - made))
asyncio.run(main())
"""


def first_use(repeat: int) -> list[Measurement]:
    """What a cold process pays for its first call to ARM, once."""
    runs = [
        [float(x) for x in subprocess.check_output([sys.executable, "-c", FIRST_USE]).split()]
        for _ in range(repeat + 1)
    ][1:]
    return [
        Measurement("first use: import of the Azure clients", median(r[0] for r in runs), "ms"),
        Measurement("first use: token and first call", median(r[1] for r in runs), "ms"),
    ]


def measure(*, quick: bool, smallest: bool = False) -> list[Measurement]:
    repeat = 1 if smallest else 5 if quick else 15

    async def main(azure: httpx.Client) -> list[Measurement]:
        put_nsg(azure, [])
        put_network(azure)
        found = []
        for size in SIZES[:1] if smallest else SIZES:
            found += await measured(azure, size, repeat)
        found += await nineteen_writes(azure, 1 if smallest else 2 if quick else 5)
        await close_clients()
        return found

    with box() as azure:
        return [*asyncio.run(main(azure)), *first_use(1 if smallest else 2 if quick else 7)]
