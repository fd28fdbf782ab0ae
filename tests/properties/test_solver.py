"""The engine and an SMT solver never disagree, over all addresses and real service tags."""

from __future__ import annotations

import z3
from hypothesis import given
from hypothesis import strategies as st

from shared.nsg.extents import ADDRESSES
from shared.nsg.proofs import ProofVerdict
from shared.nsg.rules import Direction
from shared.packets.axis import Bounds
from shared.packets.intervals import complement
from tests.properties import firewalls, solver
from tests.properties.firewalls import FLOWS, SMALL_TAGS, TAGS, UNIVERSE, as_document, prover
from tests.properties.naive import ordered
from tests.properties.test_proofs import EXTENT, with_certain_ports

words = st.one_of(
    st.sampled_from(["VirtualNetwork", "Internet", "AzureLoadBalancer", "*"]),
    st.sampled_from([*SMALL_TAGS, "Storage.EastUS", "AzureActiveDirectory"]),
    st.builds(
        lambda address, length: f"{(address >> 24) & 255}.{(address >> 16) & 255}.0.0/{length}",
        st.sampled_from([20 << 24, 40 << 24, 52 << 24, 10 << 24, (20 << 24) + (42 << 16)]),
        st.integers(8, 8),
    ),
)
directions = st.sampled_from(list(Direction))


def near(direction: Direction) -> z3.BoolRef:
    mine = solver.DESTINATION if direction is Direction.INBOUND else solver.SOURCE
    return solver.in_boundaries(mine, UNIVERSE)


def known(value: z3.BitVecRef) -> z3.BoolRef:
    return solver.in_boundaries(value, EXTENT.sure)


def questions(rules, direction, inside):
    """For each flow: whether a packet of it is denied, or passes that no permitted flow holds."""
    passes = solver.allowed(ordered(rules, direction), TAGS, inside)
    permitted = z3.Or(
        [
            solver.matches(as_document(flow), TAGS, inside)
            for flow, allow in FLOWS[direction]
            if allow
        ]
    )
    for flow, allow in FLOWS[direction]:
        within = z3.And(near(direction), solver.matches(as_document(flow), TAGS, inside))
        broken = z3.Not(passes) if allow else z3.And(passes, z3.Not(permitted))
        yield z3.And(within, broken)


@given(firewalls.documents(words, size=8).map(with_certain_ports), directions)
def test_where_all_is_known_they_agree_on_everything(rules, direction) -> None:
    chain, proofs = prover(rules, direction, EXTENT)
    for k, broken in enumerate(questions(rules, direction, known)):
        _, allow = FLOWS[direction][k]
        proof = (proofs.prove_allowed if allow else proofs.prove_denied)(len(chain.rules) + k)
        possible = solver.is_possible(broken)
        assert proof.verdict is (ProofVerdict.VIOLATED if possible else ProofVerdict.SATISFIED)


@given(firewalls.documents(words, size=8).map(with_certain_ports), directions)
def test_what_is_claimed_of_an_unknown_network_holds_for_every_extent(rules, direction) -> None:
    """The solver may choose any extent that has the known addresses: it finds no other answer."""
    chain, proofs = prover(
        rules, direction, Bounds(EXTENT.sure, complement(EXTENT.sure, ADDRESSES))
    )
    far = solver.SOURCE if direction is Direction.INBOUND else solver.DESTINATION
    chosen = z3.Bool("far_in_network")

    def inside(value: z3.BitVecRef) -> z3.BoolRef:
        return z3.Or(known(value), chosen) if value is far else z3.Or(known(value), near(direction))

    for k, broken in enumerate(questions(rules, direction, inside)):
        _, allow = FLOWS[direction][k]
        proof = (proofs.prove_allowed if allow else proofs.prove_denied)(len(chain.rules) + k)
        if proof.verdict is ProofVerdict.SATISFIED:
            assert not solver.is_possible(broken)
        if proof.verdict is ProofVerdict.VIOLATED:
            assert solver.is_possible(broken, chosen)
            assert solver.is_possible(broken, z3.Not(chosen))
