"""What the engine claims is so: packet by packet, and by an SMT solver over all addresses."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.nsg.extents import ADDRESSES, HOST
from shared.nsg.proofs import ProofVerdict
from shared.nsg.rules import Direction
from shared.packets.axis import Bounds
from shared.packets.intervals import complement, holds, union
from tests.properties.firewalls import (
    FLOWS,
    GROUP,
    SMALL_TAGS,
    TAGS,
    VIRTUAL_NETWORK,
    as_document,
    as_packet,
    documents,
    every_packet,
    prover,
)
from tests.properties.naive import Member, Packet, decide, matches, network_member, ordered

known_words = st.sampled_from(
    ["VirtualNetwork", "Internet", "AzureLoadBalancer", "AzurePlatformDNS", *SMALL_TAGS]
)
unknown_words = st.sampled_from(
    [
        "VirtualNetwork",
        "Internet",
        "BrandNew.EastUS",
        "Other",
        GROUP + "a",
        GROUP + "b",
        *SMALL_TAGS,
    ]
)
EXTENT = Bounds(union((VIRTUAL_NETWORK, (HOST, HOST + 1))))
KNOWN = network_member(lambda address: holds(EXTENT.sure, address), TAGS)
PACKETS = {direction: every_packet(direction) for direction in Direction}
directions = st.sampled_from(list(Direction))


def portless_rules(rules) -> bool:
    """Whether some packet without ports meets a rule with ports, which nobody can decide."""
    return any(
        rule.get("properties", rule)["protocol"].lower() not in ("tcp", "udp") for rule in rules
    )


def with_certain_ports(rules):
    """The rules with protocols that leave nothing open about ports."""
    for rule in rules:
        fields = rule.get("properties", rule)
        if fields["protocol"].lower() not in ("tcp", "udp"):
            for side in ("source", "destination"):
                fields[f"{side}PortRange"], fields[f"{side}PortRanges"] = "*", []
    return rules


def far_end(packet: Packet, direction: Direction) -> int:
    return packet.source if direction is Direction.INBOUND else packet.destination


@given(documents(known_words).map(with_certain_ports), directions)
def test_where_all_is_known_every_claim_is_what_every_packet_says(rules, direction) -> None:
    chain, proofs = prover(rules, direction, EXTENT)
    asked = ordered(rules, direction)
    decided = {packet: decide(asked, packet, KNOWN) for packet in PACKETS[direction]}
    permitted = [as_document(flow) for flow, allow in FLOWS[direction] if allow]
    leaking, deciding = set(), set()
    for packet, (access, name) in decided.items():
        deciding.add(name)
        if access == "Allow" and not any(matches(d, packet, KNOWN, True) for d in permitted):
            leaking.add(name)
    for k, (flow, allow) in enumerate(FLOWS[direction]):
        inside = [p for p in decided if matches(as_document(flow), p, KNOWN, True)]
        against = {decided[p] for p in inside}
        if allow:
            proof = proofs.prove_allowed(len(chain.rules) + k)
            expected = {name for access, name in against if access == "Deny"}
            assert {v.decided_by.name for v in proof.violations} == expected
            assert proof.verdict is (ProofVerdict.VIOLATED if expected else ProofVerdict.SATISFIED)
            if not expected:
                assert set(proof.satisfied_by) == {name for _, name in against}
            for violation in proof.violations:
                denied = {p for p in inside if decided[p] == ("Deny", violation.decided_by.name)}
                assert violation.cut_off is not None
                cut_off = violation.cut_off.boundaries()
                there = {far_end(p, direction) for p in inside}
                assert {a for a in there if holds(cut_off, a)} == {
                    far_end(p, direction) for p in denied
                }
        else:
            proof = proofs.prove_denied(len(chain.rules) + k)
            expected = {
                name
                for p in inside
                for access, name in [decided[p]]
                if access == "Allow" and not any(matches(d, p, KNOWN, True) for d in permitted)
            }
            assert {v.decided_by.name for v in proof.violations} == expected
            assert proof.verdict is (ProofVerdict.VIOLATED if expected else ProofVerdict.SATISFIED)
    assert {v.decided_by.name for v in proofs.excess()} == leaking
    dead = {d.rule.name for d in proofs.dead_rules()}
    visible = {
        d["name"] for d in asked[:-3] if any(matches(d, p, KNOWN, True) for p in PACKETS[direction])
    }
    assert dead == visible - deciding


@given(documents(known_words), directions)
def test_a_dead_rules_cover_is_enough(rules, direction) -> None:
    _, proofs = prover(rules, direction, EXTENT)
    by_name = {rule["name"]: rule for rule in rules}
    for dead in proofs.dead_rules():
        cover = [by_name[name] for name in dead.covered_by]
        for packet in PACKETS[direction]:
            if matches(by_name[dead.rule.name], packet, KNOWN, False):
                assert any(matches(d, packet, KNOWN, False) for d in cover)


def test_rules_that_cover_a_dead_one_only_together_are_all_named() -> None:
    def rule(priority: int, prefix: str, ports: str, protocol: str = "Tcp") -> dict:
        return {
            "name": f"{prefix}:{ports}",
            "priority": priority,
            "direction": "Inbound",
            "access": "Deny",
            "protocol": protocol,
            "sourceAddressPrefix": prefix,
            "destinationAddressPrefix": "*",
            "sourcePortRange": "*",
            "destinationPortRange": ports,
        }

    rules = [
        rule(100, "10.0.0.8/29", "0-9", "*"),
        rule(101, "10.0.0.0/29", "0-9"),
        rule(102, "10.0.0.12/30", "0-9"),
        rule(103, "10.0.0.0/28", "2-5"),
        rule(104, "10.0.0.0/28", "2-10"),
    ]
    _, proofs = prover(rules, Direction.INBOUND, EXTENT)
    dead = [(dead.rule.name, dead.covered_by) for dead in proofs.dead_rules()]
    assert dead == [
        ("10.0.0.12/30:0-9", ("10.0.0.8/29:0-9",)),
        ("10.0.0.0/28:2-5", ("10.0.0.8/29:0-9", "10.0.0.0/29:0-9")),
    ]


def some_networks(seed: int, *, is_known: bool) -> list[tuple[Member, bool]]:
    """Ways in which what is unknown may be: extents of every unknown set, and of ICMP's ports."""
    chance = random.Random(seed)
    found: list[tuple[Member, bool]] = []
    for i in range(8):
        share = (0.0, 1.0, 0.5, 0.2)[i % 4]
        sets: dict[str, dict[int, bool]] = {}

        def unknown(word: str, address: int, sets=sets, share=share) -> bool:
            extent = sets.setdefault(word.lower(), {})
            return extent.setdefault(address, chance.random() < share)

        def in_network(address: int, unknown=unknown) -> bool:
            inside = holds(EXTENT.sure, address)
            return inside or (not is_known and unknown("virtualnetwork", address))

        known = network_member(in_network, TAGS)

        def member(word: str, address: int, known=known, unknown=unknown) -> bool:
            open_words = word.lower() in ("brandnew.eastus", "other") or word.startswith("/")
            return unknown(word, address) if open_words else known(word, address)

        found.append((member, bool(i & 1)))
    return found


@given(documents(unknown_words), directions, st.integers(0, 2**32), st.booleans())
def test_what_is_claimed_is_so_however_the_unknown_may_be(rules, direction, seed, is_known) -> None:
    anything = Bounds(EXTENT.sure, complement(EXTENT.sure, ADDRESSES))
    chain, proofs = prover(rules, direction, EXTENT if is_known else anything)
    asked = ordered(rules, direction)
    permitted = [as_document(flow) for flow, allow in FLOWS[direction] if allow]
    answers = [
        (
            flow,
            allow,
            (proofs.prove_allowed if allow else proofs.prove_denied)(len(chain.rules) + k),
        )
        for k, (flow, allow) in enumerate(FLOWS[direction])
    ]
    for member, portless in some_networks(seed, is_known=is_known):
        for flow, allow, proof in answers:
            for violation in proof.violations:
                packet = as_packet(violation.witness)
                access, _ = decide(asked, packet, member, portless)
                assert access == ("Deny" if allow else "Allow")
                assert matches(as_document(flow), packet, member, portless)
            if proof.verdict is ProofVerdict.SATISFIED:
                for packet in random.Random(seed).sample(PACKETS[direction], 300):
                    if not matches(as_document(flow), packet, member, portless):
                        continue
                    access, _ = decide(asked, packet, member, portless)
                    tolerated = any(matches(d, packet, member, portless) for d in permitted)
                    assert access == "Allow" if allow else access == "Deny" or tolerated
        for violation in proofs.excess():
            packet = as_packet(violation.witness)
            expected = ("Allow", violation.decided_by.name)
            assert decide(asked, packet, member, portless) == expected
            assert not any(matches(d, packet, member, portless) for d in permitted)


@given(documents(known_words), directions)
def test_every_witness_is_decided_by_the_stated_rule(rules, direction) -> None:
    chain, proofs = prover(rules, direction, EXTENT)
    asked = ordered(rules, direction)
    for k, (_, allow) in enumerate(FLOWS[direction]):
        prove = proofs.prove_allowed if allow else proofs.prove_denied
        for violation in prove(len(chain.rules) + k).violations:
            packet = as_packet(violation.witness)
            answers = {decide(asked, packet, KNOWN, portless) for portless in (True, False)}
            assert {access for access, _ in answers} == {"Deny" if allow else "Allow"}
            if packet.protocol in ("Tcp", "Udp") or not allow:
                assert {name for _, name in answers} == {violation.decided_by.name}


@settings(max_examples=max((settings.get_current_profile_name() == "deep" and 5000) or 0, 50))
@given(documents(known_words), directions, st.randoms(use_true_random=False))
def test_meaning_only_renaming_reordering_and_dialect_change_nothing(
    rules, direction, chance
) -> None:
    def verdicts(documents):
        chain, proofs = prover(documents, direction, EXTENT)
        return [
            (proofs.prove_allowed if allow else proofs.prove_denied)(len(chain.rules) + k).verdict
            for k, (_, allow) in enumerate(FLOWS[direction])
        ]

    changed = []
    for i, rule in enumerate(rules):
        fields = {k: v for k, v in rule.get("properties", rule).items() if k != "name"}
        fields["etag"] = "read-only"
        name = f"other-{i}"
        nested = "properties" in rule
        changed.append({"name": name, **fields} if nested else {"name": name, "properties": fields})
    chance.shuffle(changed)
    assert verdicts(changed) == verdicts(rules)
