"""Every rule set found in public templates and recordings is read and verified."""

from __future__ import annotations

import json
from functools import partial
from ipaddress import IPv4Address
from typing import Any

import pytest

from shared.amlfs.catalogue import load_catalogue
from shared.amlfs.verification import Verdict, extent_of, verify
from shared.documents import read_document
from shared.http.rules import RulesRequest
from shared.nsg.locations import Cloud
from shared.nsg.parsing import read_rules
from shared.nsg.service_tags import shipped_service_tags
from shared.packets.intervals import holds
from tests import ROOT
from tests.intents import EAST_US, EVERYTHING, with_fields
from tests.properties.naive import Packet, decide, network_member, ordered, prop

FILES = sorted((ROOT / "tests/data").glob("nsgs*/*.json"))
TAGS = shipped_service_tags(Cloud.PUBLIC)
INTENTS = [
    EAST_US,
    EVERYTHING,
    with_fields(
        location="westus2",
        fileSystemSubnet={"addressPrefixes": ["10.0.0.0/24"]},
        clientSubnets=[{"addressPrefixes": ["10.0.0.0/24"]}, {"addressPrefixes": ["10.1.0.0/16"]}],
    ),
]


def rules_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    if "nsg" in document:
        return document["nsg"].get("properties", {}).get("securityRules", [])
    return document["securityRules"]


def test_there_are_as_many_as_the_readme_says() -> None:
    assert len(FILES) == 149 + 67


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_is_verified_and_a_naive_evaluator_agrees(path) -> None:
    documents = rules_of(json.loads(path.read_text(encoding="utf-8")))
    read = read_rules(documents)
    for stated in INTENTS:
        intent = read_document(RulesRequest, {"intent": stated}).intent.resolve()
        extent = extent_of(intent, peered=())
        found = verify(intent, read.rules, load_catalogue(), TAGS, extent)
        assert len(found.requirements) >= 19
        if read.errors:
            assert found.verdict in (Verdict.UNDECIDED, Verdict.NONCOMPLIANT)
            continue
        member = network_member(partial(holds, extent.sure), TAGS)
        witnesses = [
            (requirement.direction, violation)
            for requirement, proof in found.requirements
            for violation in proof.violations
        ] + [(violation.decided_by.direction, violation) for violation in found.excess]
        for direction, violation in witnesses:
            witness = violation.witness
            packet = Packet(
                witness.protocol.value,
                int(IPv4Address(witness.source)),
                witness.source_port,
                int(IPv4Address(witness.destination)),
                witness.destination_port,
            )
            rule = violation.decided_by
            assert decide(ordered(documents, direction), packet, member) == (rule.access, rule.name)


def test_most_are_read_without_an_error_and_the_rest_say_why() -> None:
    unread = {}
    for path in FILES:
        errors = read_rules(rules_of(json.loads(path.read_text(encoding="utf-8")))).errors
        if errors:
            unread[path.name] = [error.message for error in errors]
    assert len(unread) <= 10, unread
    assert all(messages for messages in unread.values())


def test_oddities_are_there_to_be_read() -> None:
    """Without them, the tests above would show less than they say."""
    rules = [r for path in FILES for r in rules_of(json.loads(path.read_text(encoding="utf-8")))]
    assert any(isinstance(prop(rule, "priority"), str) for rule in rules)
    assert any(prop(rule, "sourceAddressPrefix") == "" for rule in rules)
    assert any(str(prop(rule, "sourceAddressPrefix")).isupper() for rule in rules)
