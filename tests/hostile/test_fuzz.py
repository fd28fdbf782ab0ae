"""Bodies of legal shape and hostile size: answered in time, and never by a failure of our own.

`python3 dev.py test --deep -- tests/hostile/test_fuzz.py` makes two thousand of each kind, in place of a
few.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import azure.functions as func
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.http.plans import plan_rules
from shared.http.rules import generate_rules
from shared.http.verify import verify_rules
from tests.hostile.bodies import INTENT
from tests.hostile.test_work import SECONDS, slowness

pytestmark = pytest.mark.in_process

FUNCTIONS = {"verify": verify_rules, "plan": plan_rules, "rules": generate_rules}
BODY_LIMIT = 1 << 20
DEEP = settings.get_current_profile_name() == "deep"

sizes = st.sampled_from([0, 1, 2, 5, 50, 300, 999, 1_000, 1_001])
WORDS = [
    *("*", "Any", "Internet", "VirtualNetwork", "Storage.EastUS", "AzureCloud", "a.b.c", ""),
    *("0.0.0.0/0", "10.0.0.0/8", "10.0.1.0/24", "10.0.1.7", "::/0", "1.2.3.4/33"),
    *("x" * 256, "x" * 257, "\u212a", "\x00"),
]
words = st.sampled_from(WORDS)
ports = st.sampled_from(
    ["*", "0-65535", "443", "988", "1-2", "65535-1", "70000", "", "-1", "1,2", "\u0663"]
)
odd = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)  # fmt: skip


@st.composite
def rules(draw: st.DrawFn) -> list[Any]:
    """Many rules from few shapes: sizes that count, without drawing each of them."""
    count = draw(sizes)
    shapes = draw(st.lists(rule_shapes(), min_size=1, max_size=6))
    found = []
    for n in range(count):
        shape = shapes[n % len(shapes)]
        if isinstance(shape, dict) and isinstance(shape.get("properties"), dict):
            properties = {**shape["properties"], "priority": 100 + n if n < 3_996 else n}
            shape = {**shape, "name": f"r{n}", "properties": properties}
        found.append(shape)
    return found


@st.composite
def rule_shapes(draw: st.DrawFn) -> Any:
    if draw(st.integers(0, 9)) == 0:
        return draw(odd)
    many = draw(st.sampled_from([1, 2, 5, 40, 400]))
    properties: dict[str, Any] = {
        "direction": draw(st.sampled_from(["Inbound", "Outbound", "inbound", "x"])),
        "access": draw(st.sampled_from(["Allow", "Deny", "?"])),
        "protocol": draw(st.sampled_from(["Tcp", "Udp", "*", "Icmp", "tcp", 6])),
    }
    for side in ("source", "destination"):
        if draw(st.booleans()):
            properties[f"{side}AddressPrefix"] = draw(words)
        else:
            first = draw(st.integers(0, 255))
            properties[f"{side}AddressPrefixes"] = [
                f"10.{first}.{k % 256}.{k // 256}/32" for k in range(many)
            ]
        if draw(st.booleans()):
            properties[f"{side}PortRange"] = draw(ports)
        else:
            start = draw(st.integers(0, 60_000))
            step = draw(st.integers(1, 100))
            properties[f"{side}PortRanges"] = [
                f"{min(start + k * step, 65_000)}-{min(start + k * step + 7, 65_535)}"
                for k in range(draw(st.sampled_from([1, 5, 30])))
            ]
    return {"name": "r", "properties": properties}


@st.composite
def intents(draw: st.DrawFn) -> dict[str, Any]:
    intent = dict(INTENT)
    count = draw(st.sampled_from([0, 0, 1, 10, 99, 100, 101]))
    if count:
        source = draw(words)
        intent["exceptions"] = [
            {
                "name": f"e{n}",
                "direction": draw(st.sampled_from(["Inbound", "Outbound"])) if n < 3 else "Inbound",
                "protocol": "Tcp",
                "sourceAddressPrefix": source if n % 3 else f"10.7.{n}.0/24",
                "destinationAddressPrefix": "*",
                "destinationPortRange": str(1 + n),
            }
            for n in range(count)
        ]
    if draw(st.booleans()):
        size = draw(st.sampled_from([1, 63, 64, 65]))
        intent["clientSubnets"] = [{"addressPrefixes": [f"10.{2 + n}.0.0/24"]} for n in range(size)]
    for name in ("dnsServers", "ntpServers", "telemetryPrefixes", "privateEndpointPrefixes"):
        if draw(st.integers(0, 4)) == 0:
            size = draw(st.sampled_from([1, 100, 3_999, 4_000, 4_001]))
            intent[name] = [f"10.{n // 250}.{n % 250}.4" for n in range(size)]
    if draw(st.integers(0, 5)) == 0:
        intent[draw(st.sampled_from([*intent, "namePrefix", "catalogue"]))] = draw(odd)
    return intent


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, str], bytes]:
    where = draw(st.sampled_from(["verify", "verify", "plan", "plan", "rules"]))
    body: dict[str, Any] = {"intent": draw(intents())}
    query = {}
    if where != "rules":
        body["securityRules"] = draw(rules())
    if where == "verify" and draw(st.booleans()):
        query = {"lenient": "true"}
    if where == "plan":
        body["foreignRules"] = draw(st.sampled_from(["keep", "remove"]))
    return where, query, json.dumps(body).encode()


@settings(
    max_examples=2_000 if DEEP else 60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(requests())
def test_every_body_is_answered_in_time(request: tuple[str, dict[str, str], bytes]) -> None:
    where, query, body = request
    asked = func.HttpRequest(
        method="POST",
        url=f"http://localhost/api/{where}",
        params=query,
        headers={"content-type": "application/json"},
        body=body,
    )

    async def main() -> func.HttpResponse:
        return await FUNCTIONS[where](asked)

    started = time.monotonic()
    answer = asyncio.run(main())
    taken = time.monotonic() - started
    assert answer.status_code in (200, 409, 413, 422), answer.get_body()[:300]
    assert (answer.status_code == 413) == (len(body) > BODY_LIMIT)
    assert taken < SECONDS * slowness(), f"{taken:.1f} s for {len(body)} bytes"
