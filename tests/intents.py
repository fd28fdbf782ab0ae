"""Intents that the tests share."""

from __future__ import annotations

from typing import Any

EAST_US: dict[str, Any] = {
    "location": "eastus",
    "fileSystemSubnet": {"addressPrefixes": ["10.0.1.0/24"]},
    "clientSubnets": [{"addressPrefixes": ["10.0.2.0/24"]}],
}

EVERYTHING: dict[str, Any] = {
    "location": "West Europe",
    "fileSystemSubnet": {"addressPrefixes": ["10.0.1.0/24", "10.9.1.0/24"]},
    "clientSubnets": [
        {"addressPrefixes": ["10.0.2.0/24", "10.0.3.0/24"]},
        {"addressPrefixes": ["10.0.2.128/25", "192.168.0.0/20"]},
        {"addressPrefixes": ["10.9.1.0/24", "10.0.1.0/24"]},
    ],
    "storageLocations": ["westeurope", "North Europe", "francecentral"],
    "privateEndpointPrefixes": ["10.0.8.0/28", "10.0.8.4"],
    "dnsServers": ["10.0.7.4", "10.0.7.5"],
    "ntpServers": ["10.0.7.6/32"],
    "telemetryPrefixes": ["20.34.120.0/21", "20.45.120.0/21"],
    "exceptions": [
        {
            "name": "bastion-ssh",
            "direction": "Inbound",
            "protocol": "Tcp",
            "sourceAddressPrefix": "10.0.9.0/26",
            "destinationPortRange": "22",
        },
        {
            "name": "ping",
            "direction": "inbound",
            "protocol": "icmp",
            "sourceAddressPrefix": "virtualnetwork",
        },
        {
            "name": "updates",
            "direction": "Outbound",
            "protocol": "tcp",
            "destinationAddressPrefixes": ["10.3.0.0/16", "10.4.0.0/16"],
            "destinationPortRanges": ["80", "443", "8000-8010"],
            "sourcePortRange": "1024-65535",
        },
    ],
    "namePrefix": "lustre_",
    "networkSecurityGroupId": (
        "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/rg"
        "/providers/Microsoft.Network/networkSecurityGroups/nsg-lustre"
    ),
}


def with_fields(**changes: Any) -> dict[str, Any]:
    """The East US intent with fields changed, or left out where the value is `...`."""
    return {k: v for k, v in {**EAST_US, **changes}.items() if v is not ...}
