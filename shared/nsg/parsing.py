"""Reading security rules as they are found: ARM's dialect, or the flat one that `az` prints.

Real rule sets are odd, and these oddities are read: priorities as strings, ports as integers, an
empty string beside a list, any casing, read-only fields. What no rule can mean is an error that names
the rule by its index and the field. Where the caller is lenient, a rule with an error stands for all
that it might have meant (`Reading.rules`).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from shared.errors import FieldError
from shared.nsg.extents import is_address_word, read_port_range, read_prefix, read_prefixes
from shared.nsg.limits import (
    ADDRESSES_PER_SIDE,
    HIGHEST_PRIORITY,
    LOWEST_PRIORITY,
    RULES_PER_NSG,
)
from shared.nsg.plain_rules import read_plain_rule
from shared.nsg.rules import ANY, Access, Direction, Flow, Protocol, SecurityRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

DIRECTIONS = {direction.lower(): direction for direction in Direction}
ACCESSES = {access.lower(): access for access in Access}
PROTOCOLS = {protocol.lower(): protocol for protocol in Protocol}

ADDRESS_FIELDS = {
    side: (f"{side}AddressPrefix", f"{side}AddressPrefixes", f"{side}ApplicationSecurityGroups")
    for side in ("source", "destination")
}
PORT_FIELDS = {side: (f"{side}PortRange", f"{side}PortRanges") for side in ADDRESS_FIELDS}
"""The fields of a rule's two sides: the singular, the plural, and the one for groups."""


FIRST_DEFAULT = 65000
"""The priorities of Azure's default rules begin here."""

MOST_WRONG = 100
"""So many rules that cannot be read are told apart."""

DEFAULT_RULE = (
    "Give a number from 100 to 4096; Azure's default rules are added by themselves: leave them out."
)


@dataclass(frozen=True, slots=True)
class ReadRules:
    """What `read_rules` found.

    Attributes:
        rules: in their order; in the place of one with an error, its stand-ins.
        errors: everything that is wrong.
    """

    rules: tuple[SecurityRule, ...]
    errors: tuple[FieldError, ...]


def read_rules(documents: Sequence[object], at: str = "/securityRules") -> ReadRules:
    """Read rules in either dialect; `at` is the JSON pointer of their list."""
    plain = [read_plain_rule(document) for document in documents]
    rules = [rule for rule in plain if rule is not None]
    if len(rules) == len(plain) and are_right_together(rules):
        return ReadRules(tuple(rules), ())
    readings = [
        Reading(document, f"{at}/{i}", rule)
        for i, (document, rule) in enumerate(zip(documents, plain, strict=True))
    ]
    slots: dict[tuple[Direction, int], list[Reading]] = defaultdict(list)
    for reading in readings:
        if reading.is_placed:
            slots[reading.rule.direction, reading.rule.priority].append(reading)
    for (direction, priority), several in slots.items():
        for reading in several if len(several) > 1 else ():
            reading.fail("priority", twice(len(several), direction, priority))
    errors = [error for reading in readings for error in reading.errors]
    errors += too_many([reading.rule for reading in readings], at)
    return ReadRules(tuple(stand_ins(readings)), tuple(errors))


def stand_ins(readings: Sequence[Reading]) -> Iterator[SecurityRule]:
    """Yield every rule; in the place of wrong ones, rules that hold all that they might have meant.

    Each wrong rule has stand-ins of its own, up to a number. The others share some that hold all that
    any rule might mean, so that no number of them makes much work.
    """
    wrong = 0
    for i, reading in enumerate(readings):
        wrong += bool(reading.errors)
        if not reading.errors or wrong <= MOST_WRONG:
            yield from reading.rules(i)
    if wrong > MOST_WRONG:
        for direction in Direction:
            for access in Access:
                word = f"what the rules that cannot be read match as rules to {access}"
                yield unknown_rule("", 0, direction, access, word)


def are_right_together(rules: Sequence[SecurityRule]) -> bool:
    """Whether rules that are right one by one have no priority twice and are not too many."""
    slots = {(rule.direction, rule.priority) for rule in rules}
    return len(slots) == len(rules) and not any(too_many(rules, ""))


class Reading:
    """One rule being read, with what is wrong with it."""

    __slots__ = ("_document", "_nested", "_properties", "at", "errors", "rule")

    def __init__(self, document: object, at: str, plain: SecurityRule | None) -> None:
        self.at = at
        self.errors: list[FieldError] = []
        self._document: Mapping[str, Any] = document if isinstance(document, dict) else {}
        nested = self._document.get("properties")
        self._nested = isinstance(nested, dict)
        self._properties: Mapping[str, Any] = nested if isinstance(nested, dict) else self._document
        self.rule = plain or self._read(document)

    def _read(self, document: object) -> SecurityRule:
        if not isinstance(document, dict):
            self.errors.append(FieldError(self.at, "Give a rule as a JSON object."))
            return unknown_rule("", LOWEST_PRIORITY, Direction.INBOUND, Access.DENY, "?")
        get = self._properties.get
        return SecurityRule(
            self._name(),
            self._priority(get("priority")),
            DIRECTIONS.get(lowered(get("direction"))) or self._odd("direction", DIRECTIONS),
            ACCESSES.get(lowered(get("access"))) or self._odd("access", ACCESSES),
            Flow(
                PROTOCOLS.get(lowered(get("protocol"))) or self._odd("protocol", PROTOCOLS),
                self._addresses("source"),
                self._addresses("destination"),
                self._ports("source"),
                self._ports("destination"),
            ),
        )

    @property
    def is_placed(self) -> bool:
        """Whether its direction and priority can be read."""
        place = ("/direction", "/priority")
        return bool(self._document) and not any(e.pointer.endswith(place) for e in self.errors)

    def fail(self, field: str, message: str) -> None:
        """Note that a field is wrong."""
        inside = "/properties" if self._nested and field != "name" else ""
        self.errors.append(FieldError(f"{self.at}{inside}/{field}", message))

    def rules(self, index: int) -> Iterator[SecurityRule]:
        """Yield the rule; in the place of a wrong one, rules that hold all it might have meant."""
        if not self.errors:
            yield self.rule
            return
        field = self._properties.get
        is_placed = bool(self._document) and not any(
            error.pointer.endswith("/priority") for error in self.errors
        )
        priority = self.rule.priority if is_placed else 0  # before all others: it may be anywhere
        known = DIRECTIONS.get(lowered(field("direction")))
        sure = ACCESSES.get(lowered(field("access")))
        for direction in [known] if known else Direction:
            for access in [sure] if sure else Access:
                word = f"what rule {index} matches as a rule to {access}"
                yield unknown_rule(self.rule.name, priority, direction, access, word)

    # -- the fields -------------------------------------------------------------------------------

    def _name(self) -> str:
        name = self._document.get("name")
        if isinstance(name, str) and name:
            return name
        self.fail("name", "Give the rule's name, a string.")
        return ""

    def _priority(self, value: object) -> int:
        priority = value if type(value) is int else read_integer(value)
        if priority is not None and priority >= FIRST_DEFAULT:
            self.fail("priority", DEFAULT_RULE)
        elif priority is None or not LOWEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
            self.fail("priority", "Give a number from 100 to 4096.")
        return priority if priority is not None else LOWEST_PRIORITY

    def _odd(self, field: str, words: Mapping[str, Any]) -> Any:
        choice = ", ".join(words.values())
        self.fail(field, f"Give one of {choice}.")
        return next(iter(words.values()))

    def _values(self, singular: str, plural: str) -> tuple[Any, ...]:
        one, several = self._properties.get(singular), self._properties.get(plural)
        if several and not isinstance(several, list):
            self.fail(plural, "Give a list.")
            return ()
        if one is None or one == "":
            return tuple(several or ())
        if several:
            self.fail(plural, f"{singular} says this already: give one of the two.")
        return (one,)

    def _addresses(self, side: str) -> tuple[str, ...]:
        singular, plural, listed = ADDRESS_FIELDS[side]
        get = self._properties.get
        before = len(self.errors)
        words = self._values(singular, plural)
        for i, word in enumerate(words):
            if not (isinstance(word, str) and is_address_word(word)):
                self.fail(
                    singular if get(singular) else f"{plural}/{i}",
                    "Give an address, a CIDR, a service tag or '*'.",
                )
            elif len(words) > 1 and read_prefix(word) is None:
                self.fail(f"{plural}/{i}", "A list takes addresses and CIDRs alone.")
        if groups := get(listed):
            if words:
                self.fail(listed, "Give addresses or application security groups, not both.")
            words += self._groups(groups, listed)
        if not words and len(self.errors) == before:
            self.fail(singular, "The rule has no address on this side.")
        return words if len(self.errors) == before else ANY

    def _groups(self, groups: object, field: str) -> tuple[str, ...]:
        listed = groups if isinstance(groups, list) else [groups]
        ids = [group.get("id") if isinstance(group, dict) else None for group in listed]
        found = tuple(one for one in ids if isinstance(one, str) and one.startswith("/"))
        if len(found) < len(ids):
            self.fail(
                field, "Give a list of objects, each with an id: application security groups."
            )
        return found

    def _ports(self, side: str) -> tuple[str, ...]:
        singular, plural = PORT_FIELDS[side]
        get = self._properties.get
        before = len(self.errors)
        values = self._values(singular, plural)
        words = tuple(str(value) if type(value) is int else value for value in values)
        for i, word in enumerate(words):
            if not isinstance(word, str) or read_port_range(word) is None:
                self.fail(
                    singular if get(singular) else f"{plural}/{i}",
                    "Give a port from 0 to 65535, a range such as '80-90', or '*'.",
                )
            elif word == "*" and len(words) > 1:
                self.fail(f"{plural}/{i}", "A list cannot hold '*'.")
        if not words and len(self.errors) == before:
            self.fail(singular, "The rule has no port on this side.")
        return words if len(self.errors) == before else ANY


def unknown_rule(
    name: str, priority: int, direction: Direction, access: Access, word: str
) -> SecurityRule:
    """Return a rule of which it is not known what it matches; the word is no other rule's."""
    flow = Flow(Protocol.ANY, (word,), (word,))
    return SecurityRule(name, priority, direction, access, flow)


def twice(number: int, direction: Direction, priority: int) -> str:
    """Say that several rules of one direction have the same priority."""
    return (
        f"{number} {direction} rules have priority {priority}: ARM refuses that, give each its own."
    )


def too_many(rules: Sequence[SecurityRule], at: str) -> Iterator[FieldError]:
    """Yield that there are more rules, or more addresses in them, than an NSG holds."""
    if len(rules) > RULES_PER_NSG:
        yield FieldError(at, f"{len(rules):,} rules; an NSG holds at most {RULES_PER_NSG:,}.")
    for side in ("source", "destination"):
        words_of = attrgetter(f"flow.{side}s")
        lists = [*map(words_of, rules)]
        number = sum(map(len, lists))  # a tag or '*' is not counted, but only a limit asks for that
        if number > ADDRESSES_PER_SIDE:
            number = sum(len(words) for words in lists if len(words) > 1 or read_prefixes(words))
        if number > ADDRESSES_PER_SIDE:
            yield FieldError(
                at, f"{number:,} {side} addresses; an NSG holds at most {ADDRESSES_PER_SIDE:,}."
            )


def lowered(value: object) -> str:
    """Return a word without case; nothing for what is no word."""
    return value.lower() if isinstance(value, str) else ""


def read_integer(value: object) -> int | None:
    """Read a number that may be spelled as a string."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value)
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= 9 else None
