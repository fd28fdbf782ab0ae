"""Security rules as Azure Resource Manager (ARM) shows them, and the flows they speak of.

ARM spells one address prefix in a singular field (`sourceAddressPrefix`) and several in a plural
one (`sourceAddressPrefixes`), and ports likewise. That difference exists in this module alone: a
`Flow` always holds tuples.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

ANY = ("*",)


class Direction(StrEnum):
    """Which way the first packet of a flow travels, seen from the subnet."""

    __hash__ = str.__hash__  # equal words hash alike, and at once; an Enum's own is a call

    INBOUND = "Inbound"
    OUTBOUND = "Outbound"


class Access(StrEnum):
    """What a rule does with the packets that it matches."""

    ALLOW = "Allow"
    DENY = "Deny"


class Protocol(StrEnum):
    """The protocols that a security rule can name.

    Source: the `protocol` property of Microsoft.Network/networkSecurityGroups/securityRules.
    """

    __hash__ = str.__hash__  # as above

    TCP = "Tcp"
    UDP = "Udp"
    ICMP = "Icmp"
    ESP = "Esp"
    AH = "Ah"
    ANY = "*"

    @property
    def has_ports(self) -> bool:
        """Whether packets of this protocol carry ports; `*` may."""
        return self in (Protocol.TCP, Protocol.UDP, Protocol.ANY)


class Flow(NamedTuple):
    """A set of packets, in the words of a security rule.

    Attributes:
        protocol: one protocol, or `*`.
        sources: address prefixes (CIDR or IP), or ids of application security groups, or exactly one
            of `*` and a service tag.
        destinations: likewise.
        source_ports: `*`, numbers and ranges such as `1019-1023`.
        destination_ports: likewise.
    """

    protocol: Protocol
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    source_ports: tuple[str, ...] = ANY
    destination_ports: tuple[str, ...] = ANY


class SecurityRule(NamedTuple):
    """One rule of an NSG.

    Attributes:
        name: unique in its NSG, compared without case.
        priority: 100 to 4096 and unique per direction; the lowest that matches decides.
        direction: which packets it is asked about.
        access: what becomes of those that it matches.
        flow: the packets that it matches.
        description: at most 140 characters.
    """

    name: str
    priority: int
    direction: Direction
    access: Access
    flow: Flow
    description: str = ""

    def to_arm(self) -> dict[str, Any]:
        """Spell the rule as ARM does: `{"name", "properties"}`."""
        flow = self.flow
        return {
            "name": self.name,
            "properties": {
                "description": self.description,
                "protocol": flow.protocol.value,
                **spelled("sourcePortRange", "sourcePortRanges", flow.source_ports),
                **spelled("destinationPortRange", "destinationPortRanges", flow.destination_ports),
                **spelled("sourceAddressPrefix", "sourceAddressPrefixes", flow.sources),
                **spelled(
                    "destinationAddressPrefix", "destinationAddressPrefixes", flow.destinations
                ),
                "access": self.access.value,
                "priority": self.priority,
                "direction": self.direction.value,
            },
        }


def spelled(singular: str, plural: str, values: tuple[str, ...]) -> dict[str, str | list[str]]:
    """Choose ARM's singular field for one value and the plural one for several."""
    return {singular: values[0]} if len(values) == 1 else {plural: list(values)}
