"""ARM paths: in any casing, read into what they name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

TYPES = (
    "Microsoft.Network/networkSecurityGroups/securityRules",
    "Microsoft.Network/networkSecurityGroups/defaultSecurityRules",
    "Microsoft.Network/virtualNetworks/subnets",
    "Microsoft.Network/virtualNetworks/virtualNetworkPeerings",
    "Microsoft.Network/routeTables/routes",
    "Microsoft.Network/networkInterfaces",
    "Microsoft.Network/natGateways",
    "Microsoft.Network/applicationSecurityGroups",
    "Microsoft.Network/serviceEndpointPolicies",
    "Microsoft.StorageCache/amlFilesystems/importJobs",
    "Microsoft.StorageCache/amlFilesystems/autoImportJobs",
    "Microsoft.StorageCache/amlFilesystems/autoExportJobs",
)
"""Resource types in ARM's own casing; ids are answered in it, however they were asked."""


@dataclass(frozen=True, slots=True)
class ResourceId:
    """The id of a top-level resource, or of a child of one.

    Attributes:
        subscription: as it was first spelled.
        group: the resource group.
        namespace: `Microsoft.Network`.
        kind: the type of the top-level resource.
        name: of the top-level resource.
        child_kind: the type of the child; empty for a top-level resource.
        child: the child's name; empty for the whole collection.
    """

    subscription: str
    group: str
    namespace: str
    kind: str
    name: str
    child_kind: str = ""
    child: str = ""

    @property
    def parent(self) -> ResourceId:
        """The top-level resource."""
        return ResourceId(self.subscription, self.group, self.namespace, self.kind, self.name)

    @property
    def type(self) -> str:
        """The full type."""
        whole = f"{self.namespace}/{self.kind}"
        return f"{whole}/{self.child_kind}" if self.child_kind else whole

    @property
    def key(self) -> str:
        """The id without case."""
        return str(self).lower()

    def __str__(self) -> str:
        group = f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
        tail = f"/{self.child_kind}/{self.child}" if self.child_kind else ""
        return f"{group}/providers/{self.namespace}/{self.kind}/{self.name}{tail}"


def read_resource_id(path: str) -> ResourceId | None:
    """Read the path of a resource, or of a collection of children; None for any other path."""
    parts = path.strip("/").split("/")
    if len(parts) < 8 or len(parts) > 10 or not all(parts):
        return None
    words = [part.lower() for part in parts]
    if (words[0], words[2], words[4]) != ("subscriptions", "resourcegroups", "providers"):
        return None
    namespace, kind = canonical(parts[5]), canonical(f"{parts[5]}/{parts[6]}")
    child_kind = canonical(f"{parts[5]}/{parts[6]}/{parts[8]}") if len(parts) > 8 else ""
    return ResourceId(
        subscription=parts[1],
        group=parts[3],
        namespace=namespace,
        kind=kind.rpartition("/")[2],
        name=parts[7],
        child_kind=child_kind.rpartition("/")[2],
        child=parts[9] if len(parts) > 9 else "",
    )


def canonical(type_name: str) -> str:
    """Return a type, or the beginning of one, in ARM's casing."""
    return canonical_types().get(type_name.lower(), type_name)


@cache
def canonical_types() -> dict[str, str]:
    """Every known type and its beginnings, by their lower case."""
    found = {}
    for full in TYPES:
        parts = full.split("/")
        for end in range(1, len(parts) + 1):
            known = "/".join(parts[:end])
            found[known.lower()] = known
    return found
