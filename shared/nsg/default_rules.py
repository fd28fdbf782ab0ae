"""The rules that Azure adds to every NSG and nobody can remove.

Source: "Network security groups", Microsoft Learn, "Default security rules".
"""

from __future__ import annotations

from shared.nsg.rules import Access, Direction, Flow, Protocol, SecurityRule

ANY, VNET, INTERNET = ("*",), ("VirtualNetwork",), ("Internet",)


def default_rule(
    name: str, priority: int, access: Access, sources: tuple[str, ...], targets: tuple[str, ...]
) -> SecurityRule:
    """Return one of Azure's default rules; its name tells the direction."""
    direction = Direction.INBOUND if name.endswith("InBound") else Direction.OUTBOUND
    return SecurityRule(
        name, priority, direction, access, Flow(Protocol.ANY, sources, targets), "Azure's default"
    )


DEFAULT_RULES = (
    default_rule("AllowVnetInBound", 65000, Access.ALLOW, VNET, VNET),
    default_rule("AllowAzureLoadBalancerInBound", 65001, Access.ALLOW, ("AzureLoadBalancer",), ANY),
    default_rule("DenyAllInBound", 65500, Access.DENY, ANY, ANY),
    default_rule("AllowVnetOutBound", 65000, Access.ALLOW, VNET, VNET),
    default_rule("AllowInternetOutBound", 65001, Access.ALLOW, ANY, INTERNET),
    default_rule("DenyAllOutBound", 65500, Access.DENY, ANY, ANY),
)
"""By the names that Azure shows them under."""
