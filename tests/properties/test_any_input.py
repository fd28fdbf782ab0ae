"""No input, however odd, makes the service fail: it answers, or says what is wrong."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import azure.functions as func
from hypothesis import given
from hypothesis import strategies as st

from shared.amlfs.statement import IntentStatement
from shared.http.rules import generate_rules
from shared.nsg.limits import breaches
from shared.nsg.locations import locations
from tests.intents import EAST_US, EVERYTHING
from tests.planning.test_generation import generated

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
any_json = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)
FIELDS = [field.alias or name for name, field in IntentStatement.model_fields.items()]
words = st.sampled_from(
    [
        "10.0.1.0/24",
        "10.0.0.0/8",
        "0.0.0.0/0",
        "10.0.1.7",
        "*",
        "Tcp",
        "22",
        "Storage",
        "eastus",
        "Inbound",
        "id",
        "addressPrefixes",
        "name",
        "direction",
        "sourceAddressPrefix",
        "~/",
    ]
)
near_json = st.recursive(
    scalars | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)
near_intents = st.builds(
    lambda base, changes: {"intent": {**base, **changes}},
    st.sampled_from([EAST_US, EVERYTHING, {}]),
    st.dictionaries(st.sampled_from(FIELDS), near_json, max_size=4),
)


async def answer_of(request: func.HttpRequest) -> func.HttpResponse:
    return await generate_rules(request)


def post(body: bytes, query: dict[str, str] | None = None) -> tuple[int, Any]:
    request = func.HttpRequest(
        "POST",
        "http://localhost/api/rules",
        headers={"content-type": "application/json"},
        params=query or {},
        body=body,
    )
    answer = asyncio.run(answer_of(request))
    return answer.status_code, answer.get_body()


def check(status: int, body: bytes) -> None:
    document = json.loads(body)
    assert status in (200, 400, 422)
    if status == 200:
        assert document["securityRules"]
    else:
        assert document["status"] == status
    if status == 422:
        assert all(e["pointer"] == "" or e["pointer"][0] == "/" for e in document["errors"])
        assert all(e["message"] for e in document["errors"])


@given(any_json)
def test_any_json_is_answered(value) -> None:
    check(*post(json.dumps(value).encode()))


@given(near_intents)
def test_anything_near_an_intent_is_answered(body) -> None:
    check(*post(json.dumps(body).encode()))


@given(st.binary())
def test_any_bytes_are_answered(body) -> None:
    check(*post(body))


@given(st.text())
def test_any_format_is_answered(name) -> None:
    status, _ = post(json.dumps({"intent": EAST_US}).encode(), {"format": name})
    assert status in (200, 400, 501)


networks = st.builds(
    lambda a, b, length: f"10.{a}.{b & (256 - 2 ** (24 - length))}.0/{length}",
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(20, 24),
)
right_intents = st.fixed_dictionaries(
    {
        "location": st.sampled_from(sorted(locations())),
        "fileSystemSubnet": st.just({"addressPrefixes": ["172.16.0.0/24"]}),
        "clientSubnets": st.lists(
            networks.map(lambda prefix: {"addressPrefixes": [prefix]}), min_size=1, max_size=6
        ),
    },
    optional={
        "privateEndpointPrefixes": st.lists(networks, max_size=6),
        "dnsServers": st.lists(networks, max_size=3),
        "ntpServers": st.lists(networks, min_size=1, max_size=3),
        "telemetryPrefixes": st.lists(networks, min_size=1, max_size=3),
        "namePrefix": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", fullmatch=True),
    },
)


@given(right_intents)
def test_the_rules_of_a_right_intent_are_always_what_arm_takes(intent) -> None:
    assert breaches(generated(intent).rules) == []


@given(right_intents)
def test_the_rules_of_an_intent_are_always_the_same(intent) -> None:
    assert generated(intent) == generated(intent)
