"""ARM's documents of networks, read: what the service needs of them, and the document itself.

Ids are compared without case: ARM answers them in any.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, Any

from shared.errors import ArmAnswer, UnexpectedAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator

Document = dict[str, Any]

READ_ONLY = (
    "provisioningState",
    "resourceGuid",
    "defaultSecurityRules",
    "networkInterfaces",
    "subnets",
    "flowLogs",
)
"""Properties of an NSG that ARM ignores in a PUT (recorded)."""

GATEWAY_SUBNET = "gatewaysubnet"


@dataclass(frozen=True, slots=True)
class ResourceId:
    """The parts of an id that calls are made with."""

    subscription: str
    group: str
    name: str
    child: str = ""

    def __str__(self) -> str:
        return self.child or self.name


@contextmanager
def reading(what: str, document: object) -> Iterator[None]:
    """Turn whatever a document's shape makes fail into `UnexpectedAnswer`."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        resource_id = document.get("id") if isinstance(document, dict) else None
        raise UnexpectedAnswer(
            f"ARM shows the {what} {resource_id or '(without an id)'} in a way that cannot be read:"
            f" {type(error).__name__}: {error}.",
            ArmAnswer(None, "UnexpectedAnswer", None),
        ) from error


def documents(value: Any) -> list[Document]:
    """Return a list of JSON objects; raises `TypeError` for anything else."""
    items = [] if value is None else value
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise TypeError(f"a list of objects is expected, and not {str(value)[:80]}")
    return items


def parse_id(resource_id: str) -> ResourceId:
    """Take apart the id of a resource, or of a child of one."""
    parts = resource_id.strip("/").split("/")
    return ResourceId(parts[1], parts[3], parts[7], parts[9] if len(parts) > 9 else "")


def parent_id(subnet_id: str) -> str:
    """Return the id of a subnet's virtual network."""
    return re.sub(r"/subnets/[^/]+$", "", subnet_id, flags=re.IGNORECASE)


def same_id(first: str | None, second: str | None) -> bool:
    """Whether two ids name the same resource."""
    return (first or "").lower() == (second or "").lower()


@dataclass(frozen=True, slots=True)
class NetworkSecurityGroup:
    """An NSG as ARM shows it.

    Attributes:
        id: as ARM spells it.
        etag: changes with every write.
        state: its `provisioningState`.
        rules: the documents of its own rules.
        subnets: ids of the subnets that it filters.
        interfaces: ids of the network interfaces that it filters.
        document: all of it.
    """

    id: str
    etag: str
    state: str
    rules: tuple[Document, ...]
    subnets: tuple[str, ...]
    interfaces: tuple[str, ...]
    document: Document

    def with_rules(self, rules: list[Document]) -> Document:
        """Return the body that replaces its rules and keeps everything else."""
        properties = self.document.get("properties") or {}
        kept = {k: v for k, v in properties.items() if k not in READ_ONLY}
        whole = {k: v for k, v in self.document.items() if k != "etag"}
        return {**whole, "properties": {**kept, "securityRules": rules}}


def read_nsg(document: Document) -> NetworkSecurityGroup:
    """Read an NSG's body; raises `UnexpectedAnswer`."""
    with reading("network security group", document):
        properties = document.get("properties") or {}
        return NetworkSecurityGroup(
            id=str(document["id"]),
            etag=str(document.get("etag", "")),
            state=str(properties.get("provisioningState", "")),
            rules=tuple(documents(properties.get("securityRules"))),
            subnets=ids(properties.get("subnets")),
            interfaces=ids(properties.get("networkInterfaces")),
            document=document,
        )


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet as its virtual network shows it.

    Attributes:
        id: as ARM spells it.
        etag: shared with its virtual network.
        prefixes: its address prefixes of both families.
        nsg_id: the NSG that filters it, if any.
        has_routes: whether a route table is attached.
        document: all of it.
    """

    id: str
    etag: str
    prefixes: tuple[IPv4Network | IPv6Network, ...]
    nsg_id: str | None
    has_routes: bool
    document: Document

    def with_nsg(self, nsg_id: str) -> Document:
        """Return the body that associates another NSG and keeps everything else."""
        properties = {**self.document["properties"], "networkSecurityGroup": {"id": nsg_id}}
        return {**self.document, "properties": properties}


@dataclass(frozen=True, slots=True)
class VirtualNetwork:
    """A virtual network as ARM shows it.

    Attributes:
        id: as ARM spells it.
        location: where it is; NSGs of its subnets must be there too.
        space: its address space.
        peered: address spaces of the networks that it is peered with.
        has_gateway: whether ranges beyond these may belong to it, through a gateway.
        subnets: by name in lower case.
    """

    id: str
    location: str
    space: tuple[IPv4Network, ...]
    peered: tuple[IPv4Network, ...]
    has_gateway: bool
    subnets: dict[str, Subnet]

    def subnet(self, subnet_id: str) -> Subnet | None:
        """Return a subnet by its id."""
        return self.subnets.get(parse_id(subnet_id).child.lower())


def read_network(document: Document, *, slim: bool = False) -> VirtualNetwork:
    """Read a virtual network's body; raises `UnexpectedAnswer`.

    A slim one cannot be written back, and takes little memory.
    """
    with reading("virtual network", document):
        properties = document.get("properties") or {}
        peerings = [
            peering.get("properties") or {}
            for peering in documents(properties.get("virtualNetworkPeerings"))
        ]
        subnets = [read_subnet(one, slim=slim) for one in documents(properties.get("subnets"))]
        by_name = {parse_id(subnet.id).child.lower(): subnet for subnet in subnets}
        has_remote_gateway = any(peering.get("useRemoteGateways") for peering in peerings)
        return VirtualNetwork(
            id=str(document["id"]),
            location=str(document.get("location", "")),
            space=ipv4(prefixes_in(properties.get("addressSpace"))),
            peered=ipv4(
                prefix
                for peering in peerings
                for field in ("remoteAddressSpace", "remoteVirtualNetworkAddressSpace")
                for prefix in prefixes_in(peering.get(field))
            ),
            has_gateway=GATEWAY_SUBNET in by_name or has_remote_gateway,
            subnets=by_name,
        )


def read_subnet(document: Document, *, slim: bool = False) -> Subnet:
    """Read a subnet's body; see `read_network`."""
    with reading("subnet", document):
        properties = document.get("properties") or {}
        one, several = properties.get("addressPrefix"), properties.get("addressPrefixes") or ()
        nsg = properties.get("networkSecurityGroup") or {}
        return Subnet(
            id=str(document["id"]),
            etag=str(document.get("etag", "")),
            prefixes=tuple(dict.fromkeys(map(ip_network, filter(None, (one, *several))))),
            nsg_id=resource_id(nsg["id"]) if nsg.get("id") else None,
            has_routes=bool(properties.get("routeTable")),
            document={} if slim else document,
        )


def prefixes_in(space: Document | None) -> list[str]:
    """Return the prefixes of an address space."""
    return list((space or {}).get("addressPrefixes") or ())


def ipv4(prefixes: Any) -> tuple[IPv4Network, ...]:
    """Return the IPv4 networks among some prefixes."""
    networks = map(ip_network, prefixes)
    return tuple(dict.fromkeys(n for n in networks if isinstance(n, IPv4Network)))


def ids(references: Any) -> tuple[str, ...]:
    """Return the ids in a list of `{"id": …}`."""
    return tuple(resource_id(one["id"]) for one in documents(references) if "id" in one)


def resource_id(value: Any) -> str:
    """Return an id of a resource; raises `TypeError` or `IndexError` for what is none."""
    parse_id(value)
    return str(value)
