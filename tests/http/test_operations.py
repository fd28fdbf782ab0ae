"""Long applies: accepted, carried out, asked about, never lost."""

from __future__ import annotations

import asyncio
import time
import uuid

import pytest

from shared.cloud.store import open_store
from shared.guards.housekeeping import OPERATION
from shared.http import operations
from shared.settings import read_settings
from tests.azure import INTENT, NSG, rule
from tests.planning.test_plan import nineteen

ASYNC = {"Prefer": "wait=5, respond-async"}


def accept(service, body=None, **headers):
    answer = service.post(
        "/api/apply", json=body or {"intent": INTENT}, headers={**ASYNC, **headers}
    )
    assert answer.status_code == 202, answer.text
    assert int(answer.headers["retry-after"]) > 0
    return answer


def follow(service, location: str):
    """What Logic Apps do: ask until the answer is another one."""
    end = time.monotonic() + 20
    while True:
        answer = service.get(location)
        if answer.status_code != 202:
            return answer
        assert answer.headers["location"] == location
        assert answer.headers["retry-after"]
        assert time.monotonic() < end
        time.sleep(0.05)


def test_an_operation_ends_with_applys_own_answer(service, azure) -> None:
    azure.network()
    azure.set(operationSeconds=0.3)
    accepted = accept(service)
    location = accepted.headers["location"]
    assert location.endswith(f"/api/operations/{accepted.json()['id']}")
    answer = follow(service, location)
    assert answer.status_code == 200
    assert (answer.json()["applied"], answer.json()["verdictAfter"]) == (True, "compliant")
    assert len(azure.names()) == 19


def test_an_operation_fails_with_its_problem(service, azure) -> None:
    azure.nsg([rule("deny", 100, "Outbound", "Deny")])
    azure.network(NSG)
    answer = follow(service, accept(service).headers["location"])
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["blocked"]


def test_a_transient_failure_says_when_to_try_again(service, azure) -> None:
    azure.network()
    fault = {"method": "GET", "path": "*", "status": 503, "code": "x", "retryAfter": 3600}
    azure.fail(**fault)
    answer = follow(service, accept(service).headers["location"])
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3600")


def test_the_same_key_is_the_same_operation(service, azure) -> None:
    azure.network()
    key = str(uuid.uuid4())
    first, second = (accept(service, **{"Idempotency-Key": key}) for _ in range(2))
    assert first.headers["location"] == second.headers["location"]
    follow(service, first.headers["location"])
    assert azure.counted()["PUT networksecuritygroups"] == 1
    again = accept(service, **{"Idempotency-Key": key})
    assert again.headers["location"] == first.headers["location"]
    other = service.post(
        "/api/apply",
        json={"intent": INTENT, "allowShared": True},
        headers={**ASYNC, "Idempotency-Key": key},
    )
    assert other.status_code == 422
    assert other.json()["type"].endswith("idempotency-key-reused")


def test_wrong_input_is_said_at_once(service, azure) -> None:
    answer = service.post("/api/apply", json={"intent": {}}, headers=ASYNC)
    assert answer.status_code == 422


def test_an_operation_that_nobody_knows_is_not_found(service) -> None:
    assert service.get(f"/api/operations/{uuid.uuid4()}").status_code == 404


@pytest.mark.parametrize("status", ["queued", "running"])
def test_an_operation_whose_message_or_worker_was_lost_goes_on(service, azure, status) -> None:
    """As after the death of a process: the record is there, nobody works on it."""
    azure.nsg([one for one in nineteen() if one["name"] != "AMLFS-Out-Ntp"])
    azure.network(NSG)
    accepted = accept(service)
    location, key = accepted.headers["location"], accepted.json()["id"]
    follow(service, location)
    azure.delete(f"{NSG}/securityRules/AMLFS-Out-Ntp")
    lost = {
        "status": status,
        "request": {"intent": INTENT},
        "digest": "",
        "correlationId": "c",
        "heard": time.time() - operations.LEASE_SECONDS - 1,
    }
    rewrite(key, lost)
    answer = follow(service, location)
    assert answer.json()["applied"] is True
    assert "AMLFS-Out-Ntp" in azure.names()


def rewrite(key: str, body: dict) -> None:
    async def write() -> None:
        store = open_store(read_settings())
        record = await store.get(OPERATION, key)
        assert record is not None
        await store.replace(OPERATION, key, body, record.version)

    asyncio.run(write())
