"""The live state that an intent speaks of, read from ARM with as few calls as can be.

One read of the NSG and one of each virtual network concerned: a network's body holds its subnets,
their associations, and its peerings.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from shared.amlfs.advice import Notice, advise
from shared.amlfs.catalogue import load_catalogue
from shared.amlfs.statement import SUBNET_ID
from shared.amlfs.verification import extent_of
from shared.cloud.arm_body import ArmBody
from shared.cloud.resources import parent_id, same_id
from shared.errors import FieldError, InvalidInput, NotFound
from shared.nsg.locations import plain
from shared.nsg.service_tags import shipped_service_tags
from shared.planning.plan import ForeignRules, Question
from shared.pools import compute

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.amlfs.intent import Intent
    from shared.amlfs.statement import IntentStatement
    from shared.cloud.network import Network
    from shared.cloud.resources import NetworkSecurityGroup, Subnet, VirtualNetwork
    from shared.packets.axis import Bounds


@dataclass(frozen=True, slots=True)
class Live:
    """What was read.

    Attributes:
        statement: as the caller sent it.
        intent: the statement with everything that it names by id looked up.
        nsg: the NSG that it names; None where there is none (yet), or none was asked for.
        network: the file system's virtual network, where its subnet is known.
        subnet: the file system's subnet: as named by its id, or that subnet of the NSG which has just
            the prefixes by which it is stated.
        notices: what is worth knowing about the intent and what was found.
    """

    statement: IntentStatement
    intent: Intent
    nsg: NetworkSecurityGroup | None
    network: VirtualNetwork | None
    subnet: Subnet | None
    notices: tuple[Notice, ...]

    @property
    def nsg_id(self) -> str:
        """The id of the NSG, as ARM spells it where it exists."""
        return self.nsg.id if self.nsg else self.statement.network_security_group_id or ""

    @property
    def is_associated(self) -> bool | None:
        """Whether the NSG filters the subnet; None where no subnet is known by its id."""
        return same_id(self.subnet.nsg_id, self.nsg_id) if self.subnet else None

    @property
    def other_users(self) -> tuple[str, ...]:
        """Ids of the other subnets, and the network interfaces, that the NSG filters too."""
        if self.nsg is None:
            return ()
        own = self.subnet.id if self.subnet else None
        subnets = [one for one in self.nsg.subnets if not same_id(one, own)]
        return (*subnets, *self.nsg.interfaces)

    def question(
        self,
        foreign_rules: ForeignRules = ForeignRules.KEEP,
        virtual_network: Bounds | None = None,
    ) -> Question:
        """Return what a plan or a proof is asked."""
        return Question(
            self.intent,
            load_catalogue(self.statement.catalogue),
            shipped_service_tags(self.intent.location.cloud),
            virtual_network or self.virtual_network,
            foreign_rules,
        )

    @property
    def virtual_network(self) -> Bounds:
        """The bounds of `VirtualNetwork`: what is known of the file system's network."""
        network, subnet = self.network, self.subnet
        if network is None or subnet is None:
            return extent_of(self.intent)
        anything = subnet.has_routes or network.has_gateway
        return extent_of(self.intent, network.space, None if anything else network.peered)


async def read_live(
    statement: IntentStatement,
    network: Network | None,
    *,
    with_nsg: bool = True,
    must_exist: bool = False,
) -> Live:
    """Read what a statement names.

    Args:
        statement: without contradictions.
        network: how ARM is read; may be None where the statement names nothing by id.
        with_nsg: whether the NSG is read too.
        must_exist: whether it must be there; else it may be one that is still to be made.

    Raises:
        OutsideAllowedScopes: something lies outside the scopes that may be read.
        NotFound: a subnet, network or file system is not there, or an NSG that must be.
        InvalidInput: what was found cannot be a file system's network.
    """
    located = Located(subnet_id=stated_subnet(statement))
    if statement.file_system_id and network:
        located = locate(await network.file_system(statement.file_system_id))
    nsg_id = statement.network_security_group_id if with_nsg else None
    read = read_together(network, subnet_ids(statement, located))
    nsg, networks = await asyncio.gather(read_nsg(network, nsg_id, must_exist=must_exist), read)
    if nsg and network and located.subnet_id is None:
        networks |= await read_together(network, [*nsg.subnets])
    return await compute(assemble, statement, located, nsg, networks)


@dataclass(frozen=True, slots=True)
class Located:
    """Where a file system is.

    Attributes:
        subnet_id: of its subnet, where it is known.
        location: where ARM says so.
    """

    subnet_id: str | None = None
    location: str | None = None


def locate(file_system: object) -> Located:
    """Return where a file system is; raises `InvalidInput` or `UnexpectedAnswer`."""
    body = ArmBody.of(file_system, "file system")
    subnet = body.body("properties").text("filesystemSubnet")
    if not SUBNET_ID.fullmatch(subnet):
        message = f"ARM does not say in which subnet it is, but {subnet!r}."
        raise InvalidInput([FieldError("/intent/fileSystemId", message)])
    return Located(subnet, body.text("location"))


def stated_subnet(statement: IntentStatement) -> str | None:
    """Return the id of the file system's subnet, where the statement names it by its id."""
    return statement.file_system_subnet.id if statement.file_system_subnet else None


def subnet_ids(statement: IntentStatement, located: Located) -> list[str]:
    """Return the ids of the subnets whose prefixes an intent needs."""
    clients = [s.id for s in statement.client_subnets or () if s.id]
    return [*([located.subnet_id] if located.subnet_id else []), *clients]


def assemble(
    statement: IntentStatement,
    located: Located,
    nsg: NetworkSecurityGroup | None,
    networks: Mapping[str, VirtualNetwork],
) -> Live:
    """Put together what was read; raises as `read_live`."""
    subnets = {one: find_subnet(one, networks) for one in subnet_ids(statement, located)}
    prefixes = {one: ipv4_of(subnet) for one, subnet in subnets.items()}
    own_id = located.subnet_id
    if own_id and statement.file_system_id:
        prefixes[""] = prefixes[own_id]
    resolved = statement.with_subnets(prefixes, located.location)
    check(statement, resolved, subnets, own_id)
    own = subnets[own_id] if own_id else subnet_by_prefixes(resolved, nsg, networks)
    own_id = own.id if own else None
    intent = resolved.resolve()
    tags = shipped_service_tags(intent.location.cloud)
    return Live(
        statement=statement,
        intent=intent,
        nsg=nsg,
        network=networks.get(parent_id(own_id).lower()) if own_id else None,
        subnet=own,
        notices=(
            *advise(intent, load_catalogue(statement.catalogue), tags),
            *about_ipv6(statement, subnets),
            *about_location(intent, networks.get(parent_id(own_id).lower()) if own_id else None),
        ),
    )


def subnet_by_prefixes(
    resolved: IntentStatement,
    nsg: NetworkSecurityGroup | None,
    networks: Mapping[str, VirtualNetwork],
) -> Subnet | None:
    """Return the subnet of an NSG that has just the prefixes by which the file system's is stated."""
    stated = resolved.file_system_subnet
    wanted = set(stated.address_prefixes or ()) if stated else set()
    for subnet_id in nsg.subnets if nsg else ():
        network = networks.get(parent_id(subnet_id).lower())
        subnet = network.subnet(subnet_id) if network else None
        if subnet is not None and set(subnet.prefixes) == wanted:
            return subnet
    return None


def about_ipv6(statement: IntentStatement, subnets: Mapping[str, Subnet]) -> Iterator[Notice]:
    """Say where clients have IPv6 addresses too: AMLFS knows IPv4 alone."""
    for i, stated in enumerate(statement.client_subnets or ()):
        subnet = subnets.get(stated.id or "")
        if subnet is not None and len(ipv4_of(subnet)) < len(subnet.prefixes):
            yield Notice(
                "client-ipv6-left-out",
                f"{subnet.id} has IPv6 prefixes too; AMLFS is IPv4 only, so they get no rule.",
                f"/intent/clientSubnets/{i}/id",
            )


def about_location(intent: Intent, network: VirtualNetwork | None) -> Iterator[Notice]:
    """Say where the intent's location is not the one of the file system's network.

    Source: "Azure Virtual Network concepts and best practices", Microsoft Learn: a virtual network
    is of one region, and so is what lies in it.
    """
    if network is None or plain(network.location) == intent.location.name:
        return
    yield Notice(
        "location-of-another-region",
        f"{network.id} is in {network.location}, the intent says {intent.location.name}: the regional"
        " service tags would be those of the wrong region, and AMLFS be cut off. Give the network's.",
        "/intent/location",
    )


async def read_together(network: Network | None, subnets: list[str]) -> dict[str, VirtualNetwork]:
    """Read the subnets' networks, all at once and each of them once."""
    if network is None:
        return {}
    network_ids = list(dict.fromkeys(parent_id(one).lower() for one in subnets))
    spelled = {parent_id(one).lower(): parent_id(one) for one in subnets}
    found = await asyncio.gather(*(network.virtual_network(spelled[one]) for one in network_ids))
    return dict(zip(network_ids, found, strict=True))


async def read_nsg(
    network: Network | None, nsg_id: str | None, *, must_exist: bool
) -> NetworkSecurityGroup | None:
    """Read the NSG, if there is one to read; raises `NotFound` for one that must be there."""
    if network is None or not nsg_id:
        return None
    try:
        return await network.nsg(nsg_id)
    except NotFound:
        if must_exist:
            raise
        return None


def find_subnet(subnet_id: str, networks: Mapping[str, VirtualNetwork]) -> Subnet:
    """Return a subnet from its network's body; raises `NotFound`."""
    network = networks.get(parent_id(subnet_id).lower())
    subnet = network.subnet(subnet_id) if network else None
    if subnet is None:
        raise NotFound(f"There is no subnet {subnet_id}.")
    return subnet


def ipv4_of(subnet: Subnet) -> list[IPv4Network]:
    """Return a subnet's prefixes that AMLFS can use; it is IPv4 only."""
    return [prefix for prefix in subnet.prefixes if isinstance(prefix, IPv4Network)]


def check(
    statement: IntentStatement,
    resolved: IntentStatement,
    subnets: Mapping[str, Subnet],
    own_id: str | None,
) -> None:
    """Raise `InvalidInput` for what was found and cannot be."""
    errors = [
        FieldError(stated_at(error.pointer, statement), error.message)
        for error in resolved.contradictions("/intent")
    ]
    own = subnets.get(own_id or "")
    if own is not None and len(ipv4_of(own)) < len(own.prefixes):
        place = stated_at("/intent/fileSystemSubnet/addressPrefixes", statement)
        errors.append(FieldError(place, f"{own.id} has IPv6 prefixes: AMLFS is IPv4 only."))
    for place, resource_id in statement.ids():
        subnet = subnets.get(resource_id)
        if subnet is not None and not ipv4_of(subnet):
            message = f"{resource_id} has no IPv4 prefix: AMLFS is IPv4 only."
            errors.append(FieldError(f"/intent{place}", message))
    if errors:
        raise InvalidInput(list({error.pointer: error for error in errors}.values()))


def stated_at(pointer: str, statement: IntentStatement) -> str:
    """Return where a caller stated what a pointer into the resolved statement speaks of."""
    ids = {f"/intent{place.removesuffix('/id')}": f"/intent{place}" for place, _ in statement.ids()}
    if statement.file_system_id and pointer.startswith(
        ("/intent/fileSystemSubnet", "/intent/location")
    ):
        return "/intent/fileSystemId"
    return next(
        (stated for place, stated in ids.items() if pointer.startswith(f"{place}/")), pointer
    )
