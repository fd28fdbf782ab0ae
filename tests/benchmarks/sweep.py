"""One sweep, measured: prints seconds, MiB at the peak, ARM reads, pages and drifted guards."""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from math import ceil
from pathlib import Path

import httpx
from shared.guards.findings import watched_by
from shared.guards.service import open_book, open_desk

from shared.cloud.clients import close_clients
from shared.cloud.store import close_stores
from shared.context import calls_made, invocation
from shared.guards.declared import new_guard
from shared.guards.guard import GuardStatement
from shared.guards.sweep import Sweep
from shared.settings import read_settings
from tests.azure import NETWORK
from tests.benchmarks.applying import QUERY, box
from tests.planning.test_plan import nineteen

PER_NETWORK = 200
PAGE = 250


def nsg_id(n: int) -> str:
    return f"{NETWORK}/networkSecurityGroups/n{n:05}"


def network_id(n: int) -> str:
    return f"{NETWORK}/virtualNetworks/v{n // PER_NETWORK:03}"


def intent(n: int) -> dict:
    network = network_id(n)
    return {
        "location": "eastus",
        "fileSystemSubnet": {"id": f"{network}/subnets/s{n:05}"},
        "clientSubnets": [{"id": f"{network}/subnets/clients"}],
        "networkSecurityGroupId": nsg_id(n),
    }


def fill(azure: httpx.Client, count: int) -> None:
    for n in range(count):
        within = n % PER_NETWORK
        own = {"addressPrefixes": [f"10.0.{within}.0/24"]}
        clients = [{"addressPrefixes": ["10.0.255.0/24"]}]
        rules = nineteen({"location": "eastus", "fileSystemSubnet": own, "clientSubnets": clients})
        if n % 100 == 7:
            rules = rules[1:]
        body = {"location": "eastus", "properties": {"securityRules": rules}}
        azure.put(nsg_id(n), params=QUERY, json=body).raise_for_status()
    for first in range(0, count, PER_NETWORK):
        subnets: list[dict] = [
            {
                "name": f"s{n:05}",
                "properties": {
                    "addressPrefix": f"10.0.{n % PER_NETWORK}.0/24",
                    "networkSecurityGroup": {"id": nsg_id(n)},
                },
            }
            for n in range(first, min(first + PER_NETWORK, count))
        ]
        subnets.append({"name": "clients", "properties": {"addressPrefix": "10.0.255.0/24"}})
        space = {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": subnets}
        body = {"location": "eastus", "properties": space}
        azure.put(network_id(first), params=QUERY, json=body).raise_for_status()


async def measured(count: int) -> tuple[float, float, int, int, int]:
    settings = read_settings()
    book = await open_book(settings)
    for n in range(count):
        statement = GuardStatement.model_validate({"intent": intent(n)})
        guard = new_guard(statement, f"g{n:05}").checked("compliant", 0.0)
        await book.create(guard)
        assert watched_by(statement.intent)
    started = time.perf_counter()
    async with invocation(600):
        swept = await Sweep(await open_desk(settings, book)).run()
        reads = calls_made()
    seconds = time.perf_counter() - started
    pages = ceil(count / PAGE) + ceil(count / PER_NETWORK / PAGE)
    await close_clients()
    await close_stores()
    return seconds, peak_mib(), reads, pages, len(swept.drifted)


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
    count = int(sys.argv[1])
    with box() as azure:
        fill(azure, count)
        print(*asyncio.run(measured(count)))


if __name__ == "__main__":
    main()
