"""`POST /api/verify` over HTTP: the contract's verdict, errors and lenience."""

from __future__ import annotations

import random

import pytest

from tests import ROOT
from tests.amlfs.test_verification import article, rule
from tests.intents import EAST_US, with_fields

BAD = {**rule("bad", 100), "properties": {"priority": 5000}}


def verify(service, rules, intent=EAST_US, status=200, query=None, **more):
    body = {"intent": intent, "securityRules": rules, **more}
    answer = service.post("/api/verify", json=body, params=query or {}, timeout=60)
    assert answer.status_code == status, answer.text[:300]
    return answer.json()


def test_the_verdict_is_the_contracts(service) -> None:
    verdict = verify(service, article())
    assert sorted(verdict) == [
        "deadRules",
        "excess",
        "notices",
        "requirements",
        "serviceTags",
        "summary",
        "verdict",
    ]
    assert verdict["verdict"] == "compliant"
    vault = next(r for r in verdict["requirements"] if r["name"] == "AMLFS-Out-KeyVault")
    assert vault == {
        "name": "AMLFS-Out-KeyVault",
        "direction": "Outbound",
        "access": "Allow",
        "verdict": "satisfied",
        "why": vault["why"],
        "satisfiedBy": ["AMLFS-Out-KeyVault"],
        "violations": [],
        "undecidedBecause": [],
    }
    assert verdict["serviceTags"] == {
        "cloud": "AzureCloud",
        "changeNumber": 375,
        "published": "2025-10-28",
        "source": "snapshot",
    }
    assert "ping-is-blocked" in [notice["code"] for notice in verdict["notices"]]


def test_the_readmes_example_names_the_rule_that_breaks_key_vault(service) -> None:
    body = (ROOT / "examples/verify-broken.json").read_bytes()
    headers = {"content-type": "application/json"}
    verdict = service.post("/api/verify", content=body, headers=headers).json()
    vault = next(r for r in verdict["requirements"] if r["name"] == "AMLFS-Out-KeyVault")
    assert vault["verdict"] == "violated"
    (violation,) = vault["violations"]
    assert violation["decidedBy"] == {"name": "deny-public", "priority": 100}
    assert violation["witness"]["destinationPort"] == 443
    assert violation["cutOff"]["addresses"] == 28
    assert len(violation["cutOff"]["prefixes"]) == 5


def test_excess_and_dead_rules(service) -> None:
    ssh = rule("ssh-any", 100, "Inbound", protocol="Tcp", destinationPortRange="22")
    dead = rule("dead", 101, "Inbound", protocol="Tcp", destinationPortRange="22")
    verdict = verify(service, [ssh, dead, *article()])
    (excess,) = verdict["excess"]
    assert excess["rule"] == {"name": "ssh-any", "priority": 100, "direction": "Inbound"}
    assert sorted(excess["witness"]) == [
        "destination",
        "destinationPort",
        "protocol",
        "source",
        "sourcePort",
    ]
    assert verdict["deadRules"] == [
        {
            "rule": {"name": "dead", "priority": 101, "direction": "Inbound"},
            "coveredBy": ["ssh-any"],
        }
    ]


def test_what_the_caller_says_of_the_network_decides(service) -> None:
    open_door = [d for d in article() if d["name"] != "AMLFS-Out-DenyAll"]
    open_door += [rule("internet", 900, destinationAddressPrefix="Internet")]
    assert verify(service, open_door)["excess"][0]["rule"]["name"] == "AllowVnetOutBound"
    known = verify(service, open_door, virtualNetworkPrefixes=["10.0.0.0/16"])
    assert "internet" in [one["rule"]["name"] for one in known["excess"]]


def test_every_error_of_intent_and_rules_at_once(service) -> None:
    wrong = with_fields(location="estus")
    problem = verify(service, [*article(), BAD], wrong, status=422)
    pointers = [error["pointer"] for error in problem["errors"]]
    assert "/intent/location" in pointers
    assert "/securityRules/19/properties/priority" in pointers


def test_a_word_that_is_no_tag_is_told_with_the_nearest(service) -> None:
    wrong = rule("open-storage", 200, destinationAddressPrefix="Storge")
    (told,) = [
        notice["message"]
        for notice in verify(service, [*article(), wrong])["notices"]
        if notice["code"] == "unknown-service-tag"
    ]
    assert told.startswith("open-storage (Outbound 200) names Storge")
    assert "Storage" in told.partition("nearest are")[2]
    usual = verify(service, article())["notices"]
    assert "unknown-service-tag" not in [notice["code"] for notice in usual]


def test_a_lenient_reader_takes_wrong_rules_as_unknown(service) -> None:
    verdict = verify(service, [*article(), BAD], query={"lenient": "true"})
    assert verdict["verdict"] == "undecided"
    unread = [n for n in verdict["notices"] if n["code"] == "unreadable-rule"]
    assert unread[0]["field"].startswith("/securityRules/19")
    vault = next(r for r in verdict["requirements"] if r["name"] == "AMLFS-Out-KeyVault")
    assert any("rule 19" in reason for reason in vault["undecidedBecause"])


@pytest.mark.parametrize("value", ["yes", "1", ""])
def test_lenient_is_true_or_false(service, value) -> None:
    problem = verify(service, article(), status=400, query={"lenient": value})
    assert "true or false" in problem["detail"]


@pytest.mark.parametrize("rules", ["x", 5, {}])
def test_rules_are_a_list(service, rules) -> None:
    problem = verify(service, rules, status=422)
    assert [error["pointer"] for error in problem["errors"]] == ["/securityRules"]


def test_rules_too_intricate_to_decide_are_refused_in_time(service) -> None:
    chance = random.Random(2)

    def ports() -> list[str]:
        return [str(p) for p in range(0, 400, 2) if chance.random() < 0.8] + ["400-65535"]

    def hosts(network: str) -> list[str]:
        return [f"{network}.{i}" for i in range(256) if chance.random() < 0.5][:90]

    rules = []
    for i in range(40):
        fields = {
            "sourceAddressPrefix": "",
            "sourceAddressPrefixes": hosts("10.0.2"),
            "destinationAddressPrefix": "",
            "destinationAddressPrefixes": hosts("10.0.1"),
            "sourcePortRange": "",
            "sourcePortRanges": ports(),
            "destinationPortRange": "",
            "destinationPortRanges": ports(),
        }
        rules.append(rule(f"r{i}", 100 + i, "Inbound", protocol="Tcp", **fields))
    problem = verify(service, rules, status=422)
    assert problem["type"].endswith(":too-intricate")


def test_many_overlapping_port_ranges_are_decided(service) -> None:
    chance = random.Random(1)

    def ports() -> str:
        low, high = sorted(chance.sample(range(65536), 2))
        return f"{low}-{high}"

    rules = [
        rule(
            f"r{i}",
            100 + i,
            "Inbound",
            access=chance.choice(["Allow", "Deny"]),
            sourcePortRange=ports(),
            destinationPortRange=ports(),
        )
        for i in range(300)
    ]
    assert verify(service, rules)["verdict"] == "noncompliant"


def test_a_wrong_type_in_a_rule_is_its_error(service) -> None:
    values: list[object] = [5, {"a": 1}, [1], True, 1.5, ["10.0.0.0/8"]]
    for value in values:
        odd = rule("odd", 100, sourceAddressPrefix=value)
        problem = verify(service, [odd], status=422)
        assert problem["errors"][0]["pointer"] == "/securityRules/0/properties/sourceAddressPrefix"


def test_without_rules_the_nsg_must_be_named(service) -> None:
    problem = service.post("/api/verify", json={"intent": EAST_US})
    assert problem.status_code == 422
    (error,) = problem.json()["errors"]
    assert error["pointer"] == "/intent/networkSecurityGroupId"
    assert "az network nsg rule list" in error["message"]
