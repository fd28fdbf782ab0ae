"""The deployed roles are what the service uses: all tests run with them, and no action is spare.

The embedded Azure refuses the service what its roles do not say. Each scenario works with both roles
and fails, for want of the right, without the one action that it is named after.
"""

from __future__ import annotations

import threading

import httpx
import pytest

from tests.azure import (
    FILE_SYSTEM,
    GROUP,
    INTENT,
    LUSTRE,
    NETWORK,
    NSG,
    SUBSCRIPTION,
    Azure,
    rule,
)
from tests.infra.snapshots import actions
from tests.planning.test_plan import nineteen

JOINED = {"natGateways": "natGateway", "routeTables": "routeTable"}
POOL = f"{NETWORK}/networkManagers/manager/ipamPools/pool"
GROUP_OF_APPLICATIONS = f"{NETWORK}/applicationSecurityGroups/asg"


class Scenario:
    """What is asked of the service in a prepared Azure."""

    def __init__(self, service: httpx.Client, azure: Azure) -> None:
        self.service, self.azure = service, azure

    def ask(self, call: str, **intent) -> httpx.Response:
        body = {"intent": INTENT | intent}
        return self.service.post(f"/api/{call}", json=body, timeout=30)

    def reads_all(self) -> httpx.Response:
        self.azure.nsg(nineteen())
        self.azure.network(NSG)
        return self.ask("verify")

    def reads_a_file_system(self) -> httpx.Response:
        self.reads_all()
        body = {"location": "eastus", "properties": {"filesystemSubnet": LUSTRE}}
        self.azure.put(FILE_SYSTEM, body)
        intent = {k: v for k, v in INTENT.items() if k not in ("location", "fileSystemSubnet")}
        body = {"intent": intent | {"fileSystemId": FILE_SYSTEM}}
        return self.service.post("/api/verify", json=body, timeout=30)

    def restores_a_rule(self) -> httpx.Response:
        self.azure.nsg(nineteen()[1:])
        self.azure.network(NSG)
        return self.ask("apply")

    def keeps_application_groups(self) -> httpx.Response:
        self.azure.put(GROUP_OF_APPLICATIONS, {"location": "eastus", "properties": {}})
        groups = [{"id": GROUP_OF_APPLICATIONS}]
        foreign = rule("foreign", 4000, "Outbound", "Deny", sourceApplicationSecurityGroups=groups)
        del foreign["properties"]["sourceAddressPrefix"]
        self.azure.nsg([*nineteen()[1:], foreign])
        self.azure.network(NSG)
        return self.ask("apply")

    def associates(self, **subnet) -> httpx.Response:
        self.azure.nsg(nineteen())
        self.azure.network(**subnet)
        return self.ask("apply")

    def keeps_a_link(self, kind: str) -> httpx.Response:
        link = f"{NETWORK}/{kind}/kept"
        self.azure.put(link, {"location": "eastus", "properties": {}})
        return self.associates(**{JOINED[kind]: {"id": link}})

    def keeps_policies(self) -> httpx.Response:
        link = f"{NETWORK}/serviceEndpointPolicies/kept"
        self.azure.put(link, {"location": "eastus", "properties": {}})
        return self.associates(serviceEndpointPolicies=[{"id": link}])

    def keeps_a_pool(self) -> httpx.Response:
        allocation = {"pool": {"id": POOL}, "numberOfIpAddresses": "256"}
        return self.associates(ipamPoolPrefixAllocations=[allocation])

    def sees_that_its_write_was_superseded(self) -> httpx.Response:
        """Somebody else's PUT cancels ours while it is carried out; only its polls tell."""
        self.azure.nsg(nineteen()[1:])
        self.azure.network(NSG)
        self.azure.set(operationSeconds=0.6)
        self.azure.forget_calls()

        def supersede() -> None:
            self.azure.wait_until(lambda: self.azure.counted()["PUT networksecuritygroups"])
            self.azure.nsg(nineteen()[2:])

        other = threading.Thread(target=supersede)
        other.start()
        answer = self.ask("apply")
        other.join(10)
        if answer.status_code == 200 and len(self.azure.names()) < 19:
            return httpx.Response(500, json={"arm": {"code": "nobody noticed"}})
        return answer


SCENARIOS = {
    "networkSecurityGroups/read": Scenario.reads_all,
    "virtualNetworks/read": Scenario.reads_all,
    "locations/operations/read": Scenario.sees_that_its_write_was_superseded,
    "Microsoft.StorageCache/amlFilesystems/read": Scenario.reads_a_file_system,
    "networkSecurityGroups/write": Scenario.restores_a_rule,
    "networkSecurityGroups/join/action": Scenario.associates,
    "applicationSecurityGroups/joinNetworkSecurityRule/action": Scenario.keeps_application_groups,
    "virtualNetworks/subnets/write": Scenario.associates,
    "routeTables/join/action": lambda self: self.keeps_a_link("routeTables"),
    "natGateways/join/action": lambda self: self.keeps_a_link("natGateways"),
    "serviceEndpointPolicies/join/action": Scenario.keeps_policies,
    "networkManagers/ipamPools/associateResourcesToPool/action": Scenario.keeps_a_pool,
}
UNSEEN = ("locations/operations/read",)
"""Without this right nothing is refused: the service takes its write for done although it is not."""


def full(name: str) -> str:
    return name if name.startswith("Microsoft.") else f"Microsoft.Network/{name}"


def given(azure: Azure, without: str | None = None) -> None:
    """Assign the deployed roles as the template does, but for one action."""
    azure.client.delete("/_box/roleAssignments")
    scopes = {
        "reader": f"/subscriptions/{SUBSCRIPTION}",
        "writer": GROUP.removesuffix("/providers"),
    }
    for word, scope in scopes.items():
        azure.assign(scope, [one for one in actions(word) if one != without])


def test_there_is_a_scenario_for_every_action_and_an_action_for_every_scenario() -> None:
    roles = [*actions("reader"), *actions("writer")]
    assert sorted(roles) == sorted(map(full, SCENARIOS))
    assert not any("*" in one for one in roles)


@pytest.mark.parametrize("name", SCENARIOS)
def test_with_both_roles_it_works(name, service, azure) -> None:
    given(azure)
    answer = SCENARIOS[name](Scenario(service, azure))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("name", SCENARIOS)
def test_without_the_action_it_fails(name, service, azure) -> None:
    given(azure, without=full(name))
    answer = SCENARIOS[name](Scenario(service, azure))
    assert answer.status_code >= 500, answer.text
    if name in UNSEEN:
        assert answer.json()["arm"]["code"] == "nobody noticed"
        return
    code = answer.json()["arm"]["code"]
    is_linked = name.endswith("/action")
    assert code == ("LinkedAuthorizationFailed" if is_linked else "AuthorizationFailed")
    assert full(name) in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "allowed"), [(NSG, True), (NSG.replace("/lustre/", "/elsewhere/"), False)]
)
def test_the_writer_role_ends_where_it_was_assigned(path, allowed, service, azure) -> None:
    azure.nsg(nineteen()[1:], path)
    answer = Scenario(service, azure).ask(
        "apply", networkSecurityGroupId=path, fileSystemSubnet={"addressPrefixes": ["10.0.1.0/24"]},
        clientSubnets=[{"addressPrefixes": ["10.0.2.0/24"]}],
    )  # fmt: skip
    assert (answer.status_code == 200) is allowed, answer.text
    assert (len(azure.rules(path)) == 19) is allowed


def test_the_sweep_lists_whole_subscriptions_so_the_reader_role_is_on_them(service, azure) -> None:
    listed = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Network/networkSecurityGroups"
    token = azure.client.get("/msi/token", params={"resource": "arm"}).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    query = {"api-version": "2024-07-01"}
    assert azure.client.get(listed, params=query, headers=headers).status_code == 200
    azure.client.delete("/_box/roleAssignments")
    azure.assign(GROUP.removesuffix("/providers"), actions("reader"))
    refused = azure.client.get(listed, params=query, headers=headers)
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "AuthorizationFailed"
