"""Advice: what the article does not say and an intent reveals, as notices.

A notice never stops anything. Its code is stable, its message says what may go wrong and what to
do, its field points into the request. `docs/notices.md` lists them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.amlfs.catalogue import revisions
from shared.amlfs.requirements import is_published, requirements
from shared.nsg.limits import TAG
from shared.nsg.locations import Cloud
from shared.nsg.rules import Direction, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shared.amlfs.catalogue import Catalogue
    from shared.amlfs.intent import Intent
    from shared.nsg.rules import SecurityRule
    from shared.nsg.service_tags import ServiceTags

SMALLEST_SUBNET = 27
"""Prefix length of the smallest subnet that an AMLFS file system fits in.

Source: "Azure Managed Lustre prerequisites", Microsoft Learn: /27 takes 4 to 16 TiB.
"""


SUGGESTIONS = 5
"""For so many unknown words the nearest tags are looked for: it takes some milliseconds each."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something worth knowing about an answer.

    Attributes:
        code: stable, for programs.
        message: what may go wrong and what to do, for people.
        field: JSON pointer to what it is about in the request, if it is about one field.
    """

    code: str
    message: str
    field: str | None = None

    def to_json(self) -> dict[str, str]:
        """Spell the notice as the contract does."""
        body = {"code": self.code, "message": self.message}
        return body | ({"field": self.field} if self.field else {})


def advise(intent: Intent, catalogue: Catalogue, tags: ServiceTags) -> list[Notice]:
    """Return every notice that this intent gives rise to."""
    return [
        *about_location(intent, tags),
        *about_catalogue(catalogue),
        *about_cloud(intent, catalogue, tags),
        *about_storage(intent),
        *about_telemetry(intent, catalogue, tags),
        *about_subnets(intent),
        *about_options(intent),
        *about_exceptions(intent, tags),
    ]


def about_location(intent: Intent, tags: ServiceTags) -> Iterator[Notice]:
    """Locations whose regional tags rest on the caller's or our guess."""
    stated = [("/intent/location", intent.location)]
    stated += [
        (f"/intent/storageLocations/{i}", location)
        for i, location in enumerate(intent.storage_locations)
        if location.name != intent.location.name
    ]
    for field, location in stated:
        if not location.known:
            yield Notice(
                "unknown-location",
                f"No data has the location {location.display_name!r}: its service tags end with"
                f" {location.tag_suffix}, as you spelled it. ARM refuses a tag it does not know.",
                field,
            )
        elif not is_published(location, tags):
            yield Notice(
                "location-tags-unpublished",
                f"The service tags of {tags.cloud}, change {tags.change_number}, do not have"
                f" {location.display_name} yet: the spelling .{location.tag_suffix} is inferred.",
                field,
            )


def about_exceptions(intent: Intent, tags: ServiceTags) -> Iterator[Notice]:
    """Service tags that no data has, taken because the caller insists."""
    for i, exception in enumerate(intent.exceptions):
        for word in (*exception.flow.sources, *exception.flow.destinations):
            if word[0].isalpha() and tags.canonical(word) is None:
                yield Notice(
                    "unknown-service-tag",
                    f"{tags.cloud} has no service tag {word}, change {tags.change_number}; it is"
                    " taken as you spelled it. ARM refuses a tag it does not know.",
                    f"/intent/exceptions/{i}",
                )


def about_words(rules: Iterable[SecurityRule], tags: ServiceTags) -> Iterator[Notice]:
    """Words in rules that are no service tag of any list, each with the first rule that has it."""
    found: dict[str, SecurityRule] = {}
    for rule in rules:
        for word in (*rule.flow.sources, *rule.flow.destinations):
            if TAG.fullmatch(word) and tags.canonical(word) is None:
                found.setdefault(word, rule)
    for number, (word, rule) in enumerate(found.items()):
        nearest = ", ".join(tags.nearest(word)) if number < SUGGESTIONS else ""
        yield Notice(
            "unknown-service-tag",
            f"{rule.name} ({rule.direction} {rule.priority}) names {word}: {tags.cloud} has no such"
            f" service tag, change {tags.change_number}; what it stands for is unknown."
            f"{f' The nearest are {nearest}.' if nearest else ''}",
        )


def about_catalogue(catalogue: Catalogue) -> Iterator[Notice]:
    """Say that there is a newer revision; a guard keeps the one that it was registered with."""
    newest = revisions()[0]
    if catalogue.revision < newest:
        yield Notice(
            "newer-catalogue",
            f"These are the rules of the article's revision {catalogue.revision}; there is {newest}."
            " Name it as catalogue, or PUT the guard again, to move to it.",
            "/intent/catalogue",
        )


def about_cloud(intent: Intent, catalogue: Catalogue, tags: ServiceTags) -> Iterator[Notice]:
    """Tags and literals of the article, written for the public cloud, that a cloud lacks."""
    for requirement in requirements(intent, catalogue, tags):
        if requirement.missing_tag:
            yield Notice(
                "service-tag-not-in-cloud",
                f"{tags.cloud} has no service tag {requirement.missing_tag}: the article's row"
                f" {requirement.name} is left out. Ask Microsoft support what takes its place.",
            )
    if tags.cloud is Cloud.PUBLIC:
        return
    for field in ("ntpServers", "telemetryPrefixes"):
        public = catalogue.literal(field)
        for i, prefix in enumerate(intent.option(field)):
            if prefix in public:
                yield Notice(
                    "public-cloud-address",
                    f"{prefix} is an address of the public cloud, named by the article; this"
                    f" file system is in {tags.cloud}. Set {field} to what your cloud uses.",
                    f"/intent/{field}/{i}",
                )


def about_storage(intent: Intent) -> Iterator[Notice]:
    """Storage accounts elsewhere, and none at home."""
    names = [location.name for location in intent.storage_locations]
    for i, location in enumerate(intent.storage_locations):
        if location.name != intent.location.name:
            yield Notice(
                "storage-in-another-region",
                f"A rule for Storage.{location.tag_suffix} is added, which the article lacks;"
                " traffic to it leaves the file system's region.",
                f"/intent/storageLocations/{i}",
            )
    if intent.location.name not in names:
        yield Notice(
            "own-storage-region-missing",
            f"storageLocations leaves {intent.location.name} out, but AMLFS sends health signals"
            " to storage in its own region: add it unless you know better.",
            "/intent/storageLocations",
        )


def about_telemetry(intent: Intent, catalogue: Catalogue, tags: ServiceTags) -> Iterator[Notice]:
    """Telemetry prefixes that are no published address of Azure; the article's own is none."""
    if intent.location.cloud is not Cloud.PUBLIC:
        return
    articles = catalogue.literal("telemetryPrefixes")
    for i, prefix in enumerate(intent.telemetry):
        if not tags.contains("AzureCloud", prefix):
            origin = " is what the article says, but" if prefix in articles else ":"
            yield Notice(
                "telemetry-prefix-unpublished",
                f"{prefix}{origin} no service tag that Microsoft publishes contains it. An older"
                " revision of the article also named 20.45.120.0/21, which one does. If telemetry"
                " does not arrive, ask Microsoft support and set telemetryPrefixes.",
                f"/intent/telemetryPrefixes/{i}",
            )


def about_subnets(intent: Intent) -> Iterator[Notice]:
    """Subnets that are too small, shared with clients, or apart from them."""
    for i, prefix in enumerate(intent.file_system):
        if prefix.prefixlen > SMALLEST_SUBNET:
            yield Notice(
                "subnet-too-small",
                f"{prefix} is smaller than /{SMALLEST_SUBNET}, the least that AMLFS deploys into.",
                f"/intent/fileSystemSubnet/addressPrefixes/{i}",
            )
    own = set(intent.file_system)
    for i, clients in enumerate(intent.clients):
        if set(clients) == own:
            yield Notice(
                "clients-in-file-system-subnet",
                "These clients live in the file system's subnet, so this NSG filters them too:"
                " all that they need besides Lustre must be among the exceptions.",
                f"/intent/clientSubnets/{i}",
            )
    if any(set(clients) != own for clients in intent.clients) and not allows_ping(intent):
        yield Notice(
            "ping-is-blocked",
            "ICMP from the clients is denied as the article wants it: a failed ping to the MGS"
            " proves nothing. Test TCP 988 instead, or declare an exception for Icmp.",
            "/intent/clientSubnets",
        )


def allows_ping(intent: Intent) -> bool:
    """Whether an exception lets ICMP in."""
    return any(
        exception.direction is Direction.INBOUND
        and exception.flow.protocol in (Protocol.ICMP, Protocol.ANY)
        for exception in intent.exceptions
    )


def about_options(intent: Intent) -> Iterator[Notice]:
    """Rules that the article lacks and options add."""
    if intent.dns_servers:
        yield Notice(
            "custom-dns",
            "Rules for port 53 to your DNS servers are added, which the article lacks. AMLFS is"
            " documented with Azure's own DNS: your servers must forward Azure's names to it.",
            "/intent/dnsServers",
        )
    if intent.private_endpoints:
        yield Notice(
            "private-endpoints",
            "A rule for TCP 443 to these prefixes is added, which the article lacks. Where the"
            " endpoints' subnet has network policies enabled, its own NSG must let it in.",
            "/intent/privateEndpointPrefixes",
        )
