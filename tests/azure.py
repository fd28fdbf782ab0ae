"""The embedded Azure as tests use it: over HTTP, with short names for what they do often."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import httpx

from local.azure.serving import BoxServer
from tests.infra.snapshots import actions

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/lustre/providers"
NETWORK = f"{GROUP}/Microsoft.Network"
NSG = f"{NETWORK}/networkSecurityGroups/nsg-lustre"
VNET = f"{NETWORK}/virtualNetworks/vnet"
LUSTRE, CLIENTS = f"{VNET}/subnets/lustre", f"{VNET}/subnets/clients"
FILE_SYSTEM = f"{GROUP}/Microsoft.StorageCache/amlFilesystems/fs"
SERVICE = "22222222-2222-2222-2222-222222222222"
"""The principal of the managed identity that the embedded Azure signs in."""

QUERY = {"api-version": "2024-07-01"}

INTENT: dict[str, Any] = {
    "location": "eastus",
    "fileSystemSubnet": {"id": LUSTRE},
    "clientSubnets": [{"id": CLIENTS}],
    "networkSecurityGroupId": NSG,
}

Document = dict[str, Any]


class Azure:
    """One embedded Azure."""

    def __init__(self, client: httpx.Client, server: BoxServer) -> None:
        self.client = client
        self.server = server

    def reset(self, **settings: Any) -> None:
        """Empty it; operations take no time unless told otherwise.

        The service may do what its deployed roles say, and nothing else, in every test.
        """
        self.client.post("/_box/reset").raise_for_status()
        self.set(operationSeconds=0, checkReferences=True, **settings)
        self.assign(f"/subscriptions/{SUBSCRIPTION}", actions("reader"))
        self.assign(GROUP.removesuffix("/providers"), actions("writer"))

    def assign(self, scope: str, actions: list[str], principal: str = SERVICE) -> None:
        """Give a principal a role; it may do nothing else then."""
        body = {"principalId": principal, "scope": scope, "actions": actions}
        self.client.post("/_box/roleAssignments", json=body).raise_for_status()

    def set(self, **settings: Any) -> None:
        self.client.patch("/_box/settings", json=settings).raise_for_status()

    def fail(self, **fault: Any) -> None:
        self.client.post("/_box/faults", json=fault).raise_for_status()

    def put(self, path: str, body: Document, **headers: str) -> httpx.Response:
        answer = self.client.put(path, params=QUERY, json=body, headers=headers)
        assert answer.status_code < 300, answer.text
        return answer

    def get(self, path: str) -> Document:
        answer = self.client.get(path, params=QUERY)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def delete(self, path: str) -> None:
        assert self.client.delete(path, params=QUERY).status_code in (202, 204)

    def nsg(self, rules: list[Document], path: str = NSG, **top: Any) -> None:
        self.put(path, {"location": "eastus", **top, "properties": {"securityRules": rules}})

    def network(self, nsg: str | None = None, **lustre: Any) -> None:
        """A virtual network with the file system's and the clients' subnets."""
        subnet: Document = {"addressPrefix": "10.0.1.0/24", **lustre}
        if nsg:
            subnet["networkSecurityGroup"] = {"id": nsg}
        self.put(
            VNET,
            {
                "location": "eastus",
                "properties": {
                    "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
                    "subnets": [
                        {"name": "lustre", "properties": subnet},
                        {"name": "clients", "properties": {"addressPrefix": "10.0.2.0/24"}},
                    ],
                },
            },
        )

    def rules(self, path: str = NSG) -> list[Document]:
        return self.get(path)["properties"]["securityRules"]

    def names(self, path: str = NSG) -> list[str]:
        return [rule["name"] for rule in self.rules(path)]

    def calls(self) -> list[Document]:
        return self.client.get("/_box/calls").json()["value"]

    def forget_calls(self) -> None:
        self.client.delete("/_box/calls")

    def counted(self) -> Counter[str]:
        """How often each kind of call came: `GET nsg`, `PUT nsg`, `poll`, …"""
        counts: Counter[str] = Counter()
        for call in self.calls():
            kind = call["path"].rstrip("/").split("/")[-2].lower()
            counts["poll" if call["poll"] else f"{call['method']} {kind}"] += 1
        return counts

    def wait_until(self, what, seconds: float = 5) -> None:
        """Wait until something is so."""
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, "it did not come about in time"
            time.sleep(0.02)


def rule(name: str, priority: int, direction: str, access: str, **fields: Any) -> Document:
    """A rule for everything, unless fields say otherwise."""
    properties = {
        "priority": priority,
        "direction": direction,
        "access": access,
        "protocol": "*",
        "sourceAddressPrefix": "*",
        "destinationAddressPrefix": "*",
        "sourcePortRange": "*",
        "destinationPortRange": "*",
        **fields,
    }
    return {"name": name, "properties": properties}
