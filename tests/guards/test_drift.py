"""Every cause of drift is noticed by its event, as Event Grid sends it, and repaired."""

from __future__ import annotations

import pytest

from tests.azure import CLIENTS, FILE_SYSTEM, INTENT, LUSTRE, NETWORK, NSG, VNET, rule
from tests.planning.test_plan import nineteen

SSH = {"protocol": "Tcp", "destinationPortRange": "22"}
OTHER = NSG.replace("nsg-lustre", "other")


def delete_a_rule(azure) -> None:
    azure.delete(f"{NSG}/securityRules/AMLFS-Out-KeyVault")


def change_a_rule(azure) -> None:
    changed = next(one for one in nineteen() if one["name"] == "AMLFS-In-Lustre")
    changed["properties"]["destinationPortRanges"] = ["988"]
    azure.put(f"{NSG}/securityRules/AMLFS-In-Lustre", changed)


def shadow_a_rule(azure) -> None:
    rules = [one for one in azure.rules() if one["name"] != "AMLFS-Out-Monitor"]
    deny = rule("no-vault", 100, "Outbound", "Deny", destinationAddressPrefix="AzureMonitor")
    deny["properties"] |= {"priority": 101}
    rules = [one for one in rules if one["name"] != "AMLFS-Out-KeyVault"]
    azure.nsg([*rules, deny])


def leak(azure) -> None:
    azure.put(f"{NSG}/securityRules/ssh", rule("ssh", 115, "Inbound", "Allow", **SSH))


def overwrite_by_a_template(azure) -> None:
    azure.nsg([rule("corp-deny", 4000, "Inbound", "Deny", sourceAddressPrefix="10.9.0.0/16")])


def empty_the_rules(azure) -> None:
    azure.nsg([])


def delete_the_nsg(azure) -> None:
    azure.network()
    azure.delete(NSG)


def make_the_nsg_anew(azure) -> None:
    azure.network()
    azure.delete(NSG)
    azure.nsg([])


def disassociate(azure) -> None:
    azure.put(LUSTRE, {"properties": {"addressPrefix": "10.0.1.0/24"}})


def disassociate_by_the_network(azure) -> None:
    azure.network()


def change_the_clients_prefix(azure) -> None:
    azure.put(CLIENTS, {"properties": {"addressPrefix": "10.0.77.0/24"}})


def change_the_file_systems_prefix(azure) -> None:
    azure.put(
        LUSTRE,
        {"properties": {"addressPrefix": "10.0.66.0/24", "networkSecurityGroup": {"id": NSG}}},
    )


def change_the_address_space(azure) -> None:
    network = azure.get(VNET)
    network["properties"]["addressSpace"]["addressPrefixes"] = ["10.0.0.0/15"]
    for subnet in network["properties"]["subnets"]:
        prefix = subnet["properties"]["addressPrefix"]
        subnet["properties"]["addressPrefix"] = prefix.replace("10.0.", "10.1.")
    azure.put(VNET, network)


DRIFT = [
    delete_a_rule,
    change_a_rule,
    shadow_a_rule,
    leak,
    overwrite_by_a_template,
    empty_the_rules,
    delete_the_nsg,
    make_the_nsg_anew,
    disassociate,
    disassociate_by_the_network,
    change_the_clients_prefix,
    change_the_file_systems_prefix,
    change_the_address_space,
]


@pytest.mark.parametrize("schema", ["EventGridSchema", "CloudEventSchemaV1_0"])
@pytest.mark.parametrize("drift", DRIFT, ids=lambda drift: drift.__name__)
def test_drift_is_repaired(guarded, drift, schema) -> None:
    guarded.azure.set(eventSchema=schema)
    drift(guarded.azure)
    guarded.quiet()
    assert guarded.is_right()
    assert "restored" in guarded.types()
    assert set(guarded.types()) == {"restored"}
    restored = guarded.outcomes()[-1]
    assert (restored["subject"], restored["data"]["verdictAfter"]) == ("guards/fs", "compliant")
    assert restored["data"]["changes"]
    assert guarded.get()["status"]["lastOutcome"] == "restored"
    assert [event["id"] for event in guarded.history()[: len(guarded.outcomes())]] == [
        event["id"] for event in reversed(guarded.outcomes())
    ]


def test_a_deleted_rule_comes_back_with_one_write(guarded) -> None:
    delete_a_rule(guarded.azure)
    guarded.quiet()
    assert guarded.writes() == 2, "the deletion and the restoration"
    assert guarded.types() == ["restored"]
    (change,) = guarded.outcomes()[0]["data"]["changes"]
    assert (change["action"], change["name"]) == ("create", "AMLFS-Out-KeyVault")
    assert "denies Tcp" in change["reason"]


def test_a_subnet_is_taken_back_where_the_guard_may(guarded) -> None:
    guarded.put(reassociate=True)
    guarded.azure.nsg([], OTHER)
    guarded.azure.network(OTHER)
    guarded.quiet()
    assert guarded.is_right()
    assert guarded.types() == ["restored"]


def test_a_subnet_of_another_nsg_is_announced_once_where_the_guard_may_not(guarded) -> None:
    guarded.azure.nsg([], OTHER)
    guarded.azure.network(OTHER)
    guarded.quiet()
    assert guarded.types() == ["blocked"]
    (trouble,) = guarded.outcomes()[0]["data"]["remaining"]
    assert trouble["kind"] == "subnet-of-another-network-security-group"
    assert OTHER in trouble["message"]
    guarded.post("reconcile")
    guarded.azure.put(f"{NSG}/securityRules/x", rule("x", 4000, "Inbound", "Deny"))
    guarded.quiet()
    assert guarded.types() == ["blocked"], "once, not on every event"
    assert guarded.azure.get(LUSTRE)["properties"]["networkSecurityGroup"]["id"] == OTHER
    guarded.azure.network(NSG)
    guarded.quiet()
    assert guarded.get()["status"]["verdict"] == "compliant"


def test_a_peering_changes_what_the_virtual_network_is(guarded) -> None:
    """A foreign rule that let the peer in was harmless while nobody was there."""
    spoke = VNET.replace("vnet", "spoke")
    space = {"addressSpace": {"addressPrefixes": ["10.5.0.0/16"]}, "subnets": []}
    guarded.azure.put(spoke, {"location": "eastus", "properties": space})
    guarded.forget()
    peering = f"{VNET}/virtualNetworkPeerings/spoke"
    guarded.azure.put(peering, {"properties": {"remoteVirtualNetwork": {"id": spoke}}})
    guarded.quiet()
    looked = [c for c in guarded.azure.calls() if c["path"] == VNET and c["method"] == "GET"]
    assert looked, "its own write event has the guard look"
    guarded.forget()
    guarded.azure.delete(peering)
    guarded.quiet()
    assert [c for c in guarded.azure.calls() if c["path"] == VNET and c["method"] == "GET"]


def test_a_file_system_made_anew_in_another_subnet_is_followed(idle) -> None:
    azure = idle.azure
    azure.put(FILE_SYSTEM, {"location": "eastus", "properties": {"filesystemSubnet": LUSTRE}})
    intent = {k: v for k, v in INTENT.items() if k not in ("location", "fileSystemSubnet")}
    intent["fileSystemId"] = FILE_SYSTEM
    assert idle.put(intent=intent)["status"]["verdict"] == "compliant"
    new = f"{VNET}/subnets/lustre2"
    azure.put(new, {"properties": {"addressPrefix": "10.0.9.0/24"}})
    azure.put(LUSTRE, {"properties": {"addressPrefix": "10.0.1.0/24"}})
    idle.quiet()
    azure.delete(FILE_SYSTEM)
    azure.put(FILE_SYSTEM, {"location": "eastus", "properties": {"filesystemSubnet": new}})
    idle.quiet()
    assert azure.get(new)["properties"]["networkSecurityGroup"]["id"] == NSG
    by_name = {one["name"]: one["properties"] for one in azure.rules()}
    assert by_name["AMLFS-In-FileSystem"]["sourceAddressPrefix"] == "10.0.9.0/24"
    assert idle.get()["status"]["lastOutcome"] in ("restored", "blocked")


@pytest.mark.parametrize("filtered_by", [NSG, NSG + "2"], ids=["the other's NSG", "its own NSG"])
def test_a_file_system_in_another_guards_subnet_changes_nothing_there(guarded, filtered_by) -> None:
    azure, new = guarded.azure, f"{VNET}/subnets/lustre2"
    azure.put(new, {"properties": {"addressPrefix": "10.0.9.0/24"}})
    azure.put(FILE_SYSTEM, {"location": "eastus", "properties": {"filesystemSubnet": new}})
    intent = {k: v for k, v in INTENT.items() if k not in ("location", "fileSystemSubnet")}
    intent |= {"fileSystemId": FILE_SYSTEM, "networkSecurityGroupId": NSG + "2"}
    guarded.put(mode="audit")
    assert guarded.put("second", status=201, intent=intent, reassociate=True)
    azure.put(f"{NSG}2", {"location": "eastus", "properties": {"securityRules": azure.rules()}})
    azure.put(
        LUSTRE,
        {
            "properties": {
                "addressPrefix": "10.0.1.0/24",
                "networkSecurityGroup": {"id": filtered_by},
            }
        },
    )
    azure.delete(FILE_SYSTEM)
    guarded.quiet()
    guarded.forget()
    azure.put(FILE_SYSTEM, {"location": "eastus", "properties": {"filesystemSubnet": LUSTRE}})
    guarded.quiet()
    told = [event for event in guarded.outcomes() if event["subject"] == "guards/second"]
    assert [event["type"] for event in told] == ["amlfs.guard.blocked"]
    assert told[0]["data"]["remaining"][-1]["kind"] == "guarded-already"
    guarded.post("reconcile", "second")
    guarded.run("sweep")
    guarded.quiet()
    assert len([e for e in guarded.outcomes() if e["subject"] == "guards/second"]) == 1, "once"
    assert guarded.writes() == 1, "the file system alone"
    subnet = azure.get(LUSTRE)["properties"]
    assert subnet["networkSecurityGroup"]["id"] == filtered_by


def test_what_cannot_be_repaired_is_announced_once_with_the_witness(guarded) -> None:
    deny = rule("deny-public", 100, "Outbound", "Deny", destinationAddressPrefix="Internet")
    leaking = rule("ssh", 100, "Inbound", "Allow", **SSH)
    guarded.azure.nsg([deny, leaking])
    guarded.quiet()
    assert guarded.types() == ["restored", "blocked"]
    assert {"AMLFS-In-DenyAll", "AMLFS-Out-Lustre"} <= set(guarded.azure.names())
    remaining = guarded.outcomes()[-1]["data"]["remaining"]
    vault = next(r for r in remaining if r.get("requirement") == "AMLFS-Out-KeyVault")
    assert vault["rule"]["name"] == "deny-public"
    assert vault["witness"]["destinationPort"] == 443
    (excess,) = [r for r in remaining if r["kind"] == "excess"]
    assert excess["rule"]["name"] == "ssh"
    guarded.azure.put(f"{NSG}/securityRules/x", rule("x", 4000, "Inbound", "Deny"))
    guarded.quiet()
    assert guarded.types() == ["restored", "blocked"]
    assert guarded.get()["status"]["verdict"] == "noncompliant"


def test_foreign_rules_are_removed_where_the_guard_may(guarded) -> None:
    guarded.put(foreignRules="remove")
    deny = rule("deny-public", 100, "Outbound", "Deny", destinationAddressPrefix="Internet")
    guarded.azure.put(NSG, guarded.azure.get(NSG) | {"properties": {"securityRules": [deny]}})
    guarded.quiet()
    assert guarded.is_right()
    assert "deny-public" not in guarded.azure.names()


def test_an_audit_guard_announces_and_writes_nothing(guarded) -> None:
    guarded.put(mode="audit")
    guarded.forget()
    delete_a_rule(guarded.azure)
    guarded.quiet()
    assert guarded.types() == ["driftDetected"]
    assert guarded.outcomes()[0]["data"]["changes"][0]["name"] == "AMLFS-Out-KeyVault"
    assert guarded.writes() == 1
    guarded.post("reconcile")
    assert guarded.types() == ["driftDetected"], "once"
    assert guarded.get()["status"]["verdict"] == "noncompliant"
    guarded.azure.put(f"{NETWORK}/routeTables/r", {"location": "eastus", "properties": {}})
