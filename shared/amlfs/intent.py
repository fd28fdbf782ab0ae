"""The intent, resolved: what a caller wants of the network, with every subnet as prefixes.

What callers send is a *statement* (`statement.py`), in which a subnet may be given by its id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Network

    from shared.nsg.locations import Location
    from shared.nsg.rules import Direction, Flow


@dataclass(frozen=True, slots=True)
class DeclaredException:
    """A flow beside the article's that the caller wants to keep open.

    Attributes:
        name: the caller's word for it, unique in the intent.
        direction: which way its first packet travels.
        flow: its packets.
    """

    name: str
    direction: Direction
    flow: Flow


@dataclass(frozen=True, slots=True)
class Intent:
    """What an AMLFS file system's network must be.

    Attributes:
        location: where the file system runs; regional service tags follow it.
        file_system: the prefixes of the file system's subnet.
        clients: the prefixes of each client subnet.
        storage_locations: where storage accounts lie that the file system uses.
        private_endpoints: where storage and Key Vault answer privately.
        dns_servers: the virtual network's own DNS servers, if it has any.
        ntp_servers: time servers.
        telemetry: the AMLFS telemetry service.
        exceptions: flows that stay open beside the article's.
        name_prefix: begins the name of every managed rule.
        network_security_group_id: the NSG that must honour the intent, where one is named.
    """

    location: Location
    file_system: tuple[IPv4Network, ...]
    clients: tuple[tuple[IPv4Network, ...], ...]
    storage_locations: tuple[Location, ...]
    private_endpoints: tuple[IPv4Network, ...]
    dns_servers: tuple[IPv4Network, ...]
    ntp_servers: tuple[IPv4Network, ...]
    telemetry: tuple[IPv4Network, ...]
    exceptions: tuple[DeclaredException, ...]
    name_prefix: str
    network_security_group_id: str | None = None

    def option(self, field: str) -> tuple[IPv4Network, ...]:
        """Return the prefixes of one of the contract's fields, by its name there."""
        return {
            "dnsServers": self.dns_servers,
            "ntpServers": self.ntp_servers,
            "privateEndpointPrefixes": self.private_endpoints,
            "telemetryPrefixes": self.telemetry,
        }[field]
