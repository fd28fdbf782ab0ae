"""Limits of a request: checked before work, at the place, whatever the mode."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from shared.limits import MOST_ERRORS, breaches
from tests.azure import rule

PREFIXES: dict[str, Any] = {
    "location": "eastus",
    "fileSystemSubnet": {"addressPrefixes": ["10.0.1.0/24"]},
    "clientSubnets": [{"addressPrefixes": ["10.0.2.0/24"]}],
}
ID = "/subscriptions/" + "x" * 1_020
EXCEPTION = {
    "name": "e",
    "direction": "Inbound",
    "protocol": "Tcp",
    "sourceAddressPrefix": "10.9.0.0/24",
}


def given(**intent):
    return {"intent": {**PREFIXES, **intent}, "securityRules": []}


def with_rules(*rules):
    return {"intent": PREFIXES, "securityRules": list(rules)}


TOO_MUCH = {
    "rules": (with_rules(*[1] * 1_001), "/securityRules"),
    "exceptions": (given(exceptions=[EXCEPTION] * 101), "/intent/exceptions"),
    "client subnets": (given(clientSubnets=PREFIXES["clientSubnets"] * 65), "/intent/clientSubnets"),
    "storage locations": (given(storageLocations=["eastus"] * 33), "/intent/storageLocations"),
    "a name": (with_rules(rule("n" * 257, 100, "Inbound", "Allow")), "/securityRules/0/name"),
    "an address": (
        with_rules(rule("r", 100, "Inbound", "Allow", sourceAddressPrefix="a" * 20_000)),
        "/securityRules/0/properties/sourceAddressPrefix",
    ),
    "a port": (
        with_rules(rule("r", 100, "Inbound", "Allow", destinationPortRange="8" * 257)),
        "/securityRules/0/properties/destinationPortRange",
    ),
    "a flat rule's address": (
        with_rules({"name": "r", "destinationAddressPrefixes": ["b" * 300]}),
        "/securityRules/0/destinationAddressPrefixes/0",
    ),
    "an id": (given(clientSubnets=[{"id": ID}]), "/intent/clientSubnets/0/id"),
    "a location": (given(location="l" * 257), "/intent/location"),
    "addresses": (
        with_rules(
            *[
                rule(f"r{n}", 100 + n, "Inbound", "Allow", sourceAddressPrefix=None,
                     sourceAddressPrefixes=[f"10.{n}.{k}.0/24" for k in range(201)])
                for n in range(20)
            ]
        ),
        "/securityRules",
    ),
    "depth": ({"intent": json.loads("[" * 40 + "]" * 40)}, "/intent" + "/0" * 15),
}  # fmt: skip


@pytest.mark.parametrize("mode", ["", "?lenient=true"])
@pytest.mark.parametrize(("body", "place"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_it_is_refused_at_its_place_whatever_the_mode(service, body, place, mode) -> None:
    started = time.monotonic()
    answer = service.post(f"/api/verify{mode}", json=body)
    assert answer.status_code == 422, answer.text
    assert place in {one["pointer"] for one in answer.json()["errors"]}
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    "body",
    [
        given(exceptions=[{**EXCEPTION, "name": f"e{n}"} for n in range(100)]),
        given(storageLocations=["eastus"] * 32),
        with_rules(rule("n" * 80, 100, "Inbound", "Allow") | {"description": "d" * 20_000}),
    ],
    ids=["exceptions", "locations", "a description"],
)
def test_what_is_just_as_large_as_it_may_be_is_read(service, body) -> None:
    answer = service.post("/api/verify?lenient=true", json=body, timeout=60)
    assert answer.status_code == 200, answer.text


def test_a_thousand_rules_of_nothing_are_answered_soon(service) -> None:
    started = time.monotonic()
    answer = service.post("/api/verify?lenient=true", json=with_rules(*[1] * 1_000), timeout=60)
    assert answer.status_code in (200, 422), answer.text
    assert time.monotonic() - started < 5


def test_not_every_error_is_told() -> None:
    rules = [rule("n" * 300, 100, "Inbound", "Allow") for _ in range(1_000)]
    assert len(breaches(with_rules(*rules))) == MOST_ERRORS


@pytest.mark.parametrize("where", ["rules", "plan", "verify", "apply"])
def test_every_body_is_checked(service, where) -> None:
    body = {"intent": {**PREFIXES, "storageLocations": ["eastus"] * 33}}
    answer = service.post(f"/api/{where}", json=body)
    assert answer.status_code == 422
    pointers = {one["pointer"] for one in answer.json()["errors"]}
    assert pointers == {"/intent/storageLocations"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-8"])
def test_what_powershell_writes_is_read(service, encoding) -> None:
    text = json.dumps({"intent": {**PREFIXES, "exceptions": [{**EXCEPTION, "name": "e"}]}})
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    headers = {"content-type": "application/json"}
    answer = service.post("/api/rules", content=(mark + text).encode(encoding), headers=headers)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["securityRules"]) == 20


def test_half_a_letter_of_utf_16_is_no_json(service) -> None:
    headers = {"content-type": "application/json"}
    answer = service.post("/api/rules", content=b"\xff\xfe{", headers=headers)
    assert answer.status_code == 400


@pytest.mark.parametrize("limit", ["9" * 5_000, "0", "501", "٣", "-1", "1e2", ""])
def test_a_limit_that_is_none_is_400(service, limit) -> None:
    assert service.get("/api/guards", params={"limit": limit}).status_code == 400
