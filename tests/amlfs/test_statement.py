"""What a statement refuses, where it points and what it says to do."""

from __future__ import annotations

import time
from typing import Any

import pytest

from shared.documents import read_document
from shared.errors import InvalidInput
from shared.http.rules import RulesRequest
from tests.intents import EAST_US, EVERYTHING, with_fields

NSG = "/subscriptions/s/resourcegroups/g/providers/microsoft.network/networksecuritygroups/n"
SUBNET = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/x"
SYSTEM = "/subscriptions/s/resourceGroups/g/providers/Microsoft.StorageCache/amlFilesystems/f"
SSH = {
    "name": "ssh",
    "direction": "Inbound",
    "protocol": "Tcp",
    "sourceAddressPrefix": "10.9.0.0/16",
    "destinationPortRange": "22",
}


def errors_of(intent: Any) -> dict[str, str]:
    """The errors of a request with this intent, by pointer without `/intent`."""
    with pytest.raises(InvalidInput) as caught:
        read_document(RulesRequest, {"intent": intent})
    return {e.pointer.removeprefix("/intent"): e.message for e in caught.value.errors}


def subnet(*prefixes: Any) -> dict[str, Any]:
    return {"addressPrefixes": list(prefixes)}


def exception(**changes: Any) -> dict[str, Any]:
    return {"exceptions": [{k: v for k, v in {**SSH, **changes}.items() if v is not ...}]}


ONE_ERROR = {
    # a wrong field: (changes to a right intent, pointer, what the message must say)
    "no location": ({"location": ...}, "/location", "required"),
    "location null": ({"location": None}, "/location", "required"),
    "location a number": ({"location": 5}, "/location", "string"),
    "unknown location": ({"location": "estus"}, "/location", "eastus"),
    "odd location": ({"location": "East-US"}, "/location", "eastus"),
    "odd new location": (
        {"location": "$(rm)", "allowUnknownLocation": True},
        "/location",
        "letters, digits and spaces",
    ),
    "odd name of an NSG": (
        {"networkSecurityGroupId": NSG + "\nx"},
        "/networkSecurityGroupId",
        "resource id",
    ),
    "a sovereign location misspelt": (
        {"location": "usgovvirgina", "storageLocations": ["usgovvirginia"]},
        "/location",
        "usgovvirginia",
    ),
    "no file system": ({"fileSystemSubnet": ...}, "/fileSystemSubnet", "required"),
    "no clients": ({"clientSubnets": ...}, "/clientSubnets", "at least one subnet"),
    "a subnet that is only its prefix": (
        {"fileSystemSubnet": "10.0.1.0/24"},
        "/fileSystemSubnet",
        "object with the fields id, addressPrefixes",
    ),
    "empty clients": ({"clientSubnets": []}, "/clientSubnets", "empty"),
    "empty prefixes": (
        {"fileSystemSubnet": subnet()},
        "/fileSystemSubnet/addressPrefixes",
        "empty",
    ),
    "neither id nor prefixes": ({"fileSystemSubnet": {}}, "/fileSystemSubnet", "exactly one"),
    "id and prefixes": (
        {"fileSystemSubnet": {"id": SUBNET, **subnet("10.0.1.0/24")}},
        "/fileSystemSubnet/id",
        "exactly one",
    ),
    "not a subnet's id": ({"fileSystemSubnet": {"id": NSG}}, "/fileSystemSubnet/id", "/subnets/"),
    "host bits": (
        {"fileSystemSubnet": subnet("10.0.1.4/24")},
        "/fileSystemSubnet/addressPrefixes/0",
        "give 10.0.1.0/24",
    ),
    "no length": (
        {"fileSystemSubnet": subnet("10.0.1.0")},
        "/fileSystemSubnet/addressPrefixes/0",
        "no length",
    ),
    "IPv6": (
        {"clientSubnets": [subnet("fd00::/64")]},
        "/clientSubnets/0/addressPrefixes/0",
        "IPv4 only",
    ),
    "netmask": (
        {"clientSubnets": [subnet("10.0.2.0/255.255.255.0")]},
        "/clientSubnets/0/addressPrefixes/0",
        "IPv4 prefix",
    ),
    "octet over 255": (
        {"clientSubnets": [subnet("10.0.256.0/24")]},
        "/clientSubnets/0/addressPrefixes/0",
        "255",
    ),
    "length over 32": (
        {"clientSubnets": [subnet("10.0.2.0/33")]},
        "/clientSubnets/0/addressPrefixes/0",
        "32",
    ),
    "a prefix that is a number": (
        {"clientSubnets": [subnet(10)]},
        "/clientSubnets/0/addressPrefixes/0",
        "IPv4 prefix",
    ),
    "prefixes that overlap each other": (
        {"fileSystemSubnet": subnet("10.0.0.0/23", "10.0.1.0/24")},
        "/fileSystemSubnet/addressPrefixes/1",
        "overlap",
    ),
    "clients over the file system": (
        {"clientSubnets": [subnet("10.0.2.0/24"), subnet("10.0.0.0/16")]},
        "/clientSubnets/1/addressPrefixes/0",
        "overlaps 10.0.1.0/24",
    ),
    "clients in a part of the file system": (
        {"clientSubnets": [subnet("10.0.1.0/25")]},
        "/clientSubnets/0/addressPrefixes/0",
        "overlaps 10.0.1.0/24",
    ),
    "unknown storage location": (
        {"storageLocations": ["eastus", "mars"]},
        "/storageLocations/1",
        "nearest",
    ),
    "storage in another cloud": (
        {"storageLocations": ["usgovvirginia"]},
        "/storageLocations/0",
        "AzureUSGovernment",
    ),
    "no storage location": ({"storageLocations": []}, "/storageLocations", "empty"),
    "no NTP server": ({"ntpServers": []}, "/ntpServers", "empty"),
    "no telemetry": ({"telemetryPrefixes": []}, "/telemetryPrefixes", "empty"),
    "DNS server a name": ({"dnsServers": ["dns.local"]}, "/dnsServers/0", "IPv4 prefix"),
    "DNS servers a string": ({"dnsServers": "10.0.0.4"}, "/dnsServers", "list"),
    "unknown field": ({"locatoin": "eastus"}, "/locatoin", "location"),
    "unknown field of a subnet": (
        {"fileSystemSubnet": {**subnet("10.0.1.0/24"), "a/b~c": 1}},
        "/fileSystemSubnet/a~1b~0c",
        "id, addressPrefixes",
    ),
    "unknown field of an exception": (
        exception(description="x"),
        "/exceptions/0/description",
        "sourceAddressPrefix",
    ),
    "NSG id of something else": (
        {"networkSecurityGroupId": SUBNET},
        "/networkSecurityGroupId",
        "networkSecurityGroups",
    ),
    "prefix of a name": ({"namePrefix": "-x"}, "/namePrefix", "letter or digit"),
    "long prefix of a name": ({"namePrefix": "x" * 41}, "/namePrefix", "40"),
    "unknown revision": ({"catalogue": "2020-01-01"}, "/catalogue", "2024-11-08"),
    "allowUnknownLocation a string": (
        {"allowUnknownLocation": "yes"},
        "/allowUnknownLocation",
        "true or false",
    ),
    "file system id and location": (
        {"fileSystemId": SYSTEM, "fileSystemSubnet": ...},
        "/location",
        "one or the other",
    ),
    "exception without a name": (exception(name=...), "/exceptions/0/name", "required"),
    "exception's odd name": (exception(name="a b"), "/exceptions/0/name", "letters"),
    "exception's direction": (exception(direction="in"), "/exceptions/0/direction", "Inbound"),
    "exception's protocol": (exception(protocol="sctp"), "/exceptions/0/protocol", "Tcp"),
    "exception's ports": (
        exception(destinationPortRange="22-21"),
        "/exceptions/0/destinationPortRange",
        "'80-90'",
    ),
    "exception's port over 65535": (
        exception(destinationPortRange="65536"),
        "/exceptions/0/destinationPortRange",
        "'80-90'",
    ),
    "exception from nowhere": (
        exception(sourceAddressPrefix=...),
        "/exceptions/0/sourceAddressPrefix",
        "far end",
    ),
    "exception's unknown tag": (
        exception(sourceAddressPrefix="Storage.EastU"),
        "/exceptions/0/sourceAddressPrefix",
        "Storage.EastUS",
    ),
    "exception's address": (
        exception(sourceAddressPrefix="10.0.0.1/8"),
        "/exceptions/0/sourceAddressPrefix",
        "host bits",
    ),
    "exception twice the same field": (
        exception(destinationPortRanges=["22"]),
        "/exceptions/0/destinationPortRanges",
        "destinationPortRange says this already",
    ),
    "exception's star in a list": (
        exception(destinationPortRange=..., destinationPortRanges=["*"]),
        "/exceptions/0/destinationPortRanges/0",
        "singular",
    ),
    "exception's overlapping list": (
        exception(sourceAddressPrefix=..., sourceAddressPrefixes=["10.0.0.0/8", "10.1.0.0/16"]),
        "/exceptions/0/sourceAddressPrefixes/1",
        "ARM refuses",
    ),
    "exception's ports without ports": (
        exception(protocol="Icmp"),
        "/exceptions/0/destinationPortRange",
        "no ports",
    ),
    "exceptions with one name": (
        {"exceptions": [SSH, {**SSH, "name": "SSH"}]},
        "/exceptions/1/name",
        "has this name already",
    ),
}


@pytest.mark.parametrize(("changes", "pointer", "says"), ONE_ERROR.values(), ids=ONE_ERROR)
def test_one_mistake_is_one_error_at_its_place(changes, pointer, says) -> None:
    errors = errors_of(with_fields(**changes))
    assert list(errors) == [pointer]
    assert says in errors[pointer]


def test_every_mistake_is_reported_at_once() -> None:
    """Wrong fields do not hide contradictions between the right ones."""
    errors = errors_of(
        {
            "location": "estus",
            "fileSystemSubnet": {
                "id": SUBNET,
                **subnet("10.0.1.0/24", "10.0.3.1/24", "10.0.1.0/25"),
            },
            "clientSubnets": [
                subnet("10.0.2.7/24"),
                {**subnet("fe80::/64", "10.0.0.0/16"), "size": 5},
            ],
            "storageLocations": [],
            "exceptions": [
                {**SSH, "protocol": "x", "sourceAddressPrefix": None, "colour": "red"},
                {**SSH, "destinationPortRanges": ["1"]},
            ],
            "colour": "blue",
        }
    )
    assert sorted(errors) == [
        "/clientSubnets/0/addressPrefixes/0",
        "/clientSubnets/1/addressPrefixes/0",
        "/clientSubnets/1/addressPrefixes/1",
        "/clientSubnets/1/size",
        "/colour",
        "/exceptions/0/colour",
        "/exceptions/0/protocol",
        "/exceptions/0/sourceAddressPrefix",
        "/exceptions/1/destinationPortRanges",
        "/exceptions/1/name",
        "/fileSystemSubnet/addressPrefixes/1",
        "/fileSystemSubnet/addressPrefixes/2",
        "/fileSystemSubnet/id",
        "/location",
        "/storageLocations",
    ]


def test_many_mistakes_are_found_quickly() -> None:
    """Each of these took seconds once: what is quadratic, and the search for nearest names."""
    many = range(2000)
    tags = [{**SSH, "name": f"e{i}", "sourceAddressPrefix": f"Nope{i}"} for i in many]
    own = subnet(*(f"10.{i // 250}.{i % 250}.0/25" for i in many))
    started = time.perf_counter()
    errors_of(
        with_fields(
            fileSystemSubnet=own,
            clientSubnets=[subnet(*(f"10.{i // 250}.{i % 250}.0/24" for i in many))],
            exceptions=tags,
            storageLocations=[f"nowhere{i}" for i in many],
            dnsServers=["x"] * 2000,
        )
    )
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("intent", [None, 5, "eastus", [], [EAST_US]])
def test_an_intent_is_an_object(intent) -> None:
    errors = errors_of(intent)
    assert list(errors) == [""]
    assert errors[""].startswith("Give a JSON object with the fields location, fileSystemSubnet,")


def test_an_intent_without_its_envelope_is_told_what_is_missing() -> None:
    with pytest.raises(InvalidInput) as caught:
        read_document(RulesRequest, EAST_US)
    assert {e.pointer for e in caught.value.errors} >= {"/intent", "/location"}


@pytest.mark.parametrize("spelling", ["eastus", "East US", "EASTUS", "eastUs", "east us"])
def test_a_location_is_read_in_any_spelling(spelling) -> None:
    request = read_document(RulesRequest, {"intent": with_fields(location=spelling)})
    assert request.intent.resolve().location.name == "eastus"


def test_clients_may_live_in_the_file_systems_subnet() -> None:
    clients = [subnet("10.0.1.0/24")]
    request = read_document(RulesRequest, {"intent": with_fields(clientSubnets=clients)})
    assert request.intent.resolve().clients[0] == request.intent.resolve().file_system


def test_what_ids_stand_in_a_statement() -> None:
    intent = {
        "fileSystemId": SYSTEM,
        "clientSubnets": [subnet("10.0.2.0/24"), {"id": SUBNET}],
    }
    request = read_document(RulesRequest, {"intent": intent})
    assert request.intent.ids() == [("/fileSystemId", SYSTEM), ("/clientSubnets/1/id", SUBNET)]


def test_the_richest_statement_is_right() -> None:
    intent = read_document(RulesRequest, {"intent": EVERYTHING}).intent.resolve()
    assert [location.name for location in intent.storage_locations] == [
        "westeurope",
        "northeurope",
        "francecentral",
    ]
    assert intent.exceptions[1].flow.sources == ("VirtualNetwork",)
    assert intent.exceptions[1].flow.destinations == ("10.0.1.0/24", "10.9.1.0/24")
