"""Asynchronous operations: what a PUT or DELETE sets going, and what its polls answer."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local.azure.paths import ResourceId
    from local.azure.resources import Child, Resource

IN_PROGRESS, DONE, CANCELED = "InProgress", "Succeeded", "Canceled"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asked for something, and in which request.

    Attributes:
        principal: the object id of who asked; empty where nobody is known.
        correlation_id: ties a request to its events.
        base: scheme and host that the caller used.
        api: the request's api-version.
    """

    principal: str
    correlation_id: str
    base: str
    api: str


@dataclass(slots=True, eq=False)
class Operation:
    """One operation.

    Attributes:
        name: as ARM names it, `PutNetworkSecurityGroupOperation`.
        target: what it is about: a resource or a child.
        resource: the top-level resource.
        child: the child, if it is about one.
        caller: who asked.
        is_delete: whether it deletes.
        status: of a poll.
        superseded_by: the operation that canceled it.
        relinked: ids, without case, of the NSGs that gain or lose a subnet by it.
    """

    name: str
    target: ResourceId
    resource: Resource
    child: Child | None
    caller: Caller
    is_delete: bool = False
    status: str = IN_PROGRESS
    superseded_by: Operation | None = None
    relinked: set[str] = field(default_factory=set)
    started: str = ""
    ended: str = ""
    guid: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def is_lustre(self) -> bool:
        """Whether it is one of Microsoft.StorageCache, whose polls look different."""
        return self.target.namespace == "Microsoft.StorageCache"

    def uri(self, *, result: bool = False) -> str:
        """Return where it is polled; `result`: where a DELETE's `Location` points."""
        location = self.resource.top.get("location") or "global"
        base = (
            f"{self.caller.base}/subscriptions/{self.target.subscription}/providers"
            f"/{self.target.namespace}/locations/{location}"
        )
        if self.is_lustre:
            monitor = "monitor=true&" if result else ""
            return f"{base}/ascOperations/{self.guid}?{monitor}api-version={self.caller.api}"
        collection = "operationResults" if result else "operations"
        return f"{base}/{collection}/{self.guid}?api-version={self.caller.api}"

    def poll(self) -> dict[str, Any]:
        """Return the body of a poll."""
        body: dict[str, Any] = {"status": self.status}
        if self.is_lustre:
            body = {"startTime": self.started, **body, "name": self.guid}
            return body | ({"endTime": self.ended} if self.ended else {})
        if self.superseded_by is not None:
            body["error"] = {
                "code": "Canceled",
                "message": "Operation was canceled.",
                "details": [
                    {
                        "code": "CanceledAndSupersededDueToAnotherOperation",
                        "message": f"Operation {self.label} was canceled and superseded by operation"
                        f" {self.superseded_by.label}.",
                    }
                ],
            }
        return body

    @property
    def label(self) -> str:
        """Name and id, as refusals spell them."""
        return f"{self.name} ({self.guid})"


SINGULAR = {
    "networkSecurityGroups": "NetworkSecurityGroup",
    "securityRules": "SecurityRule",
    "virtualNetworks": "VirtualNetwork",
    "subnets": "Subnet",
    "virtualNetworkPeerings": "VirtualNetworkPeering",
    "routeTables": "RouteTable",
}


def operation_name(verb: str, target: ResourceId) -> str:
    """Return ARM's name of an operation."""
    kind = target.child_kind or target.kind
    return f"{verb}{SINGULAR.get(kind, kind.removesuffix('s'))}Operation"
