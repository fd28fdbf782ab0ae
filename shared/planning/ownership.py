"""Whose rule is it? Ownership goes by name alone, compliance by meaning alone.

A rule is *managed* when its name is the intent's prefix, a row's key of the catalogue and, at most,
the region of a service tag or a number as suffix, without case: `AMLFS-Out-Storage-WestEurope`,
`AMLFS-In-Lustre-2`. All others are *foreign*: `AMLFS-Out-Storage-Backup` too. The keys of every
revision count: a row that a newer revision drops is removed, and not left behind as a stranger's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.amlfs.catalogue import all_keys
from shared.nsg.locations import locations

if TYPE_CHECKING:
    from shared.amlfs.intent import Intent


class Ownership:
    """Tells managed rules from foreign ones, for one intent."""

    def __init__(self, intent: Intent) -> None:
        """Know the prefix, the keys and the regions."""
        self._heads = {f"{intent.name_prefix}{key}".lower() for key in all_keys()}
        stated = (intent.location, *intent.storage_locations)
        known = (*locations().values(), *stated)
        self._regions = {location.tag_suffix.lower() for location in known}

    def row_of(self, name: str) -> str | None:
        """Return what a managed rule's name begins with, prefix and key in lower case.

        None for a foreign rule.
        """
        lowered = name.lower()
        if lowered in self._heads:
            return lowered
        head, dash, suffix = lowered.rpartition("-")
        is_suffix = suffix in self._regions or (suffix.isascii() and suffix.isdecimal())
        return head if dash and head in self._heads and is_suffix else None

    def is_managed(self, name: str) -> bool:
        """Whether a rule of this name is ours to change."""
        return self.row_of(name) is not None
