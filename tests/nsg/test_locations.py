"""Locations: every spelling finds its region, and a wrong one finds its neighbours."""

from __future__ import annotations

import pytest

from shared.nsg.locations import Cloud, Location, find_location, locations, nearest_locations
from shared.nsg.service_tags import shipped_service_tags


def test_the_three_clouds_have_seventy_nine_locations() -> None:
    clouds = [location.cloud for location in locations().values()]
    assert {cloud: clouds.count(cloud) for cloud in Cloud} == {
        Cloud.PUBLIC: 68,
        Cloud.GOVERNMENT: 5,
        Cloud.CHINA: 6,
    }


@pytest.mark.parametrize("location", list(locations().values()), ids=lambda location: location.name)
class TestEveryLocation:
    @pytest.mark.parametrize("spell", [str.lower, str.upper, str.title, str])
    def test_is_found_by_name_and_display_name(self, location: Location, spell) -> None:
        assert find_location(spell(location.name)) is location
        assert find_location(spell(location.display_name)) is location

    def test_has_the_suffix_of_the_published_tags(self, location) -> None:
        published = shipped_service_tags(location.cloud).canonical(
            f"storage.{location.tag_suffix.lower()}"
        )
        inferred = None if location.name == "denmarkeast" else f"Storage.{location.tag_suffix}"
        assert published == inferred


@pytest.mark.parametrize(
    ("spelling", "meant"),
    [("estus", "eastus"), ("West Eurpe", "westeurope"), ("usgov virgina", "usgovvirginia")],
)
def test_a_misspelt_location_finds_three_neighbours(spelling, meant) -> None:
    near = nearest_locations(spelling)
    assert meant in near
    assert len(near) == 3
