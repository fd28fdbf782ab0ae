"""The estate: everything that exists in the box, and the clock that finishes its operations."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from local.azure.errors import bad_request
from local.azure.file_systems import FileSystems, first_address, now
from local.azure.networks import LINKS, SUBNETS, RouteTables, VirtualNetworks
from local.azure.operations import CANCELED, DONE, IN_PROGRESS, Operation
from local.azure.paths import read_resource_id
from local.azure.resources import DELETING, SUCCEEDED, UPDATING, Kind, references
from local.azure.security_groups import SecurityGroups
from local.azure.service_tags import tag_names
from local.azure.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.azure.paths import ResourceId
    from local.azure.resources import Document, Resource

KINDS: dict[str, Kind] = {
    "microsoft.network/networksecuritygroups": SecurityGroups(),
    "microsoft.network/virtualnetworks": VirtualNetworks(),
    "microsoft.network/routetables": RouteTables(),
    "microsoft.storagecache/amlfilesystems": FileSystems(),
}
PLAIN = Kind()


def kind_of(resource_id: ResourceId) -> Kind:
    """Return how a type behaves; what the box does not know is echoed."""
    return KINDS.get(f"{resource_id.namespace}/{resource_id.kind}".lower(), PLAIN)


class Estate:
    """All resources, operations and settings.

    Attributes:
        settings: see `Settings`.
        resources: top-level resources by their id without case.
        groups: what was said of resource groups, by their key.
        gone_groups: keys of resource groups that were deleted.
        operations: by id.
        on_change: called with every operation that succeeded.
    """

    def __init__(self) -> None:
        self.on_change: Callable[[Operation], None] = lambda _: None
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.settings = Settings()
        self.resources: dict[str, Resource] = {}
        self.groups: dict[str, Document] = {}
        self.gone_groups: set[str] = set()
        self.operations: dict[str, Operation] = {}
        self.ghosts: dict[str, Resource] = {}
        self._users: dict[str, list[str]] | None = None
        self.known_tags = tag_names()

    # -- looking ----------------------------------------------------------------------------------

    def find(self, resource_id: str) -> Resource | None:
        """Return a top-level resource by its id in any casing."""
        return self.resources.get(resource_id.lower())

    def seen(self, resource_id: ResourceId, *, fresh: bool) -> Resource | None:
        """Return what a read of a top-level resource shows, which may be stale."""
        key = resource_id.parent.key
        current = self.resources.get(key) or self.ghosts.get(key)
        if current is None or fresh or not self.is_stale(current):
            return self.resources.get(key)
        return current.before

    def is_stale(self, resource: Resource) -> bool:
        """Whether reads of a resource show what was before its last write."""
        running = resource.operation is not None and resource.operation.status == IN_PROGRESS
        delayed = self.settings.staleReadSeconds > 0 and running
        return delayed or asyncio.get_running_loop().time() < resource.stale_until

    def listed(
        self, kind: str, subscription: str, group: str | None, *, fresh: bool
    ) -> Iterator[Resource]:
        """Yield what a list shows: the resources of a type in a subscription or group."""
        for resource in {**self.ghosts, **self.resources}.values():
            where = resource.id
            if (
                f"{where.namespace}/{where.kind}".lower() == kind.lower()
                and where.subscription.lower() == subscription.lower()
                and (group is None or where.group.lower() == group.lower())
                and (shown := self.seen(where, fresh=fresh)) is not None
            ):
                yield shown

    def subnets_of(self, nsg: ResourceId) -> list[str]:
        """Return the ids of the subnets that an NSG filters."""
        return [u for u in self._users_by_nsg().get(nsg.key, ()) if "/subnets/" in u.lower()]

    def interfaces_of(self, nsg: ResourceId) -> list[str]:
        """Return the ids of the network interfaces that an NSG filters."""
        return [u for u in self._users_by_nsg().get(nsg.key, ()) if "/subnets/" not in u.lower()]

    def _users_by_nsg(self) -> dict[str, list[str]]:
        if self._users is None:
            self._users = {}
            for resource in self.resources.values():
                for user, content in users(resource):
                    if nsg := references(content, "networkSecurityGroup"):
                        self._users.setdefault(nsg.lower(), []).append(user)
        return self._users

    def address_in(self, subnet_id: str) -> str:
        """Return the address that a file system in a subnet answers at."""
        where = read_resource_id(subnet_id)
        network = self.find(str(where.parent)) if where else None
        subnet = network.child(where) if network and where else None
        return first_address(subnet.content) if subnet else ""

    def check_links(self, subnet: Document, subnet_id: str) -> None:
        """Raise `ArmError` where a subnet names an NSG or route table that is not there.

        Only where the box is told to: what is recorded names much that was made elsewhere.
        """
        for link in LINKS[:2]:
            target = references(subnet, link)
            is_missing = target is not None and self.find(target) is None
            if is_missing and self.settings.checkReferences:
                raise bad_request(
                    "InvalidResourceReference",
                    f"Resource {target} referenced by resource {subnet_id} was not found. Please"
                    " make sure that the referenced resource exists, and that both resources are in"
                    " the same region.",
                )

    # -- changing ---------------------------------------------------------------------------------

    def remember(self, resource: Resource, before: Resource | None) -> None:
        """Keep what stale reads will show, if there are any."""
        if self.settings.staleReadSeconds > 0:
            resource.before = before

    def begin(self, operation: Operation) -> None:
        """Set an operation going; a running one of the same resource is canceled."""
        resource = operation.resource
        running = resource.operation
        if running is not None and running.status == IN_PROGRESS:
            running.status, running.superseded_by = CANCELED, operation
        resource.operation = operation
        resource.touch()
        operation.started = now()
        self.operations[operation.guid] = operation
        self._users = None

    def run(self, operation: Operation) -> None:
        """Have an operation end when its time comes: at once, where operations take no time."""
        seconds = self.settings.operationSeconds
        if seconds > 0:
            asyncio.get_running_loop().call_later(seconds, self.finish, operation)
        else:
            self.finish(operation)

    def finish(self, operation: Operation) -> None:
        """End an operation: states settle, the etag changes once more, an event is raised."""
        if operation.status != IN_PROGRESS or operation.guid not in self.operations:
            return
        operation.status, operation.ended = DONE, now()
        resource, child = operation.resource, operation.child
        if operation.is_delete and child is None:
            self.resources.pop(resource.id.key, None)
            if self.settings.staleReadSeconds > 0:
                self.ghosts[resource.id.key] = resource
        else:
            settle(resource)
        finish = getattr(kind_of(resource.id), "finish", None)
        if finish is not None and not operation.is_delete:
            finish(resource, child)
        resource.touch()
        self.touch_groups(operation.relinked)
        resource.stale_until = asyncio.get_running_loop().time() + self.settings.staleReadSeconds
        self._users = None
        self.on_change(operation)

    def touch_groups(self, nsg_ids: set[str]) -> None:
        """Change the etags of some NSGs, as an association does when it begins and when it ends."""
        self._users = None
        for nsg_id in nsg_ids:
            nsg = self.find(nsg_id)
            if nsg is not None:
                nsg.touch()


def settle(resource: Resource) -> None:
    """Let a resource and its children be done."""
    if resource.state != DELETING:
        resource.state = SUCCEEDED
    for children in resource.children.values():
        for child in children.values():
            child.state = SUCCEEDED


def unsettle(resource: Resource, state: str = UPDATING) -> None:
    """Let a resource and all its children be in the middle of an operation."""
    resource.state = state
    for children in resource.children.values():
        for child in children.values():
            child.state = state


def users(resource: Resource) -> Iterator[tuple[str, Any]]:
    """Yield what a resource says that may name an NSG: (id of who names it, properties)."""
    if resource.id.kind == "virtualNetworks":
        for subnet in resource.children.get(SUBNETS, {}).values():
            yield f"{resource.id}/{SUBNETS}/{subnet.name}", subnet.content
    elif resource.id.kind == "networkInterfaces":
        yield str(resource.id), resource.content


def groups_used(resource: Resource | None) -> set[str]:
    """Return the ids, without case, of the NSGs that a network's subnets name."""
    if resource is None:
        return set()
    named = (references(content, "networkSecurityGroup") for _, content in users(resource))
    return {nsg.lower() for nsg in named if nsg}
