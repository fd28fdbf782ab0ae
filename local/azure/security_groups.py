"""Network security groups and their rules: how ARM reads, refuses, normalises and shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.azure.errors import bad_request
from local.azure.refusals import check_rule, check_rules
from local.azure.resources import Child, Kind

if TYPE_CHECKING:
    from local.azure.estate import Estate
    from local.azure.paths import ResourceId
    from local.azure.resources import Document, Resource

RULES = "securityRules"
READ_ONLY = (
    "provisioningState",
    "resourceGuid",
    RULES,
    "defaultSecurityRules",
    "networkInterfaces",
    "subnets",
    "flowLogs",
)
PLURALS = (
    "sourcePortRanges",
    "destinationPortRanges",
    "sourceAddressPrefixes",
    "destinationAddressPrefixes",
)
GROUPS = ("sourceApplicationSecurityGroups", "destinationApplicationSecurityGroups")
SINGULARS = (
    "description",
    "protocol",
    "sourcePortRange",
    "destinationPortRange",
    "sourceAddressPrefix",
    "destinationAddressPrefix",
    "access",
    "priority",
    "direction",
)
CANONICAL = {
    word.lower(): word
    for word in ("Allow", "Deny", "Inbound", "Outbound", "Tcp", "Udp", "Icmp", "Esp", "Ah")
}
PLURALS_SINCE = "2017-06-01"
"""The api-version since which rules show their lists; recorded: not in 2015-06-15, in 2017-10-01."""

VNET = "VirtualNetwork"
DEFAULT_RULES = (
    ("AllowVnetInBound", VNET, VNET, "Allow", 65000, "Inbound"),
    ("AllowAzureLoadBalancerInBound", "AzureLoadBalancer", "*", "Allow", 65001, "Inbound"),
    ("DenyAllInBound", "*", "*", "Deny", 65500, "Inbound"),
    ("AllowVnetOutBound", VNET, VNET, "Allow", 65000, "Outbound"),
    ("AllowInternetOutBound", "*", "Internet", "Allow", 65001, "Outbound"),
    ("DenyAllOutBound", "*", "*", "Deny", 65500, "Outbound"),
)
DESCRIPTIONS = {
    "AllowVnetInBound": "Allow inbound traffic from all VMs in VNET",
    "AllowAzureLoadBalancerInBound": "Allow inbound traffic from azure load balancer",
    "DenyAllInBound": "Deny all inbound traffic",
    "AllowVnetOutBound": "Allow outbound traffic from all VMs to all VMs in VNET",
    "AllowInternetOutBound": "Allow outbound traffic from all VMs to Internet",
    "DenyAllOutBound": "Deny all outbound traffic",
}


class SecurityGroups(Kind):
    """Microsoft.Network/networkSecurityGroups."""

    child_kinds = (RULES,)

    def read(self, body: Document, old: Resource | None) -> tuple[Document, dict[str, Any]]:
        """Read a whole NSG: rules that it leaves out are gone."""
        del old
        properties = body.get("properties") or {}
        rules: dict[str, Child] = {}
        for document in properties.get(RULES) or ():
            name = str(document.get("name") or "")
            if name.lower() in rules:
                raise bad_request(
                    "InvalidRequestFormat", f"Cannot parse the request: {name} twice."
                )
            rules[name.lower()] = Child(name, read_rule(document.get("properties") or {}))
        return {k: v for k, v in properties.items() if k not in READ_ONLY}, {RULES: rules}

    def check(self, resource: Resource, estate: Estate) -> None:
        """Refuse rules that cannot be, alone or together."""
        rules = resource.children.get(RULES, {})
        for rule in rules.values():
            check_rule(f"{resource.id}/{RULES}/{rule.name}", rule.content, estate.known_tags)
        check_rules(rules.values())

    def read_child(self, resource_id: ResourceId, body: Document, old: Child | None) -> Document:
        """Read one rule: a PUT replaces it."""
        del resource_id, old
        return read_rule(body.get("properties") or {})

    def properties(self, resource: Resource, api: str, estate: Estate) -> Document:
        """Show rules, default rules, and who uses the NSG."""
        users = {
            "networkInterfaces": estate.interfaces_of(resource.id),
            "subnets": estate.subnets_of(resource.id),
        }
        return {
            "provisioningState": resource.state,
            "resourceGuid": resource.guid,
            **resource.content,
            RULES: self.show_children(resource, RULES, api),
            "defaultSecurityRules": self.default_rules(resource, api),
            **{field: [{"id": one} for one in ids] for field, ids in users.items() if ids},
        }

    def child_properties(self, resource: Resource, kind: str, child: Child, api: str) -> Document:
        """Show one rule."""
        del resource, kind
        shown = {"provisioningState": child.state, **child.content}
        if api < PLURALS_SINCE:
            shown = {k: v for k, v in shown.items() if k not in PLURALS}
        return shown

    def default_rules(self, resource: Resource, api: str) -> list[Document]:
        """Show the rules that nobody can remove."""
        lists: Document = {} if api < PLURALS_SINCE else {field: [] for field in PLURALS}
        return [
            {
                "name": name,
                "id": f"{resource.id}/defaultSecurityRules/{name}",
                "etag": resource.etag,
                "type": f"{resource.id.type}/defaultSecurityRules",
                "properties": {
                    "provisioningState": resource.state,
                    "description": DESCRIPTIONS[name],
                    "protocol": "*",
                    "sourcePortRange": "*",
                    "destinationPortRange": "*",
                    "sourceAddressPrefix": source,
                    "destinationAddressPrefix": destination,
                    "access": access,
                    "priority": priority,
                    "direction": direction,
                    **lists,
                },
            }
            for name, source, destination, access, priority, direction in DEFAULT_RULES
        ]


def read_rule(properties: Document) -> Document:
    """Read a rule's properties into ARM's spelling; fields that it does not know are kept."""
    hidden = {"provisioningState", *SINGULARS, *PLURALS, *GROUPS}
    rule: Document = {}
    for field in SINGULARS:
        value = properties.get(field)
        if value is None or value == "":
            continue
        if field in ("access", "direction", "protocol"):
            value = CANONICAL.get(str(value).lower(), value)
        rule[field] = value
    for field in PLURALS:
        rule[field] = list(properties.get(field) or ())
    for field in GROUPS:
        if groups := properties.get(field):
            rule[field] = [{"id": group["id"]} for group in groups]
    if isinstance(rule.get("priority"), str) and rule["priority"].isdecimal():
        rule["priority"] = int(rule["priority"])
    return rule | {k: v for k, v in properties.items() if k not in hidden}
