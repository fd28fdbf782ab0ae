"""What the box holds: top-level resources with their children, free of any api-version.

A *kind* knows how a type's bodies are read and how its answers look; the answer to a request depends on
the request's api-version, as it does at ARM.
"""

from __future__ import annotations

import copy
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local.azure.estate import Estate
    from local.azure.operations import Operation
    from local.azure.paths import ResourceId

Document = dict[str, Any]

SUCCEEDED, UPDATING, DELETING = "Succeeded", "Updating", "Deleting"
TOP_FIELDS = ("location", "tags", "zones", "sku", "identity", "extendedLocation")
"""Fields beside `properties` that are echoed."""


@dataclass(slots=True)
class Child:
    """A child resource: a rule, a subnet, a peering, a job.

    Attributes:
        name: as it was spelled when it was made.
        content: its properties, read.
        state: of its own last operation.
        top: fields beside its properties.
        guid: of the child, where its type shows one.
    """

    name: str
    content: Document
    state: str = SUCCEEDED
    top: Document = field(default_factory=dict)
    guid: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(slots=True)
class Resource:
    """A top-level resource.

    Attributes:
        id: in ARM's casing.
        top: fields beside its properties.
        content: its properties, read, without children.
        children: by type, then by name without case, in their order.
        state: its `provisioningState`.
        etag: changes with every state.
        guid: constant over its life.
        operation: the last one.
        before: what stale reads show until `stale_until`; None where it did not exist.
        stale_until: on the event loop's clock; 0 where reads are never stale.
    """

    id: ResourceId
    top: Document = field(default_factory=dict)
    content: Document = field(default_factory=dict)
    children: dict[str, dict[str, Child]] = field(default_factory=dict)
    state: str = UPDATING
    etag: str = ""
    guid: str = field(default_factory=lambda: str(uuid.uuid4()))
    operation: Operation | None = None
    before: Resource | None = None
    stale_until: float = 0.0

    def touch(self) -> None:
        """Take a new etag: an NSG and its rules, a network and its subnets share one."""
        self.etag = f'W/"{uuid.uuid4()}"'

    def snapshot(self) -> Resource:
        """Return a copy that later writes do not change."""
        found = copy.copy(self)
        found.top, found.content = copy.deepcopy(self.top), copy.deepcopy(self.content)
        found.children = copy.deepcopy(self.children)
        found.before = None
        return found

    def child(self, resource_id: ResourceId) -> Child | None:
        """Return the child that an id names."""
        return self.children.get(resource_id.child_kind, {}).get(resource_id.child.lower())


class Kind:
    """How one top-level type is read and answered; this one echoes what it was given.

    Attributes:
        child_kinds: the types of children that its own body holds.
        has_etag: whether bodies and answers carry one.
    """

    child_kinds: tuple[str, ...] = ()
    has_etag = True

    def read(self, body: Document, old: Resource | None) -> tuple[Document, dict[str, Any]]:
        """Return the properties of a body, and its children by type and name.

        Raises:
            ArmError: ARM would refuse the body.
        """
        del old
        hidden = {"provisioningState", "resourceGuid", *self.child_kinds}
        properties = body.get("properties") or {}
        return {k: v for k, v in properties.items() if k not in hidden}, {}

    def check(self, resource: Resource, estate: Estate) -> None:
        """Raise `ArmError` for what ARM would refuse in a resource as a whole."""

    def read_child(self, resource_id: ResourceId, body: Document, old: Child | None) -> Document:
        """Return the properties of a child's body; raises `ArmError`."""
        del resource_id, old
        properties = body.get("properties") or {}
        return {k: v for k, v in properties.items() if k != "provisioningState"}

    def properties(self, resource: Resource, api: str, estate: Estate) -> Document:
        """Return what is shown of a resource."""
        del api, estate
        return {
            "provisioningState": resource.state,
            "resourceGuid": resource.guid,
            **resource.content,
        }

    def child_properties(self, resource: Resource, kind: str, child: Child, api: str) -> Document:
        """Return what is shown of a child."""
        del resource, kind, api
        return {"provisioningState": child.state, **child.content}

    def show(self, resource: Resource, api: str, estate: Estate) -> Document:
        """Return a resource as ARM answers it at an api-version."""
        etag = {"etag": resource.etag} if self.has_etag else {}
        return {
            "name": resource.id.name,
            "id": str(resource.id),
            **etag,
            "type": resource.id.type,
            **resource.top,
            "properties": self.properties(resource, api, estate),
        }

    def show_child(self, resource: Resource, kind: str, child: Child, api: str) -> Document:
        """Return a child as ARM answers it at an api-version."""
        etag = {"etag": resource.etag} if self.has_etag else {}
        return {
            "name": child.name,
            "id": f"{resource.id}/{kind}/{child.name}",
            **etag,
            "type": f"{resource.id.type}/{kind}",
            **child.top,
            "properties": self.child_properties(resource, kind, child, api),
        }

    def show_children(self, resource: Resource, kind: str, api: str) -> list[Document]:
        """Return all children of a type."""
        children = resource.children.get(kind, {}).values()
        return [self.show_child(resource, kind, child, api) for child in children]


def references(value: object, name: str) -> str | None:
    """Return the id in `{"name": {"id": …}}`, if it stands there."""
    inner = value.get(name) if isinstance(value, dict) else None
    found = inner.get("id") if isinstance(inner, dict) else None
    return found if isinstance(found, str) else None
