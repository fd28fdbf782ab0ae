"""The rules that an intent comes to."""

from __future__ import annotations

from typing import Any

import pytest

from shared.documents import read_document
from shared.errors import InvalidInput
from shared.http.rules import RulesRequest
from shared.nsg.limits import breaches
from shared.nsg.locations import Cloud, locations
from shared.planning.generation import GeneratedRules, generate
from tests.intents import EAST_US, EVERYTHING, with_fields


def generated(intent: dict[str, Any]) -> GeneratedRules:
    statement = read_document(RulesRequest, {"intent": intent}).intent
    return generate(statement.resolve(), statement.catalogue)


def table(result: GeneratedRules) -> list[tuple[Any, ...]]:
    return [
        (
            rule.direction.value,
            rule.priority,
            rule.name,
            rule.flow.protocol.value,
            ",".join(rule.flow.destination_ports),
            ",".join(rule.flow.sources),
            ",".join(rule.flow.destinations),
            rule.access.value,
        )
        for rule in result.rules
    ]


def codes(result: GeneratedRules) -> list[tuple[str, str | None]]:
    return [(notice.code, notice.field) for notice in result.notices]


FS, CL, VNET = "10.0.1.0/24", "10.0.2.0/24", "VirtualNetwork"
LUSTRE = "988,1019-1023"
NINETEEN = [
    ("Inbound", 110, "AMLFS-In-FileSystem", "*", "*", FS, FS, "Allow"),
    ("Inbound", 111, "AMLFS-In-Lustre", "Tcp", LUSTRE, CL, FS, "Allow"),
    ("Inbound", 112, "AMLFS-In-Monitor", "Tcp", "*", "AzureMonitor", VNET, "Allow"),
    ("Inbound", 120, "AMLFS-In-DenyAll", "*", "*", "*", "*", "Deny"),
    ("Outbound", 100, "AMLFS-Out-Monitor", "Tcp", "443", VNET, "AzureMonitor", "Allow"),
    ("Outbound", 101, "AMLFS-Out-KeyVault", "Tcp", "443", VNET, "AzureKeyVault.EastUS", "Allow"),
    ("Outbound", 102, "AMLFS-Out-EntraId", "Tcp", "443", VNET, "AzureActiveDirectory", "Allow"),
    ("Outbound", 103, "AMLFS-Out-Storage", "Tcp", "443", VNET, "Storage.EastUS", "Allow"),
    (
        "Outbound",
        104,
        "AMLFS-Out-GuestManagement",
        "Tcp",
        "443",
        VNET,
        "GuestAndHybridManagement",
        "Allow",
    ),
    (
        "Outbound",
        105,
        "AMLFS-Out-ApiManagement",
        "Tcp",
        "443",
        VNET,
        "ApiManagement.EastUS",
        "Allow",
    ),
    ("Outbound", 106, "AMLFS-Out-DataLake", "Tcp", "443", VNET, "AzureDataLake", "Allow"),
    (
        "Outbound",
        107,
        "AMLFS-Out-ResourceManager",
        "Tcp",
        "443",
        VNET,
        "AzureResourceManager",
        "Allow",
    ),
    ("Outbound", 108, "AMLFS-Out-Lustre", "Tcp", LUSTRE, FS, CL, "Allow"),
    ("Outbound", 109, "AMLFS-Out-Ntp", "Udp", "123", FS, "168.61.215.74/32", "Allow"),
    ("Outbound", 110, "AMLFS-Out-Telemetry", "Tcp", "443", VNET, "20.34.120.0/21", "Allow"),
    ("Outbound", 111, "AMLFS-Out-FileSystem", "*", "*", FS, FS, "Allow"),
    ("Outbound", 112, "AMLFS-Out-EventHub", "Tcp", "443", VNET, "EventHub", "Allow"),
    ("Outbound", 1000, "AMLFS-Out-DenyInternet", "*", "*", VNET, "Internet", "Deny"),
    ("Outbound", 1010, "AMLFS-Out-DenyAll", "*", "*", "*", "*", "Deny"),
]


def test_east_us_is_the_article() -> None:
    assert table(generated(EAST_US)) == NINETEEN


@pytest.mark.parametrize("location", locations().values(), ids=lambda x: x.name)
def test_every_location_has_its_own_tags_and_nothing_else_changes(location) -> None:
    result = generated(with_fields(location=location.display_name))
    elsewhere = [
        tuple(
            value.replace(".EastUS", f".{location.tag_suffix}") if isinstance(value, str) else value
            for value in row
        )
        for row in NINETEEN
        if location.cloud is Cloud.PUBLIC or "AzureDataLake" not in row
    ]
    assert table(result) == elsewhere
    assert breaches(result.rules) == []


@pytest.mark.parametrize("name", ["usgovvirginia", "chinanorth3"])
def test_a_cloud_without_a_tag_leaves_the_row_out_and_says_so(name) -> None:
    result = generated(with_fields(location=name))
    assert len(result.rules) == 18
    assert ("service-tag-not-in-cloud", None) in codes(result)
    assert ("public-cloud-address", "/intent/ntpServers/0") in codes(result)
    assert ("public-cloud-address", "/intent/telemetryPrefixes/0") in codes(result)


def test_an_unknown_location_keeps_the_callers_spelling() -> None:
    result = generated(with_fields(location="Mars Central", allowUnknownLocation=True))
    destinations = [row[6] for row in table(result)]
    assert "Storage.MarsCentral" in destinations
    assert ("unknown-location", "/intent/location") in codes(result)


def test_a_location_that_no_list_has_yet_is_inferred_and_says_so() -> None:
    result = generated(with_fields(location="denmarkeast"))
    assert ("location-tags-unpublished", "/intent/location") in codes(result)


def test_everything_at_once_fits_into_one_nsg() -> None:
    result = generated(EVERYTHING)
    assert breaches(result.rules) == []
    added = [row[:3] for row in table(result) if row[1] not in {r[1] for r in NINETEEN}]
    assert added == [
        ("Inbound", 113, "lustre_In-Exception-1"),
        ("Inbound", 114, "lustre_In-Exception-2"),
        ("Outbound", 113, "lustre_Out-Storage-NorthEurope"),
        ("Outbound", 114, "lustre_Out-Storage-FranceCentral"),
        ("Outbound", 115, "lustre_Out-DnsUdp"),
        ("Outbound", 116, "lustre_Out-DnsTcp"),
        ("Outbound", 117, "lustre_Out-PrivateEndpoints"),
        ("Outbound", 118, "lustre_Out-Exception-1"),
    ]


def test_several_prefixes_share_a_rule_and_never_overlap_in_it() -> None:
    rows = {row[2]: row for row in table(generated(EVERYTHING))}
    clients = "10.0.2.0/24,10.0.3.0/24,192.168.0.0/20,10.9.1.0/24,10.0.1.0/24"
    assert rows["lustre_In-Lustre"][5] == clients
    assert rows["lustre_Out-Lustre"][6] == clients
    assert rows["lustre_Out-PrivateEndpoints"][6] == "10.0.8.0/28"
    assert rows["lustre_Out-Telemetry"][6] == "20.34.120.0/21,20.45.120.0/21"


def test_storage_only_elsewhere_takes_the_articles_place() -> None:
    result = generated(with_fields(storageLocations=["westus2", "West US 2"]))
    storage = [row for row in table(result) if "Storage" in row[2]]
    assert [(row[1], row[2], row[6]) for row in storage] == [
        (103, "AMLFS-Out-Storage-WestUS2", "Storage.WestUS2")
    ]
    both = generated(with_fields(storageLocations=["westus2", "eastus"]))
    assert [(row[1], row[6]) for row in table(both) if "Storage" in row[2]] == [
        (103, "Storage.EastUS"),
        (113, "Storage.WestUS2"),
    ]
    assert ("own-storage-region-missing", "/intent/storageLocations") in codes(result)
    assert ("storage-in-another-region", "/intent/storageLocations/0") in codes(result)


def ssh_from(number: int) -> dict[str, Any]:
    return {
        "name": f"ssh-{number}",
        "direction": "Inbound",
        "protocol": "Tcp",
        "sourceAddressPrefix": f"10.8.{number}.0/24",
        "destinationPortRange": "22",
    }


def test_inbound_exceptions_fill_the_numbers_before_the_deny_row() -> None:
    result = generated(with_fields(exceptions=[ssh_from(i) for i in range(17)]))
    added = [row[1] for row in table(result) if "Exception" in row[2]]
    assert sorted(added) == [*range(100, 110), *range(113, 120)]


def test_more_exceptions_than_numbers_move_the_deny_row_behind_them() -> None:
    result = generated(with_fields(exceptions=[ssh_from(i) for i in range(30)]))
    inbound = [row for row in table(result) if row[0] == "Inbound"]
    assert [row[7] for row in inbound] == ["Allow"] * 33 + ["Deny"]
    assert {row[1] for row in inbound if "Exception" not in row[2]} >= {110, 111, 112}


def test_more_addresses_than_an_nsg_holds_are_refused() -> None:
    many = [{"addressPrefixes": [f"10.{i}.{j}.0/24"]} for i in range(1, 30) for j in range(200)]
    with pytest.raises(InvalidInput, match="at most 4,000"):
        generated(with_fields(clientSubnets=many))


def test_a_new_sovereign_location_is_of_its_cloud() -> None:
    result = generated(with_fields(location="USGov Utah", allowUnknownLocation=True))
    assert {"service-tag-not-in-cloud", "unknown-location"} <= {code for code, _ in codes(result)}


ADVICE = {
    "unknown-service-tag": (
        {
            "allowUnknownLocation": True,
            "exceptions": [{**ssh_from(1), "sourceAddressPrefix": "BrandNew.EastUS"}],
        },
        "/intent/exceptions/0",
    ),
    "clients-in-file-system-subnet": (
        {"clientSubnets": [{"addressPrefixes": ["10.0.1.0/24"]}]},
        "/intent/clientSubnets/0",
    ),
    "ping-is-blocked": ({}, "/intent/clientSubnets"),
    "telemetry-prefix-unpublished": ({}, "/intent/telemetryPrefixes/0"),
    "custom-dns": ({"dnsServers": ["10.0.0.4"]}, "/intent/dnsServers"),
    "private-endpoints": (
        {"privateEndpointPrefixes": ["10.0.8.0/28"]},
        "/intent/privateEndpointPrefixes",
    ),
    "subnet-too-small": (
        {"fileSystemSubnet": {"addressPrefixes": ["10.0.1.0/28"]}},
        "/intent/fileSystemSubnet/addressPrefixes/0",
    ),
}


@pytest.mark.parametrize(("code", "case"), ADVICE.items(), ids=ADVICE)
def test_advice_on_what_the_article_does_not_cover(code, case) -> None:
    changes, field = case
    assert (code, field) in codes(generated(with_fields(**changes)))


@pytest.mark.parametrize(
    ("prefix", "is_noted"),
    [("20.34.120.0/21", True), ("20.45.120.0/21", False), ("192.0.2.0/24", True)],
)
def test_telemetry_prefixes_are_looked_up_among_the_published_ones(prefix, is_noted) -> None:
    found = codes(generated(with_fields(telemetryPrefixes=[prefix])))
    noted = ("telemetry-prefix-unpublished", "/intent/telemetryPrefixes/0") in found
    assert noted is is_noted


def test_advice_that_the_intent_makes_needless_is_not_given() -> None:
    ping = {"name": "ping", "direction": "Inbound", "protocol": "Icmp", "sourceAddressPrefix": "*"}
    quiet = generated(with_fields(exceptions=[ping], telemetryPrefixes=["20.45.120.0/21"]))
    assert codes(quiet) == []
