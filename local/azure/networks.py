"""Virtual networks with their subnets and peerings, and route tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.azure.errors import bad_request
from local.azure.refusals import check_prefix
from local.azure.resources import SUCCEEDED, Child, Kind, references

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from local.azure.estate import Estate
    from local.azure.paths import ResourceId
    from local.azure.resources import Document, Resource

SUBNETS, PEERINGS = "subnets", "virtualNetworkPeerings"

LINKS = ("networkSecurityGroup", "routeTable", "natGateway")
POLICIES = ("privateEndpointNetworkPolicies", "privateLinkServiceNetworkPolicies")
STAYING = ("ipConfigurations", "serviceAssociationLinks", *POLICIES, "defaultOutboundAccess")
"""What a subnet keeps when a PUT leaves it out.

Recorded, but for the service links; for the outbound access with an api-version older than it.
"""

DELEGATIONS_SINCE, POLICIES_SINCE = "2018-08-01", "2019-04-01"
PRIVATE_ENDPOINTS_OPEN_SINCE = "2020-11-01"
"""The default of privateEndpointNetworkPolicies turned from Enabled to Disabled (recorded)."""

PEERINGS_SINCE, VNET_POLICIES_SINCE = "2016-06-01", "2024-03-01"
REMOTE_SPACE_SINCE = "2021-02-01"

JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"
DELEGATION_ACTIONS = {
    "microsoft.containerinstance/containergroups": [
        "Microsoft.Network/virtualNetworks/subnets/action"
    ],
    "microsoft.databricks/workspaces": [
        JOIN,
        "Microsoft.Network/virtualNetworks/subnets/prepareNetworkPolicies/action",
        "Microsoft.Network/virtualNetworks/subnets/unprepareNetworkPolicies/action",
    ],
}
PEERING_DEFAULTS = {
    "allowVirtualNetworkAccess": True,
    "allowForwardedTraffic": False,
    "allowGatewayTransit": False,
    "useRemoteGateways": False,
    "doNotVerifyRemoteGateways": False,
}


class VirtualNetworks(Kind):
    """Microsoft.Network/virtualNetworks."""

    child_kinds = (SUBNETS, PEERINGS)

    def read(self, body: Document, old: Resource | None) -> tuple[Document, dict[str, Any]]:
        """Read a whole network: subnets that it leaves out are gone, peerings stay."""
        properties = body.get("properties") or {}
        content: Document = {
            "addressSpace": {
                "addressPrefixes": (properties.get("addressSpace") or {}).get("addressPrefixes")
                or []
            }
        }
        if (options := properties.get("dhcpOptions")) is not None:
            content["dhcpOptions"] = {"dnsServers": options.get("dnsServers") or []}
        known = {
            "provisioningState",
            "resourceGuid",
            "addressSpace",
            "dhcpOptions",
            SUBNETS,
            PEERINGS,
        }
        hidden = {"enableVmProtection", "privateEndpointVNetPolicies"}
        content |= {k: v for k, v in properties.items() if k not in known | hidden}
        if properties.get("privateEndpointVNetPolicies") == "Basic":
            content["privateEndpointVNetPolicies"] = "Basic"
        content.setdefault("enableDdosProtection", False)
        before = old.children if old else {}
        children = {
            SUBNETS: read_children(properties.get(SUBNETS), before.get(SUBNETS, {}), read_subnet),
            PEERINGS: read_children(properties.get(PEERINGS), {}, read_peering)
            or dict(before.get(PEERINGS, {})),
        }
        return content, children

    def check(self, resource: Resource, estate: Estate) -> None:
        """Refuse subnets outside the address space, on each other, or with links to nothing."""
        space = [
            check_prefix(prefix, str(resource.id))
            for prefix in resource.content["addressSpace"]["addressPrefixes"]
        ]
        seen: list[tuple[Any, str]] = []
        for subnet in resource.children.get(SUBNETS, {}).values():
            subnet_id = f"{resource.id}/{SUBNETS}/{subnet.name}"
            for prefix in prefixes_of(subnet.content):
                network = check_prefix(prefix, subnet_id)
                if not any(lies_in(network, whole) for whole in space):
                    raise bad_request(
                        "NetcfgInvalidSubnet",
                        f"Subnet '{subnet.name}' is not valid in virtual network"
                        f" '{resource.id.name}'.",
                    )
                for other, name in seen:
                    if other.overlaps(network):
                        raise bad_request(
                            "NetcfgSubnetRangesOverlap",
                            f"Subnet '{subnet.name}' is not valid because its IP address range"
                            f" overlaps with that of an existing subnet '{name}'.",
                        )
                seen.append((network, subnet.name))
            estate.check_links(subnet.content, subnet_id)

    def read_child(self, resource_id: ResourceId, body: Document, old: Child | None) -> Document:
        """Read a subnet or a peering: a PUT replaces it."""
        read = read_subnet if resource_id.child_kind == SUBNETS else read_peering
        return read(body.get("properties") or {}, old.content if old else None)

    def properties(self, resource: Resource, api: str, estate: Estate) -> Document:
        """Show the network with its subnets and peerings."""
        content = dict(resource.content)
        if api < PEERINGS_SINCE:
            content.pop("enableDdosProtection", None)
        if api >= VNET_POLICIES_SINCE:
            content.setdefault("privateEndpointVNetPolicies", "Disabled")
        shown = {
            "provisioningState": resource.state,
            "resourceGuid": resource.guid,
            **content,
            SUBNETS: self.show_children(resource, SUBNETS, api),
        }
        if api >= PEERINGS_SINCE:
            peerings = resource.children.get(PEERINGS, {}).values()
            shown[PEERINGS] = [self.show_peering(resource, one, api, estate) for one in peerings]
        return shown

    def child_properties(self, resource: Resource, kind: str, child: Child, api: str) -> Document:
        """Show a subnet; a peering needs to know the other network, see `show_peering`."""
        if kind != SUBNETS:
            return {"provisioningState": child.state, "resourceGuid": child.guid, **child.content}
        shown = {"provisioningState": child.state, **child.content}
        subnet_id = f"{resource.id}/{SUBNETS}/{child.name}"
        if api < DELEGATIONS_SINCE:
            shown.pop("delegations", None)
        else:
            shown["delegations"] = [
                show_delegation(one, subnet_id, resource.etag)
                for one in child.content.get("delegations", ())
            ]
        if "serviceEndpoints" in shown:
            location = resource.top.get("location", "")
            shown["serviceEndpoints"] = [
                show_endpoint(one, location) for one in shown["serviceEndpoints"]
            ]
        if api < POLICIES_SINCE:
            return {k: v for k, v in shown.items() if k not in POLICIES}
        closed = "Enabled" if api < PRIVATE_ENDPOINTS_OPEN_SINCE else "Disabled"
        for policy, default in zip(POLICIES, (closed, "Enabled"), strict=True):
            shown.setdefault(policy, default)
        return shown

    def show_peering(self, resource: Resource, child: Child, api: str, estate: Estate) -> Document:
        """Show a peering with the other network's address space as it is now."""
        shown = self.show_child(resource, PEERINGS, child, api)
        remote = estate.find(references(child.content, "remoteVirtualNetwork") or "")
        if remote is not None:
            space = remote.content["addressSpace"]
            back = any(
                (references(other.content, "remoteVirtualNetwork") or "").lower() == resource.id.key
                for other in remote.children.get(PEERINGS, {}).values()
            )
            state = "Connected" if back else "Initiated"
            shown["properties"] |= {"peeringState": state, "remoteAddressSpace": space}
            if api >= REMOTE_SPACE_SINCE:
                shown["properties"]["remoteVirtualNetworkAddressSpace"] = space
        return shown


class RouteTables(Kind):
    """Microsoft.Network/routeTables: enough to be referenced."""

    child_kinds = ("routes",)

    def read(self, body: Document, old: Resource | None) -> tuple[Document, dict[str, Any]]:
        """Read a whole table."""
        content, _ = super().read(body, old)
        content.setdefault("disableBgpRoutePropagation", False)
        routes = (body.get("properties") or {}).get("routes")
        return content, {"routes": read_children(routes, {}, lambda properties, _: properties)}

    def properties(self, resource: Resource, api: str, estate: Estate) -> Document:
        """Show the table with its routes."""
        shown = super().properties(resource, api, estate)
        return shown | {"routes": self.show_children(resource, "routes", api)}


def read_children(documents: Any, old: dict[str, Child], read: Any) -> dict[str, Child]:
    """Read children that stand in their parent's body, in their order."""
    found: dict[str, Child] = {}
    for document in documents or ():
        name = str(document["name"])
        before = old.get(name.lower())
        content = read(document.get("properties") or {}, before.content if before else None)
        child = found[name.lower()] = Child(before.name if before else name, content)
        child.guid = before.guid if before else child.guid
    return found


def lies_in(network: IPv4Network | IPv6Network, whole: IPv4Network | IPv6Network) -> bool:
    """Whether a network lies in another one of its family."""
    return network.version == whole.version and (
        int(whole[0]) <= int(network[0]) and int(network[-1]) <= int(whole[-1])
    )


def read_subnet(properties: Document, old: Document | None) -> Document:
    """Read a subnet: what is left out is gone, but for what only others can change."""
    subnet: Document = {}
    for field, value in properties.items():
        if field in ("provisioningState", "ipConfigurations", "serviceAssociationLinks", "purpose"):
            continue
        if value is None or value == []:
            continue
        if field in LINKS:
            subnet[field] = {"id": value["id"]}
        elif field == "delegations":
            subnet[field] = [
                {"name": one["name"], "serviceName": one["properties"]["serviceName"]}
                for one in value
            ]
        elif field == "serviceEndpoints":
            subnet[field] = [
                {k: v for k, v in one.items() if k != "provisioningState"} for one in value
            ]
        else:
            subnet[field] = value
    if old:
        subnet = {field: old[field] for field in STAYING if field in old} | subnet
    return subnet


def read_peering(properties: Document, old: Document | None) -> Document:
    """Read a peering."""
    del old
    hidden = {"provisioningState", "resourceGuid", "remoteVirtualNetworkAddressSpace"}
    content = {k: v for k, v in properties.items() if k not in hidden}
    content.setdefault("peeringState", "Initiated")
    return {**PEERING_DEFAULTS, "routeServiceVips": {}, **content}


def prefixes_of(subnet: Document) -> list[str]:
    """Return the address prefixes of a subnet, whichever field they stand in."""
    one = subnet.get("addressPrefix")
    return [*([one] if one else []), *(subnet.get("addressPrefixes") or ())]


def show_delegation(delegation: Document, subnet_id: str, etag: str) -> Document:
    """Show a delegation with the actions that its service may take."""
    service = delegation["serviceName"]
    return {
        "name": delegation["name"],
        "id": f"{subnet_id}/delegations/{delegation['name']}",
        "etag": etag,
        "properties": {
            "provisioningState": SUCCEEDED,
            "serviceName": service,
            "actions": DELEGATION_ACTIONS.get(service.lower(), [JOIN]),
        },
        "type": "Microsoft.Network/virtualNetworks/subnets/delegations",
    }


def show_endpoint(endpoint: Document, location: str) -> Document:
    """Show a service endpoint; its locations, where none were sent, are an assumption."""
    everywhere = "*" if endpoint.get("service") != "Microsoft.Storage" else location
    return {"provisioningState": SUCCEEDED, "locations": [everywhere], **endpoint}
