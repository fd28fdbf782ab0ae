"""Azure's locations: their names, the suffix that regional service tags use, and their cloud.

The suffix of `Storage.EastUS` is the location's display name without spaces; its casing cannot be
computed (`UKSouth`, `EastUS2EUAP`, `USDoDEast`), so it is data: `data/locations.json`.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources


class Cloud(StrEnum):
    """Azure's sovereign clouds, by the names that Azure's own tools give them."""

    PUBLIC = "AzureCloud"
    GOVERNMENT = "AzureUSGovernment"
    CHINA = "AzureChinaCloud"


@dataclass(frozen=True, slots=True)
class Location:
    """A place where Azure runs.

    Attributes:
        name: as ARM spells it, `eastus2`.
        display_name: as people read it, `East US 2`.
        tag_suffix: what regional service tags end with, `EastUS2`.
        cloud: the cloud that it belongs to.
        known: False when the caller named a location that the data does not have.
    """

    name: str
    display_name: str
    tag_suffix: str
    cloud: Cloud
    known: bool = True


def find_location(spelling: str) -> Location | None:
    """Return the location meant by a name or display name in any casing, or None."""
    return locations().get(plain(spelling))


def nearest_locations(spelling: str, count: int = 3) -> list[str]:
    """Return the names most like this one, the likeliest first."""
    return difflib.get_close_matches(plain(spelling), locations(), n=count, cutoff=0.0)


def unknown_location(spelling: str, cloud: Cloud) -> Location:
    """Return a location that the data does not have, with the caller's spelling as its suffix."""
    suffix = spelling.replace(" ", "")
    return Location(suffix.lower(), spelling, suffix, cloud, known=False)


def cloud_by_name(spelling: str) -> Cloud:
    """Return the cloud that a location's name speaks of: sovereign ones begin with theirs."""
    name = plain(spelling)
    if name.startswith(("usgov", "usdod")):
        return Cloud.GOVERNMENT
    return Cloud.CHINA if name.startswith("china") else Cloud.PUBLIC


def plain(spelling: str) -> str:
    """Drop case and spaces: what is left of a display name is the location's name."""
    return spelling.replace(" ", "").lower()


@cache
def locations() -> dict[str, Location]:
    """Return every known location by name, in alphabetical order."""
    rows = json.loads(resources.files(__package__).joinpath("data/locations.json").read_bytes())
    return {
        row["name"]: Location(
            row["name"], row["displayName"], row["tagSuffix"], Cloud(row["cloud"])
        )
        for row in rows["locations"]
    }
