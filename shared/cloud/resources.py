"""ARM's documents of networks, read: what the service needs of them, and the document itself.

Ids are compared without case: ARM answers them in any.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING

from shared.cloud.arm_body import ArmBody, Document

if TYPE_CHECKING:
    from collections.abc import Iterable

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


def read_nsg(document: object, wanted: str | None = None) -> NetworkSecurityGroup:
    """Read an NSG's body, of the id that was asked for; raises `UnexpectedAnswer`."""
    body = ArmBody.of(document, "network security group", wanted)
    properties = body.body("properties")
    rules = properties.bodies("securityRules", required=True)
    return NetworkSecurityGroup(
        id=body.resource_id,
        etag=body.text("etag"),
        state=properties.text("provisioningState"),
        rules=tuple(rule.document for rule in rules),
        subnets=ids_in(properties, "subnets"),
        interfaces=ids_in(properties, "networkInterfaces"),
        document=body.document,
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


def read_network(
    document: object, wanted: str | None = None, *, slim: bool = False
) -> VirtualNetwork:
    """Read a virtual network's body, of the id that was asked for; raises `UnexpectedAnswer`.

    A slim one cannot be written back, and takes little memory.
    """
    body = ArmBody.of(document, "virtual network", wanted)
    properties = body.body("properties")
    peerings = [one.maybe_body("properties") for one in properties.bodies("virtualNetworkPeerings")]
    subnets = [read_subnet(one, slim=slim) for one in properties.bodies("subnets")]
    by_name = {parse_id(subnet.id).child.lower(): subnet for subnet in subnets}
    has_remote_gateway = any(one.document.get("useRemoteGateways") for one in peerings)
    return VirtualNetwork(
        id=body.resource_id,
        location=body.text("location"),
        space=ipv4(prefixes_in(properties.body("addressSpace"))),
        peered=ipv4(
            prefix
            for one in peerings
            for field in ("remoteAddressSpace", "remoteVirtualNetworkAddressSpace")
            for prefix in prefixes_in(one.maybe_body(field))
        ),
        has_gateway=GATEWAY_SUBNET in by_name or has_remote_gateway,
        subnets=by_name,
    )


def read_subnet(body: ArmBody, *, slim: bool = False) -> Subnet:
    """Read a subnet as its virtual network shows it; see `read_network`."""
    properties = body.body("properties")
    one, several = properties.text("addressPrefix"), properties.texts("addressPrefixes")
    nsg = properties.maybe_body("networkSecurityGroup")
    subnet_id = body.id()
    if not parse_id(subnet_id).child:
        raise body.unexpected("the id of a subnet is expected")
    return Subnet(
        id=subnet_id,
        etag=body.text("etag"),
        prefixes=tuple(dict.fromkeys(networks(properties, filter(None, (one, *several))))),
        nsg_id=nsg.id() if nsg.document.get("id") else None,
        has_routes=properties.has("routeTable"),
        document={} if slim else body.document,
    )


def prefixes_in(space: ArmBody) -> list[IPv4Network | IPv6Network]:
    """Return the prefixes of an address space."""
    return networks(space, space.texts("addressPrefixes"))


def networks(body: ArmBody, prefixes: Iterable[str]) -> list[IPv4Network | IPv6Network]:
    """Return the networks that some prefixes of a body are."""
    try:
        return [ip_network(prefix) for prefix in prefixes]
    except ValueError as error:
        raise body.unexpected(f"{str(error)[:200]}") from error


def ipv4(prefixes: Iterable[IPv4Network | IPv6Network]) -> tuple[IPv4Network, ...]:
    """Return the IPv4 networks among some prefixes, each once."""
    return tuple(dict.fromkeys(one for one in prefixes if isinstance(one, IPv4Network)))


def ids_in(body: ArmBody, name: str) -> tuple[str, ...]:
    """Return the ids in a list of `{"id": …}`."""
    return tuple(one.id() for one in body.bodies(name) if "id" in one.document)
