"""Requirements: the catalogue's rows, resolved for one intent.

`requirements` is a pure function of the intent, the catalogue and the names of the service tags.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, count
from typing import TYPE_CHECKING

from shared.amlfs.catalogue import CLIENTS, FILE_SYSTEM, OPTION
from shared.amlfs.prefixes import without_overlaps
from shared.nsg.rules import Access, Direction, Flow, SecurityRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from ipaddress import IPv4Network

    from shared.amlfs.catalogue import Catalogue, Row
    from shared.amlfs.intent import Intent
    from shared.nsg.locations import Location
    from shared.nsg.service_tags import ServiceTags


@dataclass(frozen=True, slots=True)
class Requirement:
    """One flow that an NSG must allow, or must deny but for what is required or excepted.

    Attributes:
        name: of the managed rule that serves it.
        priority: the article's number; None for what the article lacks.
        direction: which way the flow's first packet travels.
        access: whether the flow must pass or must not.
        flow: its packets.
        why: what it is for and what breaks without it.
        missing_tag: the service tag that this cloud does not have; then no rule can serve it.
    """

    name: str
    priority: int | None
    direction: Direction
    access: Access
    flow: Flow
    why: str
    missing_tag: str | None = None

    def rule_at(self, priority: int) -> SecurityRule:
        """Return the managed rule that serves it, at this priority."""
        return SecurityRule(self.name, priority, self.direction, self.access, self.flow, self.why)


def requirements(intent: Intent, catalogue: Catalogue, tags: ServiceTags) -> list[Requirement]:
    """Return every row of the article in its order, then what the intent's options add."""
    article = (require(row, intent, catalogue, tags) for row in catalogue.rows)
    optional = (
        require(row, intent, catalogue, tags)
        for row in catalogue.optional_rows
        if row.option and intent.option(row.option)
    )
    return [*chain.from_iterable(article), *chain.from_iterable(optional)]


def exception_requirements(intent: Intent, catalogue: Catalogue) -> list[Requirement]:
    """Return the declared exceptions: a plan adds their rules, a proof only tolerates them."""
    numbers = {direction: count(1) for direction in Direction}
    return [
        Requirement(
            name=(
                f"{intent.name_prefix}{catalogue.exception_keys[exception.direction]}"
                f"-{next(numbers[exception.direction])}"
            ),
            priority=None,
            direction=exception.direction,
            access=Access.ALLOW,
            flow=exception.flow,
            why=f"Exception {exception.name}, declared in the intent.",
        )
        for exception in intent.exceptions
    ]


def wanted_rules(intent: Intent, catalogue: Catalogue, tags: ServiceTags) -> list[Requirement]:
    """Return everything that a managed rule can serve: requirements, then declared exceptions."""
    rows = (r for r in requirements(intent, catalogue, tags) if r.missing_tag is None)
    return [*rows, *exception_requirements(intent, catalogue)]


def require(
    row: Row, intent: Intent, catalogue: Catalogue, tags: ServiceTags
) -> Iterator[Requirement]:
    """Resolve one row; the storage row comes once for each storage location."""
    each = storage_regions(intent) if row.option == "storageLocations" else [intent.location]
    tag = row.destination.removesuffix(f".{catalogue.written_for}")
    for number, location in enumerate(each):
        if tag != row.destination:
            destinations = addresses(f"{tag}.{location.tag_suffix}", intent, tags)
        elif row.option:
            destinations = texts(intent.option(row.option))
        else:
            destinations = addresses(row.destination, intent, tags)
        own = location.name == intent.location.name
        yield Requirement(
            name=f"{intent.name_prefix}{row.key}{'' if own else f'-{location.tag_suffix}'}",
            priority=row.priority if number == 0 else None,
            direction=row.direction,
            access=row.access,
            flow=Flow(
                protocol=row.protocol,
                sources=addresses(row.source, intent, tags),
                destinations=destinations,
                destination_ports=row.ports,
            ),
            why=row.why,
            missing_tag=next((word for word in (row.source, tag) if is_missing(word, tags)), None),
        )


def storage_regions(intent: Intent) -> list[Location]:
    """Return each storage location once, the file system's own first: it has the article's row."""
    each = {location.name: location for location in intent.storage_locations}
    return sorted(each.values(), key=lambda location: location.name != intent.location.name)


def addresses(word: str, intent: Intent, tags: ServiceTags) -> tuple[str, ...]:
    """Translate a row's source or destination: `FS`, `CL`, `*`, a tag or a literal."""
    if word == FILE_SYSTEM:
        return texts(intent.file_system)
    if word == CLIENTS:
        return texts(chain.from_iterable(intent.clients))
    return (tags.canonical(word) or word,)


def texts(networks: Iterable[IPv4Network]) -> tuple[str, ...]:
    """Spell prefixes as a rule does, without those inside another."""
    return tuple(str(network) for network in without_overlaps(networks))


def is_missing(word: str, tags: ServiceTags) -> bool:
    """Whether a row's word is a service tag that this cloud does not have."""
    is_tag = word.isalpha() and word not in (FILE_SYSTEM, CLIENTS, OPTION)
    return is_tag and tags.canonical(word) is None


def is_published(location: Location, tags: ServiceTags) -> bool:
    """Whether the list of service tags has this location's regional tags already."""
    return tags.canonical(f"Storage.{location.tag_suffix}") is not None
