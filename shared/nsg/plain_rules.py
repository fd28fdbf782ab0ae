"""Reading a rule in which nothing is odd, as ARM writes it and as nearly all are.

It is several times as fast as `parsing.Reading`, which looks at every field by itself. What is odd in
any way is left to that one; no error is made here.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from shared.nsg.extents import is_address_word, read_port_range, read_ports, read_prefixes
from shared.nsg.limits import HIGHEST_PRIORITY, LOWEST_PRIORITY
from shared.nsg.rules import Access, Direction, Flow, Protocol, SecurityRule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Word = TypeVar("Word", Direction, Access, Protocol)

Words = tuple[str, ...]

NONE: Words = ()
PRIORITIES = range(LOWEST_PRIORITY, HIGHEST_PRIORITY + 1)


def in_usual_cases(words: Iterable[Word]) -> dict[object, Word]:
    """Return words by their usual spellings."""
    return {spell(word): word for word in words for spell in (str, str.lower, str.upper)}


DIRECTIONS, ACCESSES = in_usual_cases(Direction), in_usual_cases(Access)
PROTOCOLS = in_usual_cases(Protocol)


def read_plain_rule(document: Any) -> SecurityRule | None:
    """Return the rule of a document, or None where anything about it is odd."""
    if document.__class__ is not dict:
        return None
    fields = document.get("properties", document)
    if fields.__class__ is not dict:
        return None
    name, priority = document.get("name"), fields.get("priority")
    if name.__class__ is not str or priority.__class__ is not int or priority not in PRIORITIES:
        return None
    get = fields.get
    if get("sourceApplicationSecurityGroups") or get("destinationApplicationSecurityGroups"):
        return None
    try:
        direction, access = DIRECTIONS[fields["direction"]], ACCESSES[fields["access"]]
        flow = plain_flow(get)
    except (KeyError, TypeError):  # no such word, or no word at all
        return None
    return SecurityRule(name, priority, direction, access, flow) if name and all(flow) else None


def plain_flow(field: Callable[[str], Any]) -> Flow:
    """Return the flow that some fields spell; what is odd in it is empty, or raises.

    Raises:
        KeyError: the protocol is no such word.
        TypeError: a field holds a list where a word belongs.
    """
    source, sources = field("sourceAddressPrefix"), field("sourceAddressPrefixes")
    destination = field("destinationAddressPrefix")
    destinations = field("destinationAddressPrefixes")
    from_port, from_ports = field("sourcePortRange"), field("sourcePortRanges")
    to_port, to_ports = field("destinationPortRange"), field("destinationPortRanges")
    return Flow(
        PROTOCOLS[field("protocol")],
        several_addresses(source, sources) if sources else one_address(source),
        several_addresses(destination, destinations) if destinations else one_address(destination),
        several_ports(from_port, from_ports) if from_ports else one_port(from_port),
        several_ports(to_port, to_ports) if to_ports else one_port(to_port),
    )


def several_addresses(one: Any, several: Any) -> Words:
    """Return the prefixes of a plural field; nothing where they are odd, or the singular says more."""
    words = plain_list(one, several)
    return words if words and read_prefixes(words) is not None else NONE


def several_ports(one: Any, several: Any) -> Words:
    """Return the ports of a plural field; nothing where they are odd, or the singular says more."""
    words = plain_list(one, several)
    return words if words and "*" not in words and read_ports(words) is not None else NONE


def plain_list(one: Any, several: Any) -> Words:
    """Return the words of a plural field beside an empty singular one; nothing where they are odd."""
    is_plain = several.__class__ is list and (one is None or one == "")
    return tuple(several) if is_plain and {*map(type, several)} == {str} else NONE


@lru_cache(maxsize=1 << 14)
def one_address(word: Any) -> Words:
    """Return a side of one word, or nothing where no address can be this word."""
    if word.__class__ is not str:
        return NONE
    words = (word,)
    return words if read_prefixes(words) is not None or is_address_word(word) else NONE


@lru_cache(maxsize=1 << 12)
def one_port(word: Any) -> Words:
    """Return a side of one port or range, or nothing where it is none."""
    return (word,) if word.__class__ is str and read_port_range(word) is not None else NONE
