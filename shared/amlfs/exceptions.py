"""Declared exceptions: flows that a caller keeps open beside those of the article."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from shared.amlfs.intent import DeclaredException
from shared.amlfs.prefixes import first_overlap, parse_address
from shared.documents import Document, Item, items
from shared.errors import FieldError
from shared.nsg.extents import read_port_range
from shared.nsg.limits import TAG
from shared.nsg.rules import ANY, Direction, Flow, Protocol
from shared.nsg.service_tags import shipped_service_tags

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv4Network

    from shared.nsg.locations import Cloud
    from shared.nsg.service_tags import ServiceTags

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,58}[A-Za-z0-9_])?")


def check_name(value: str) -> str:
    """Accept what ARM would accept as a rule's name, in 60 characters."""
    if NAME.fullmatch(value):
        return value
    raise PydanticCustomError(
        "name",
        "Begin with a letter or digit, end with a letter, digit or '_', and use letters, digits,"
        " '.', '-' and '_' between, 60 characters at most.",
    )


def parse_direction(value: object) -> Direction:
    """Read a direction in any casing."""
    for direction in Direction:
        if isinstance(value, str) and value.lower() == direction.lower():
            return direction
    raise PydanticCustomError("direction", "Give Inbound or Outbound.")


def parse_protocol(value: object) -> Protocol:
    """Read a protocol in any casing."""
    for protocol in Protocol:
        if isinstance(value, str) and value.lower() == protocol.lower():
            return protocol
    raise PydanticCustomError("protocol", "Give Tcp, Udp, Icmp, Esp, Ah or *.")


def parse_ports(value: object) -> str:
    """Read a port, a range of ports or `*`, as a rule spells it."""
    if type(value) is int:  # as real rule sets spell it
        value = str(value)
    found = read_port_range(value) if isinstance(value, str) else None
    if found and value != "*":
        low, end = found
        return str(low) if low == end - 1 else f"{low}-{end - 1}"
    if value == "*":
        return "*"
    raise PydanticCustomError("ports", "Give a port such as '22', a range such as '80-90', or '*'.")


def parse_listed_ports(value: object) -> str:
    """Read one entry of a list of ports; ARM refuses `*` there."""
    if value == "*":
        raise PydanticCustomError("ports", "A list cannot hold '*': use the singular field.")
    return parse_ports(value)


def parse_endpoint(value: object) -> str:
    """Read `*`, an IPv4 prefix or what may be a service tag."""
    if isinstance(value, str) and (value == "*" or TAG.fullmatch(value)):
        return value
    return str(parse_address(value))


Ports = Annotated[str, BeforeValidator(parse_ports)]
ListedPorts = Annotated[str, BeforeValidator(parse_listed_ports)]
Endpoint = Annotated[str, BeforeValidator(parse_endpoint)]
ListedPrefix = Annotated[str, BeforeValidator(lambda value: str(parse_address(value)))]


class ExceptionStatement(Document):
    """The contract's exception: a name, a direction and the properties of a security rule."""

    name: Annotated[str, AfterValidator(check_name)] | None = None
    direction: Annotated[Direction, BeforeValidator(parse_direction)] | None = None
    protocol: Annotated[Protocol, BeforeValidator(parse_protocol)] | None = None
    source_address_prefix: Endpoint | None = None
    source_address_prefixes: Annotated[list[Item[ListedPrefix]], Field(min_length=1)] | None = None
    source_port_range: Ports | None = None
    source_port_ranges: Annotated[list[Item[ListedPorts]], Field(min_length=1)] | None = None
    destination_address_prefix: Endpoint | None = None
    destination_address_prefixes: (
        Annotated[list[Item[ListedPrefix]], Field(min_length=1)] | None
    ) = None
    destination_port_range: Ports | None = None
    destination_port_ranges: Annotated[list[Item[ListedPorts]], Field(min_length=1)] | None = None

    def contradictions(self, at: str) -> Iterator[FieldError]:
        """What is missing, said twice, or overlaps."""
        for field in ("name", "direction", "protocol"):
            if getattr(self, field) is None:
                yield FieldError(f"{at}/{field}", "This field is required.")
        for singular, plural in PAIRS:
            if getattr(self, singular) is not None and getattr(self, plural) is not None:
                yield FieldError(f"{at}/{alias(plural)}", f"{alias(singular)} says this already.")
        yield from self._wrong_ends(at)
        yield from self._wrong_ports(at)

    def _wrong_ends(self, at: str) -> Iterator[FieldError]:
        far = {Direction.INBOUND: "source", Direction.OUTBOUND: "destination"}.get(
            self.direction or Direction.INBOUND
        )
        if self.direction and not self._given(f"{far}_address_prefix"):
            yield FieldError(
                f"{at}/{far}AddressPrefix",
                "Say who is at the far end: a prefix, a service tag, or '*' for everybody.",
            )
        for side in ("source", "destination"):
            listed = [parse_address(p) for _, p in items(getattr(self, f"{side}_address_prefixes"))]
            if overlap := first_overlap(listed):
                yield FieldError(
                    f"{at}/{side}AddressPrefixes/{listed.index(overlap[1])}",
                    f"{overlap[1]} overlaps {overlap[0]}, which ARM refuses: leave it out.",
                )

    def _wrong_ports(self, at: str) -> Iterator[FieldError]:
        if self.protocol is None or self.protocol.has_ports:
            return
        for singular, plural in PAIRS:
            if singular.endswith("port_range") and self._given(singular) not in ((), ANY):
                field = singular if getattr(self, singular) is not None else plural
                yield FieldError(
                    f"{at}/{alias(field)}", f"{self.protocol} has no ports: leave this out."
                )

    def unknown_tags(self, tags: ServiceTags) -> Iterator[tuple[str, str]]:
        """Yield the service tags that a cloud does not have, as (field, tag)."""
        for field in ("source_address_prefix", "destination_address_prefix"):
            tag = getattr(self, field)
            if tag and TAG.fullmatch(tag) and not tags.canonical(tag):
                yield alias(field), tag

    def _given(self, singular: str) -> tuple[str, ...]:
        """Return what one of the two spellings of a field says; nothing where neither stands."""
        one, several = getattr(self, singular), getattr(self, dict(PAIRS)[singular])
        return (one,) if one is not None else tuple(value for _, value in items(several))

    def declare(self, file_system: tuple[IPv4Network, ...], cloud: Cloud) -> DeclaredException:
        """Return the flow meant; the file system's end is its subnet where none is named."""
        own = tuple(str(prefix) for prefix in file_system)
        tags = shipped_service_tags(cloud)

        def canonical(values: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(tags.canonical(value) or value for value in values)

        flow = Flow(
            protocol=self.protocol or Protocol.ANY,
            sources=canonical(self._given("source_address_prefix")) or own,
            destinations=canonical(self._given("destination_address_prefix")) or own,
            source_ports=self._given("source_port_range") or ANY,
            destination_ports=self._given("destination_port_range") or ANY,
        )
        return DeclaredException(self.name or "", self.direction or Direction.INBOUND, flow)


PAIRS = (
    ("source_address_prefix", "source_address_prefixes"),
    ("source_port_range", "source_port_ranges"),
    ("destination_address_prefix", "destination_address_prefixes"),
    ("destination_port_range", "destination_port_ranges"),
)


def alias(field: str) -> str:
    """Return a field's name in JSON."""
    return ExceptionStatement.model_fields[field].alias or field
