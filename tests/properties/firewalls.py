"""Random rule sets for proofs, and the pieces that every property needs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Any

from hypothesis import strategies as st

from shared.nsg.evaluation import Chain
from shared.nsg.extents import HOST, Extents, read_prefix
from shared.nsg.locations import Cloud
from shared.nsg.parsing import read_rules
from shared.nsg.proofs import Prover
from shared.nsg.rules import Direction, Flow, Protocol
from shared.nsg.service_tags import shipped_service_tags
from shared.nsg.witness import Witness
from shared.packets.axis import Bounds
from tests.properties.naive import Document, Packet

TAGS = shipped_service_tags(Cloud.PUBLIC)
SUBNET = "10.0.0.0/30"
UNIVERSE = read_prefix(SUBNET) or ()
VIRTUAL_NETWORK = read_prefix("10.0.0.0/29") or ()
SMALL_TAGS = ["AzureKeyVault.EastUS", "ApiManagement.EastUS", "AzureDataLake", "ActionGroup"]
GROUP = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/applicationSecurityGroups/"

cidrs = st.builds(
    lambda address, length: f"10.0.0.{address - address % (1 << (32 - length))}/{length}",
    st.integers(0, 15),
    st.integers(28, 32),
)
ports = st.sampled_from(["0", "1", "2", "3", "0-1", "1-3", "2-5", "3-65535", "0-65535"])
source_ports = st.sampled_from(["0-1", "2-65535", "0-65535"])
cased = st.sampled_from([str, str.lower, str.upper])


def apart(prefixes: Iterable[str]) -> list[str]:
    """Those that do not overlap an earlier one, as a list of a rule must."""
    kept: list[str] = []
    for prefix in prefixes:
        low, high = read_prefix(prefix) or (0, 0)
        spans = [read_prefix(other) or (0, 0) for other in kept]
        if all(high <= a or b <= low for a, b in spans):
            kept.append(prefix)
    return kept


def addresses(words: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.one_of(
        st.just(["*"]),
        cidrs.map(lambda prefix: [prefix]),
        words.map(lambda word: [word]),
        st.lists(cidrs, min_size=1, max_size=3).map(apart),
    )


@st.composite
def documents(draw, words: st.SearchStrategy[str], size: int = 7) -> list[Document]:
    """A rule set in mixed dialects, spellings and order; some rules repeat others."""
    count = draw(st.integers(0, size))
    slots = draw(
        st.lists(
            st.tuples(st.sampled_from(["Inbound", "Outbound"]), st.integers(100, 130)),
            min_size=count,
            max_size=count,
            unique=True,
        )
    )
    rules: list[Document] = []
    for i, (direction, priority) in enumerate(slots):
        spell = draw(cased)
        fields: dict[str, Any] = {
            "priority": draw(st.sampled_from([priority, str(priority)])),
            "direction": spell(direction),
            "access": spell(draw(st.sampled_from(["Allow", "Deny"]))),
            "protocol": spell(draw(st.sampled_from(["Tcp", "Udp", "Icmp", "Esp", "Ah", "*", "*"]))),
        }
        for side in ("source", "destination"):
            fields |= spelled(f"{side}AddressPrefix", "es", draw(addresses(words)), spell)
            some = source_ports if side == "source" else ports
            listed = st.one_of(st.just(["*"]), st.lists(some, min_size=1, max_size=2))
            fields |= spelled(f"{side}PortRange", "s", draw(listed), str)
        name = f"rule-{i}"
        flat = draw(st.booleans())
        rules.append({"name": name, **fields} if flat else {"name": name, "properties": fields})
    return rules


def spelled(field: str, ending: str, values: list[str], spell: Any) -> dict[str, Any]:
    if len(values) > 1:
        return {field: "", field + ending: values}
    value = values[0]
    if value.startswith(GROUP):
        groups = field.replace("AddressPrefix", "ApplicationSecurityGroups")
        return {groups: [{"id": value}]}
    return {field: value if value.isdecimal() else spell(value), field + ending: []}


FLOWS: dict[Direction, list[tuple[Flow, bool]]] = {
    Direction.INBOUND: [
        (Flow(Protocol.TCP, ("10.0.0.8/29",), (SUBNET,), ("*",), ("1-2",)), True),
        (Flow(Protocol.ANY, (SUBNET,), (SUBNET,)), True),
        (Flow(Protocol.UDP, ("VirtualNetwork",), (SUBNET,), ("*",), ("3",)), True),
        (Flow(Protocol.ANY, ("*",), ("*",)), False),
    ],
    Direction.OUTBOUND: [
        (Flow(Protocol.TCP, ("VirtualNetwork",), ("AzureKeyVault.EastUS",), ("*",), ("1",)), True),
        (Flow(Protocol.TCP, (SUBNET,), ("10.0.0.8/29",), ("*",), ("0-1", "5")), True),
        (Flow(Protocol.ANY, ("VirtualNetwork",), ("Internet",)), False),
        (Flow(Protocol.ANY, ("*",), ("*",)), False),
    ],
}
"""Flows to ask about, with whether they are required (and so permitted) or denied."""


def prover(
    rules: list[Document], direction: Direction, virtual_network: Bounds
) -> tuple[Chain, Prover]:
    read = read_rules(rules)
    assert read.errors == ()
    flows = FLOWS[direction]
    extents = Extents(TAGS, virtual_network)
    chain = Chain(direction, read.rules, [flow for flow, _ in flows], extents, UNIVERSE)
    permitted = sum(1 << (len(chain.rules) + k) for k, (_, allow) in enumerate(flows) if allow)
    return chain, Prover(chain, permitted)


def as_document(flow: Flow, name: str = "flow") -> Document:
    return {
        "name": name,
        "protocol": flow.protocol.value,
        "sourceAddressPrefixes": list(flow.sources),
        "destinationAddressPrefixes": list(flow.destinations),
        "sourcePortRanges": list(flow.source_ports),
        "destinationPortRanges": list(flow.destination_ports),
    }


def as_packet(witness: Witness) -> Packet:
    return Packet(
        witness.protocol.value,
        int(IPv4Address(witness.source)),
        witness.source_port,
        int(IPv4Address(witness.destination)),
        witness.destination_port,
    )


def every_packet(direction: Direction) -> list[Packet]:
    """A packet of every kind that the rules above can tell apart."""
    base = int(IPv4Address("10.0.0.0"))
    inside = [base + i for i in range(4)]
    tagged = [(TAGS.boundaries(tag) or ())[0] for tag in SMALL_TAGS]
    outside = [base + i for i in range(16)] + [HOST, int(IPv4Address("8.8.8.8")), *tagged]
    found = []
    for here, there in itertools.product(inside, outside):
        source, destination = (there, here) if direction is Direction.INBOUND else (here, there)
        found += [Packet(name, source, 0, destination, 0) for name in ("Icmp", "Esp", "Ah")]
        found += [
            Packet(name, source, source_port, destination, port)
            for name, source_port, port in itertools.product(("Tcp", "Udp"), (0, 2), range(7))
        ]
    return found
