"""Many guarded file systems, divided over subscriptions: in the emulator, and as guards in a store."""

from __future__ import annotations

import time
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any

from local.azure.operations import Caller
from local.azure.paths import read_resource_id
from local.azure.resources import Resource

if TYPE_CHECKING:
    from local.azure.server import Box

PER_NETWORK = 200
PAGE = 250
API = "2024-07-01"


def subscription_of(n: int, count: int, subscriptions: int) -> int:
    return n * subscriptions // count


def group(subscription: int) -> str:
    return (
        f"/subscriptions/00000000-0000-0000-0000-{subscription:012}"
        "/resourceGroups/lustre/providers/Microsoft.Network"
    )


def nsg_id(n: int, subscription: int) -> str:
    return f"{group(subscription)}/networkSecurityGroups/n{n:06}"


def network_id(n: int, subscription: int) -> str:
    return f"{group(subscription)}/virtualNetworks/v{n // PER_NETWORK:04}"


def is_drifted(n: int) -> bool:
    return n % 100 == 7


def pages(count: int, subscriptions: int, part_size: int) -> int:
    """How many list calls the parts of a sweep need: of NSGs and of networks, for each part."""
    by_subscription: dict[int, list[int]] = {}
    for n in range(count):
        by_subscription.setdefault(subscription_of(n, count, subscriptions), []).append(n)
    total = 0
    for guards in by_subscription.values():
        networks = len({n // PER_NETWORK for n in guards})
        lists = ceil(len(guards) / PAGE) + ceil(networks / PAGE)
        total += ceil(len(guards) / part_size) * lists
    return total


def fill(box: Box, count: int, subscriptions: int) -> None:
    """Put the NSGs and networks into an emulator; one NSG in a hundred lacks a rule."""
    from tests.planning.test_plan import nineteen  # noqa: PLC0415 - it imports the service

    own = {"addressPrefixes": ["10.0.0.0/24"]}
    clients = [{"addressPrefixes": ["10.0.255.0/24"]}]
    intent = {"location": "eastus", "fileSystemSubnet": own, "clientSubnets": clients}
    templates: dict[tuple[int, bool], Resource] = {}
    networks: dict[str, list[dict[str, Any]]] = {}
    for n in range(count):
        place, subscription = n % PER_NETWORK, subscription_of(n, count, subscriptions)
        prefix = f"10.0.{place}.0/24"
        own_id = nsg_id(n, subscription)
        template = templates.get((place, is_drifted(n)))
        if template is None:
            rules = nineteen({**intent, "fileSystemSubnet": {"addressPrefixes": [prefix]}})
            rules = rules[1:] if is_drifted(n) else rules
            put(box, own_id, {"location": "eastus", "properties": {"securityRules": rules}})
            found = box.estate.find(own_id)
            assert found is not None
            templates[place, is_drifted(n)] = found
        else:
            put_copy(box, own_id, template)
        properties = {
            "addressPrefix": prefix,
            "networkSecurityGroup": {"id": nsg_id(n, subscription)},
        }
        subnets = networks.setdefault(network_id(n, subscription), [])
        subnets.append({"name": f"s{n:06}", "properties": properties})
    for network, subnets in networks.items():
        subnets.append({"name": "clients", "properties": {"addressPrefix": "10.0.255.0/24"}})
        space = {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": subnets}
        put(box, network, {"location": "eastus", "properties": space})
    box.estate.touch_groups(set())  # who uses which NSG is looked up anew
    box.events.raised.clear()


def put_copy(box: Box, resource_id: str, template: Resource) -> None:
    """Put an NSG with the rules of another one; nobody writes to either."""
    target = read_resource_id(resource_id)
    assert target is not None
    resource = Resource(target)
    resource.content, resource.children = template.content, template.children
    resource.top, resource.state = template.top, template.state
    box.estate.resources[target.key] = resource


def put(box: Box, resource_id: str, body: dict[str, Any]) -> None:
    target = read_resource_id(resource_id)
    assert target is not None
    answer = box.routes.arm.put(target, body, {}, Caller("", "bench", "", API))
    if answer.operation is not None:
        box.estate.finish(answer.operation)
    box.estate.operations.clear()


def save_guards(path: str, count: int, subscriptions: int) -> None:
    """Save the guards with their claims and watches, as the repository does, in one transaction."""
    import asyncio  # noqa: PLC0415

    from shared.cloud.store.sqlite import SqliteStore  # noqa: PLC0415

    async def main() -> None:
        store = SqliteStore(path)
        store._database.execute("BEGIN")
        for n in range(count):
            await save_guard(store, n, subscription_of(n, count, subscriptions))
        store._database.execute("COMMIT")
        await store.close()

    asyncio.run(main())


async def save_guard(store: Any, n: int, subscription: int) -> None:
    from shared.guards.declared import new_guard  # noqa: PLC0415
    from shared.guards.guard import Findings, GuardStatement  # noqa: PLC0415
    from shared.guards.record import SCHEMA, guard_body  # noqa: PLC0415
    from shared.guards.repository import CLAIM, GUARD, claims, digest, watch_kind  # noqa: PLC0415

    network = network_id(n, subscription)
    intent = {
        "location": "eastus",
        "fileSystemSubnet": {"id": f"{network}/subnets/s{n:06}"},
        "clientSubnets": [{"id": f"{network}/subnets/clients"}],
        "networkSecurityGroupId": nsg_id(n, subscription),
    }
    statement = GuardStatement.model_validate({"intent": intent})
    guard = new_guard(statement, f"g{n:06}").with_verdict("compliant", time.time())
    notices = tuple(FINDINGS)
    summary = "All 19 requirements are satisfied, and nothing else passes."
    guard = replace(guard, findings=Findings(notices=notices, summary=summary))
    await store.create(GUARD, guard.key, guard_body(guard), SCHEMA)
    for claimed in claims(guard):
        await store.create(CLAIM, digest(claimed), {"resource": claimed, "guards": [guard.key]})
    for watched in guard.watched:
        await store.create(watch_kind(watched), guard.key, {"guard": guard.key})


FINDINGS: list[dict[str, Any]] = []
"""The notices that a look at such a guard finds; the benchmark looks them up once."""
