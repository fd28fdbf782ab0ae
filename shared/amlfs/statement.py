"""The intent as a caller states it: the contract's JSON, read with every mistake at once.

`read_intent` gives a checked statement; `IntentStatement.resolve` turns it into an `Intent`, once
the prefixes of the subnets that it names by id are known.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool
from pydantic_core import PydanticCustomError

from shared.amlfs.catalogue import DEFAULT_REVISION, load_catalogue, revisions
from shared.amlfs.exceptions import ExceptionStatement
from shared.amlfs.intent import Intent
from shared.amlfs.prefixes import Address, Prefix, first_overlap, overlapping
from shared.documents import Document, Item, items
from shared.errors import FieldError
from shared.nsg.locations import (
    Cloud,
    Location,
    cloud_by_name,
    find_location,
    nearest_locations,
    unknown_location,
)
from shared.nsg.service_tags import shipped_service_tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

IN_ASCII = re.IGNORECASE | re.ASCII
"""Without ASCII, the Kelvin sign would count as a k, and one id look like another."""

GROUP_ID = r"/subscriptions/[0-9A-Za-z-]+/resourceGroups/[\w.()-]*[\w()-]/providers"
NETWORK_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,78}[A-Za-z0-9_])?"
SUBNET_ID = re.compile(
    rf"{GROUP_ID}/Microsoft\.Network/virtualNetworks/{NETWORK_NAME}/subnets/{NETWORK_NAME}",
    IN_ASCII,
)
NSG_ID = re.compile(
    rf"{GROUP_ID}/Microsoft\.Network/networkSecurityGroups/{NETWORK_NAME}", IN_ASCII
)
FILE_SYSTEM_ID = re.compile(
    rf"{GROUP_ID}/Microsoft\.StorageCache/amlFilesystems/{NETWORK_NAME}", IN_ASCII
)
NAME_PREFIX = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]{0,39})?")
AZURE_DNS = IPv4Network("168.63.129.16/32")
"""Azure's own DNS server: no rule is needed, NSGs do not filter what goes there.

Source: "What is IP address 168.63.129.16?", Microsoft Learn.
"""

SUGGESTIONS = 5
"""Of so many unknown names at most the nearest known ones are looked for: it takes a while."""

UNKNOWN_LOCATION = re.compile(r"[A-Za-z][A-Za-z0-9 ]{1,27}")


def resource_id(shape: re.Pattern[str], example: str) -> BeforeValidator:
    """Accept an ARM resource id of one type, in any casing."""

    def check(value: object) -> object:
        if isinstance(value, str) and shape.fullmatch(value):
            return value
        raise PydanticCustomError("resource_id", f"Give a resource id such as {example}.")

    return BeforeValidator(check)


def check_name_prefix(value: str) -> str:
    """Accept what a rule's name may begin with, and leave room for the rest of it."""
    if NAME_PREFIX.fullmatch(value):
        return value
    raise PydanticCustomError(
        "name_prefix",
        "Begin with a letter or digit, go on with letters, digits, '.', '-' and '_',"
        " 40 characters at most.",
    )


def check_catalogue(value: str) -> str:
    """Accept a revision of the article that ships with the service."""
    if value in revisions():
        return value
    raise PydanticCustomError(
        "catalogue", f"There is no such revision; there is {', '.join(revisions())}."
    )


GROUP = "/subscriptions/…/resourceGroups/…/providers"
SubnetId = Annotated[
    str,
    resource_id(SUBNET_ID, f"{GROUP}/Microsoft.Network/virtualNetworks/vnet/subnets/lustre"),
]
NsgId = Annotated[
    str, resource_id(NSG_ID, f"{GROUP}/Microsoft.Network/networkSecurityGroups/nsg-amlfs")
]
FileSystemId = Annotated[
    str, resource_id(FILE_SYSTEM_ID, f"{GROUP}/Microsoft.StorageCache/amlFilesystems/lustre")
]


class SubnetStatement(Document):
    """A subnet, by its id or by its prefixes."""

    id: SubnetId | None = None
    address_prefixes: Annotated[list[Item[Prefix]], Field(min_length=1)] | None = None

    def contradictions(self, at: str) -> Iterable[FieldError]:
        """A subnet has exactly one of its two fields, and prefixes that do not overlap."""
        if self.id is None and self.address_prefixes is None:
            yield FieldError(at, "Give exactly one of id and addressPrefixes.")
        if self.id is not None and self.address_prefixes is not None:
            yield FieldError(f"{at}/id", "Give exactly one of id and addressPrefixes.")
        prefixes = {prefix: i for i, prefix in items(self.address_prefixes)}
        if overlap := first_overlap(p for _, p in items(self.address_prefixes)):
            yield FieldError(
                f"{at}/addressPrefixes/{prefixes[overlap[1]]}",
                f"{overlap[1]} overlaps {overlap[0]}: leave it out.",
            )


class IntentStatement(Document):
    """The contract's intent."""

    location: str | None = None
    file_system_subnet: SubnetStatement | None = None
    file_system_id: FileSystemId | None = None
    client_subnets: Annotated[list[Item[SubnetStatement]], Field(min_length=1)] | None = None
    network_security_group_id: NsgId | None = None
    storage_locations: Annotated[list[Item[str]], Field(min_length=1)] | None = None
    private_endpoint_prefixes: list[Item[Address]] = Field(default_factory=list)
    dns_servers: list[Item[Address]] = Field(default_factory=list)
    ntp_servers: Annotated[list[Item[Address]], Field(min_length=1)] | None = None
    telemetry_prefixes: Annotated[list[Item[Address]], Field(min_length=1)] | None = None
    exceptions: list[Item[ExceptionStatement]] = Field(default_factory=list)
    name_prefix: Annotated[str, AfterValidator(check_name_prefix)] = "AMLFS-"
    allow_unknown_location: StrictBool = False
    catalogue: Annotated[str, AfterValidator(check_catalogue)] = DEFAULT_REVISION

    # -- what is wrong between the fields ---------------------------------------------------------

    def contradictions(self, at: str) -> Iterable[FieldError]:
        """Everything that no field shows by itself."""
        yield from self._missing(at)
        yield from self._wrong_locations(at)
        if self.file_system_subnet:
            yield from self.file_system_subnet.contradictions(f"{at}/fileSystemSubnet")
        for i, subnet in items(self.client_subnets):
            yield from subnet.contradictions(f"{at}/clientSubnets/{i}")
        yield from self._overlaps(at)
        yield from self._wrong_exceptions(at)

    def _missing(self, at: str) -> Iterator[FieldError]:
        either = {"location": self.location, "fileSystemSubnet": self.file_system_subnet}
        for field, value in either.items():
            if value is None and self.file_system_id is None:
                yield FieldError(f"{at}/{field}", "This field is required.")
            elif value is not None and self.file_system_id is not None:
                yield FieldError(
                    f"{at}/{field}", "fileSystemId already says this: give one or the other."
                )
        if self.client_subnets is None:
            yield FieldError(
                f"{at}/clientSubnets",
                "This field is required: name at least one subnet of clients;"
                " it may be the file system's own.",
            )

    def _wrong_locations(self, at: str) -> Iterator[FieldError]:
        stated = [(f"{at}/location", self.location)] if self.location is not None else []
        stated += [(f"{at}/storageLocations/{i}", s) for i, s in items(self.storage_locations)]
        is_known = bool(self.location) and (
            self.allow_unknown_location or find_location(self.location or "") is not None
        )
        suggestions = 0
        for place, spelling in stated:
            location = find_location(spelling)
            if location is None:
                suggestions += 1
                yield from self._unknown_location(place, spelling, suggestions <= SUGGESTIONS)
            elif is_known and location.cloud is not self.cloud:
                yield FieldError(
                    place,
                    f"{location.name} is in {location.cloud}, the file system in {self.cloud}:"
                    " a storage account of another cloud cannot be reached by a service tag.",
                )

    def _unknown_location(self, place: str, spelling: str, suggest: bool) -> Iterator[FieldError]:
        if self.allow_unknown_location:
            if not UNKNOWN_LOCATION.fullmatch(spelling):
                yield FieldError(place, "A location has 2 to 28 letters, digits and spaces.")
            return
        shown = spelling[:40]
        near = f"; the nearest are {', '.join(nearest_locations(shown))}" if suggest else ""
        yield FieldError(
            place,
            f"No location is called {shown!r}{near}."
            " If it is newer than this service's data, set allowUnknownLocation.",
        )

    def _overlaps(self, at: str) -> Iterator[FieldError]:
        if self.file_system_subnet is None:
            return
        file_system = {p for _, p in items(self.file_system_subnet.address_prefixes)}
        for i, subnet in items(self.client_subnets):
            clients = items(subnet.address_prefixes)
            if {prefix for _, prefix in clients} == file_system:
                continue
            found = overlapping(file_system, [prefix for _, prefix in clients])
            for k, client in clients:
                if own := found.get(client):
                    yield FieldError(
                        f"{at}/clientSubnets/{i}/addressPrefixes/{k}",
                        f"{client} overlaps {own} of the file system's subnet: give another"
                        " subnet, or exactly the file system's where clients live in it.",
                    )

    def _wrong_exceptions(self, at: str) -> Iterator[FieldError]:
        seen: dict[str, int] = {}
        for i, exception in items(self.exceptions):
            place = f"{at}/exceptions/{i}"
            yield from exception.contradictions(place)
            first = seen.setdefault(exception.name.lower(), i) if exception.name else i
            if first != i:
                yield FieldError(
                    f"{place}/name", f"Exception {first} has this name already: choose another."
                )
        if not self.allow_unknown_location and find_location(self.location or ""):
            yield from self._unknown_tags(at)

    def _unknown_tags(self, at: str) -> Iterator[FieldError]:
        tags = shipped_service_tags(self.cloud)
        suggestions = 0
        for i, exception in items(self.exceptions):
            for field, tag in exception.unknown_tags(tags):
                suggestions += 1
                near = tags.nearest(tag[:60]) if suggestions <= SUGGESTIONS else []
                yield FieldError(
                    f"{at}/exceptions/{i}/{field}",
                    f"{self.cloud} has no service tag {tag[:60]!r}"
                    f"{'; the nearest are ' + ', '.join(near) if near else ''}. If it is newer than this"
                    " service's data, set allowUnknownLocation.",
                )

    # -- what it comes to -------------------------------------------------------------------------

    @property
    def cloud(self) -> Cloud:
        """The cloud of the location; of one that is not known, its name tells."""
        location = find_location(self.location or "")
        return location.cloud if location else cloud_by_name(self.location or "")

    def ids(self) -> list[tuple[str, str]]:
        """Return what must be looked up in ARM before `resolve`, as (pointer, resource id)."""
        stated = [("/fileSystemId", self.file_system_id)]
        if self.file_system_subnet:
            stated.append(("/fileSystemSubnet/id", self.file_system_subnet.id))
        stated += [(f"/clientSubnets/{i}/id", s.id) for i, s in items(self.client_subnets)]
        return [(place, found) for place, found in stated if found]

    def with_subnets(
        self, prefixes: Mapping[str, Sequence[IPv4Network]], location: str | None = None
    ) -> IntentStatement:
        """Return the statement with what was looked up in ARM in the place of ids.

        Args:
            prefixes: of each subnet, by its id.
            location: of the file system, where `fileSystemId` names one; its subnet's prefixes then
                stand under `""`.
        """
        own = prefixes.get("") if self.file_system_id else None
        file_system = by_prefixes(own) if own else found(self.file_system_subnet, prefixes)
        return self.model_copy(
            update={
                "file_system_id": None,
                "location": location or self.location,
                "file_system_subnet": file_system,
                "client_subnets": [found(s, prefixes) for s in self.client_subnets or ()],
            }
        )

    def resolve(self) -> Intent:
        """Return the intent with its defaults filled in; every subnet must be given by prefixes."""
        catalogue = load_catalogue(self.catalogue)
        location = self._location(self.location or "")
        storage = tuple(map(self._location, self.storage_locations or ()))
        file_system = self.file_system_subnet.address_prefixes if self.file_system_subnet else ()
        return Intent(
            location=location,
            file_system=tuple(file_system or ()),
            clients=tuple(tuple(s.address_prefixes or ()) for s in self.client_subnets or ()),
            storage_locations=storage or (location,),
            private_endpoints=tuple(self.private_endpoint_prefixes),
            dns_servers=tuple(s for s in self.dns_servers if s != AZURE_DNS),
            ntp_servers=tuple(self.ntp_servers or catalogue.literal("ntpServers")),
            telemetry=tuple(self.telemetry_prefixes or catalogue.literal("telemetryPrefixes")),
            exceptions=tuple(
                exception.declare(tuple(file_system or ()), self.cloud)
                for exception in self.exceptions
            ),
            name_prefix=self.name_prefix,
            network_security_group_id=self.network_security_group_id,
        )

    def _location(self, spelling: str) -> Location:
        return find_location(spelling) or unknown_location(spelling, self.cloud)


def by_prefixes(prefixes: Sequence[IPv4Network]) -> SubnetStatement:
    """Return a subnet stated by its prefixes."""
    return SubnetStatement.model_construct(address_prefixes=list(prefixes))


def found(
    subnet: SubnetStatement | None, prefixes: Mapping[str, Sequence[IPv4Network]]
) -> SubnetStatement | None:
    """Return a subnet by its prefixes, those that were found where it is stated by its id."""
    return by_prefixes(prefixes[subnet.id]) if subnet and subnet.id else subnet
