"""The same questions for an SMT solver (z3), over all addresses and ports.

A packet is five bit vectors; rules become one nested if-then-else, asked from the lowest priority up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import z3

from shared.nsg.service_tags import ServiceTags
from tests.properties.naive import HOST, Document, either, network, prop

PROTOCOLS = {"tcp": 0, "udp": 1, "icmp": 2, "esp": 3, "ah": 4}
SOURCE, DESTINATION = z3.BitVec("source", 32), z3.BitVec("destination", 32)
PORTS = {"source": z3.BitVec("source_port", 16), "destination": z3.BitVec("port", 16)}
PROTOCOL = z3.BitVec("protocol", 3)
LEGAL = z3.ULE(PROTOCOL, 4)

Inside = Callable[[z3.BitVecRef], z3.BoolRef]


def between(value: z3.BitVecRef, first: int, last: int) -> z3.BoolRef:
    return z3.And(z3.ULE(first, value), z3.ULE(value, last))


def in_boundaries(value: z3.BitVecRef, edges: Sequence[int]) -> z3.BoolRef:
    return z3.Or([between(value, a, b - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)])


def address(word: str, value: z3.BitVecRef, tags: ServiceTags, inside: Inside) -> z3.BoolRef:
    lowered = word.lower()
    span = network(word)
    if word == "*":
        return z3.BoolVal(True)
    if span is not None:
        return between(value, *span)
    if lowered == "virtualnetwork":
        return inside(value)
    if lowered == "internet":
        return z3.Not(inside(value))
    if lowered in ("azureloadbalancer", "azureplatformdns"):
        return value == HOST
    return in_boundaries(value, tags.boundaries(word) or ())


def port(text: str, value: z3.BitVecRef) -> z3.BoolRef:
    if text in ("*", "0-65535"):
        return z3.BoolVal(True)
    low, _, high = text.partition("-")
    return z3.And(z3.ULE(PROTOCOL, 1), between(value, int(low), int(high or low)))


def matches(document: Document, tags: ServiceTags, inside: Inside) -> z3.BoolRef:
    parts: list[z3.BoolRef] = []
    protocol = prop(document, "protocol").lower()
    if protocol != "*":
        parts.append(PROTOCOLS[protocol] == PROTOCOL)
    for side, value in (("source", SOURCE), ("destination", DESTINATION)):
        words = either(document, f"{side}AddressPrefix", f"{side}AddressPrefixes")
        parts.append(z3.Or([address(word, value, tags, inside) for word in words]))
        ranges = either(document, f"{side}PortRange", f"{side}PortRanges")
        parts.append(z3.Or([port(text, PORTS[side]) for text in ranges]))
    return z3.And(parts)


def allowed(rules: Iterable[Document], tags: ServiceTags, inside: Inside) -> z3.BoolRef:
    """Whether the packet is allowed by rules in the order in which Azure asks them."""
    verdict: z3.BoolRef = z3.BoolVal(False)
    for document in reversed(list(rules)):
        allow = z3.BoolVal(prop(document, "access").lower() == "allow")
        verdict = z3.If(matches(document, tags, inside), allow, verdict)
    return verdict


def is_possible(*conditions: z3.BoolRef) -> bool:
    """Whether some packet meets all conditions."""
    solver = z3.Solver()
    solver.add(LEGAL, *conditions)
    answer = solver.check()
    assert answer != z3.unknown
    return bool(answer == z3.sat)
