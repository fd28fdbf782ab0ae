"""Service tags: packed and unpacked they are what Microsoft published."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from datetime import date
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.nsg.locations import Cloud
from shared.nsg.service_tags import (
    PLATFORM_TAGS,
    ServiceTags,
    ipv4_boundaries,
    read_published,
    shipped_service_tags,
    unpack,
)
from tests import ROOT

PUBLISHED = json.loads(
    gzip.decompress((ROOT / "tests/data/ServiceTags_China.json.gz").read_bytes())
)
CHINA = shipped_service_tags(Cloud.CHINA)

networks = st.builds(
    lambda address, length: str(IPv4Network((address, length), strict=False)),
    st.integers(0, 2**32 - 2),
    st.integers(1, 32),
)


def contains(boundaries, address: int) -> bool:
    return sum(boundary <= address for boundary in boundaries) % 2 == 1


def test_what_ships_is_the_published_list() -> None:
    fresh = read_published(PUBLISHED, Cloud.CHINA, "2026-07-20")
    assert list(CHINA) == list(fresh) == [tag["name"] for tag in PUBLISHED["values"]]
    assert (CHINA.change_number, CHINA.published) == (405, "2026-07-20")
    assert all(list(CHINA.boundaries(t) or ()) == list(fresh.boundaries(t) or ()) for t in fresh)


def test_a_tags_boundaries_are_its_addresses() -> None:
    for tag in PUBLISHED["values"]:
        prefixes = [p for p in tag["properties"]["addressPrefixes"] if ":" not in p]
        boundaries = CHINA.boundaries(tag["name"])
        assert boundaries is not None
        size = sum(b - a for a, b in zip(boundaries[::2], boundaries[1::2], strict=True))
        assert all(contains(boundaries, int(IPv4Network(p).network_address)) for p in prefixes)
        assert size <= sum(IPv4Network(p).num_addresses for p in prefixes)


@given(st.lists(networks, max_size=6), st.integers(0, 2**32 - 1))
def test_boundaries_hold_what_the_prefixes_hold(prefixes, address) -> None:
    boundaries = ipv4_boundaries(prefixes)
    assert boundaries == sorted(set(boundaries))
    expected = any(IPv4Address(address) in IPv4Network(p) for p in prefixes)
    assert contains(boundaries, address) == expected


@given(st.dictionaries(st.text("AbC.", min_size=1), st.lists(networks), max_size=5))
def test_unpacking_gives_what_was_packed(tags) -> None:
    by_name = {name.lower(): (name, ipv4_boundaries(p)) for name, p in tags.items()}
    packed = ServiceTags(Cloud.PUBLIC, 7, "2026-01-01", by_name.values()).pack()
    again = unpack(packed)
    assert {n: list(again.boundaries(n) or ()) for n in again} == dict(by_name.values())
    assert (again.cloud, again.change_number, again.published) == (Cloud.PUBLIC, 7, "2026-01-01")


def test_names_are_found_without_case_and_spelled_as_published() -> None:
    public = shipped_service_tags(Cloud.PUBLIC)
    assert public.canonical("STORAGE.eastus2euap") == "Storage.EastUS2EUAP"
    assert public.canonical("virtualnetwork") == "VirtualNetwork"
    assert public.canonical("Storage.Nowhere") is None
    assert "Storage.EastUS" in public.nearest("Storage.EasstUS")


@pytest.mark.parametrize("tag", PLATFORM_TAGS)
def test_platform_tags_have_no_published_addresses(tag) -> None:
    assert all(shipped_service_tags(cloud).boundaries(tag) is None for cloud in Cloud)


@pytest.mark.parametrize("cloud", [Cloud.GOVERNMENT, Cloud.CHINA])
def test_azure_data_lake_is_the_public_clouds_alone(cloud) -> None:
    assert shipped_service_tags(cloud).canonical("AzureDataLake") is None
    assert shipped_service_tags(Cloud.PUBLIC).canonical("AzureDataLake") == "AzureDataLake"


def test_the_packer_says_what_ships_and_its_age() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "shared.nsg.data"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "AzureCloud: 3039 tags, change 375, published 2025-10-28 (" in said
    assert "AzureChinaCloud: 327 tags" in said


def test_the_age_of_the_list_is_counted_in_days() -> None:
    tags = ServiceTags(Cloud.PUBLIC, 1, "2026-01-30", [])
    assert tags.age_days(date(2026, 1, 30)) == 0
    assert tags.age_days(date(2026, 3, 1)) == 30
