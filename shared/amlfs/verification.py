"""Verification: do these rules honour this intent?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from shared.amlfs.requirements import exception_requirements, requirements
from shared.errors import TooComplex
from shared.nsg.evaluation import Chain
from shared.nsg.extents import ADDRESSES, HOST, Extents, read_prefix
from shared.nsg.proofs import Proof, ProofVerdict, Prover
from shared.nsg.rules import Access, Direction
from shared.packets.axis import Bounds
from shared.packets.budget import TooIntricateError
from shared.packets.intervals import complement, difference, union

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from ipaddress import IPv4Network

    from shared.amlfs.catalogue import Catalogue
    from shared.amlfs.intent import Intent
    from shared.amlfs.requirements import Requirement
    from shared.nsg.proofs import DeadRule, Violation
    from shared.nsg.rules import SecurityRule
    from shared.nsg.service_tags import ServiceTags
    from shared.packets.intervals import Boundaries


class Verdict(StrEnum):
    """What a verification comes to."""

    COMPLIANT = "compliant"
    NONCOMPLIANT = "noncompliant"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Verification:
    """The proof of every requirement of an intent against some rules.

    Attributes:
        requirements: every row of the article in its order, then those of options, each proved.
        excess: what passes that nobody asked for, one packet for each rule that lets it through.
        dead_rules: rules that never decide anything.
        tags: the service tags that the proofs rest on.
    """

    requirements: tuple[tuple[Requirement, Proof], ...]
    excess: tuple[Violation, ...]
    dead_rules: tuple[DeadRule, ...]
    tags: ServiceTags

    @property
    def verdict(self) -> Verdict:
        """Compliant where everything is proved and nothing else passes."""
        verdicts = {proof.verdict for _, proof in self.requirements}
        if ProofVerdict.VIOLATED in verdicts or self.excess:
            return Verdict.NONCOMPLIANT
        if ProofVerdict.UNDECIDED in verdicts:
            return Verdict.UNDECIDED
        return Verdict.COMPLIANT


def verify(
    intent: Intent,
    rules: Sequence[SecurityRule],
    catalogue: Catalogue,
    tags: ServiceTags,
    virtual_network: Bounds | None = None,
) -> Verification:
    """Prove every requirement of an intent against the rules of an NSG.

    Args:
        intent: what the network must be.
        rules: the NSG's own rules; Azure's default rules are added.
        catalogue: the article's rows.
        tags: the service tags' addresses.
        virtual_network: the extent of `VirtualNetwork`; by default all that is known is that it holds
            the file system and its clients.

    Raises:
        TooComplex: the rules overlap each other in too many ways.
    """
    try:
        return prove_all(intent, rules, catalogue, tags, virtual_network or extent_of(intent))
    except TooIntricateError:
        raise TooComplex(
            "These rules overlap each other in more ways than can be looked at in some seconds:"
            " many port ranges on both ends of many rules. Verify them with fewer of those."
        ) from None


def prove_all(
    intent: Intent,
    rules: Sequence[SecurityRule],
    catalogue: Catalogue,
    tags: ServiceTags,
    virtual_network: Bounds,
) -> Verification:
    """Prove every requirement in both directions; see `verify`."""
    wanted = requirements(intent, catalogue, tags)
    extents = Extents(tags, virtual_network)
    universe = boundaries_of(intent.file_system)
    proofs: dict[int, Proof] = {}
    excess: list[Violation] = []
    dead: list[DeadRule] = []
    tolerated = exception_requirements(intent, catalogue)
    for direction in Direction:
        rows = [r for r in wanted if r.direction is direction and r.missing_tag is None]
        flows = [*rows, *(r for r in tolerated if r.direction is direction)]
        chain = Chain(direction, rules, [r.flow for r in flows], extents, universe)
        first = len(chain.rules)
        may_pass = sum(1 << k for k, r in enumerate(flows, first) if r.access is Access.ALLOW)
        prover = Prover(chain, may_pass)
        for box, row in enumerate(rows, first):
            allow = row.access is Access.ALLOW
            proofs[id(row)] = prover.prove_allowed(box) if allow else prover.prove_denied(box)
        excess += prover.excess()
        dead += prover.dead_rules()
    nothing_asked = Proof(ProofVerdict.SATISFIED)  # of a row that its cloud cannot have
    proved = tuple((row, proofs.get(id(row), nothing_asked)) for row in wanted)
    return Verification(proved, tuple(excess), tuple(dead), tags)


def extent_of(
    intent: Intent,
    address_space: Iterable[IPv4Network] = (),
    peered: Iterable[IPv4Network] | None = None,
) -> Bounds:
    """Return the bounds of `VirtualNetwork` for an intent.

    Args:
        intent: its file system and clients are in the virtual network.
        address_space: of the virtual network, where it is known.
        peered: what may belong to it besides; None where nobody knows, and it may be anything (a
            route table can make it so).
    """
    known = boundaries_of([*intent.file_system, *address_space])
    clients = boundaries_of(prefix for subnet in intent.clients for prefix in subnet)
    sure = union((known, clients, (HOST, HOST + 1)))
    if peered is None:
        return Bounds(sure, complement(sure, ADDRESSES))
    return Bounds(sure, difference(boundaries_of(peered), sure, ADDRESSES))


def boundaries_of(networks: Iterable[IPv4Network]) -> Boundaries:
    """Return the addresses of some networks."""
    return union(read_prefix(str(network)) or () for network in networks)
