"""Events are hints: duplicated, late, lost, malformed, foreign or our own, they do no harm."""

from __future__ import annotations

import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared.guards.services import SingleFlight
from tests.azure import INTENT, LUSTRE, NETWORK, NSG, VNET, rule
from tests.conftest import ISOLATED
from tests.guards.conftest import WEBHOOK
from tests.planning.test_plan import nineteen

KIND = "Microsoft.Resources.ResourceWriteSuccess"


def grid_event(subject: Any = NSG, **changes: Any) -> dict[str, Any]:
    return {
        "id": "e1",
        "topic": "/subscriptions/s",
        "subject": subject,
        "eventType": KIND,
        "eventTime": "2026-11-25T00:00:00Z",
        "dataVersion": "2",
        "metadataVersion": "1",
        "data": {"claims": {}, "correlationId": "c-1"},
        **changes,
    }


def cloud_event(subject: Any = NSG, **changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": "e1",
        "source": "/subscriptions/s",
        "subject": subject,
        "type": KIND,
        "time": "2026-11-25T00:00:00Z",
        "data": {},
        **changes,
    }


def deliver(guarded, *events: dict[str, Any], status: int = 202) -> None:
    answer = guarded.service.post(WEBHOOK, json=list(events), timeout=30)
    assert answer.status_code == status, answer.text


def break_quietly(azure) -> None:
    """Break the NSG without an event."""
    azure.set(eventLossRate=1)
    azure.delete(f"{NSG}/securityRules/AMLFS-Out-KeyVault")
    azure.set(eventLossRate=0)


SUBJECTS = {
    "as ARM spells it": NSG,
    "in capitals": NSG.upper(),
    "in small letters": NSG.lower(),
    "a rule": f"{NSG}/securityRules/AMLFS-Out-KeyVault",
    "the network": VNET.upper(),
    "the subnet": LUSTRE,
    "a peering": f"{VNET}/virtualNetworkPeerings/hub",
}


@pytest.mark.parametrize("event", [grid_event, cloud_event])
@pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS)
def test_the_resource_id_is_matched_without_case(guarded, subject, event) -> None:
    break_quietly(guarded.azure)
    deliver(guarded, event(subject))
    assert guarded.is_right()


FOREIGN = {
    "another NSG": grid_event(NSG.replace("nsg-lustre", "other")),
    "another type": grid_event(f"{NETWORK}/loadBalancers/lb"),
    "a deployment": grid_event(
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Resources/x/y"
    ),
    "an action": grid_event(eventType="Microsoft.Resources.ResourceActionCancel"),
    "a failure": grid_event(eventType="Microsoft.Resources.ResourceWriteFailure"),
    "a storage event": grid_event(eventType="Microsoft.Storage.BlobCreated"),
    "no subject": grid_event(None),
    "a number for a subject": grid_event(7),
    "no data": cloud_event("", data=None),
    "nothing at all": {"id": "e"},
    "data that is a list": grid_event(NSG + "2", data=[1]),
}


@pytest.mark.parametrize("event", FOREIGN.values(), ids=FOREIGN)
def test_what_concerns_nobody_ends_quietly_without_a_call(guarded, event) -> None:
    guarded.azure.forget_calls()
    deliver(guarded, event)
    assert guarded.azure.calls() == []
    assert guarded.outcomes() == []


def test_a_body_that_is_no_event_is_never_delivered_again(guarded) -> None:
    for body in (b"{", b"7", b'["x"]'):
        answer = guarded.service.post(WEBHOOK, content=body)
        assert answer.status_code == 400


def test_both_handshakes(guarded) -> None:
    validation = grid_event(
        "",
        eventType="Microsoft.EventGrid.SubscriptionValidationEvent",
        data={"validationCode": "512d38b6"},
    )
    headers = {"aeg-event-type": "SubscriptionValidation"}
    answer = guarded.service.post(WEBHOOK, json=[validation], headers=headers)
    assert answer.json() == {"validationResponse": "512d38b6"}
    headers = {"WebHook-Request-Origin": "eventgrid.azure.net"}
    answer = guarded.service.options(WEBHOOK, headers=headers)
    assert (answer.status_code, answer.headers["webhook-allowed-origin"]) == (
        200,
        "eventgrid.azure.net",
    )
    unknown = WEBHOOK.replace("on_network_change", "nobody")
    assert guarded.service.post(unknown, json=[]).status_code == 404


def test_duplicates_bursts_and_our_own_echo_end_with_one_write(guarded) -> None:
    break_quietly(guarded.azure)
    guarded.forget()
    guarded.azure.set(latencySeconds=0.02)
    threads = [
        threading.Thread(target=deliver, args=(guarded, *[grid_event()] * 5)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    guarded.quiet()
    taken = [c for c in guarded.azure.calls() if c["method"] == "PUT" and c["status"] in (200, 201)]
    assert len(taken) == 1
    assert guarded.types() == ["restored"]
    reads = guarded.azure.counted()["GET networksecuritygroups"]
    assert reads < (20 if ISOLATED else 10), "those who come meanwhile share a look"


def test_noise_of_every_kind(guarded) -> None:
    guarded.azure.set(eventDuplicateRate=0.5, eventReorder=True, eventDelaySeconds=0.005)
    for n in range(8):
        guarded.azure.delete(f"{NSG}/securityRules/AMLFS-Out-Ntp")
        guarded.azure.put(f"{NSG}/securityRules/x{n}", rule(f"x{n}", 3000 + n, "Inbound", "Deny"))
    guarded.azure.nsg([])
    guarded.quiet()
    assert guarded.is_right()
    guarded.azure.set(eventDuplicateRate=0, eventReorder=False)


@pytest.mark.parametrize("schema", ["EventGridSchema", "CloudEventSchemaV1_0"])
def test_events_that_come_in_batches(guarded, schema) -> None:
    azure = guarded.azure
    azure.set(eventBatchSize=10, eventDelaySeconds=0.3, eventSchema=schema)
    azure.delete(f"{NSG}/securityRules/AMLFS-Out-Ntp")
    for n in range(4):
        azure.put(f"{NSG}/securityRules/x{n}", rule(f"x{n}", 3000 + n, "Inbound", "Deny"))
    guarded.quiet()
    first = guarded.events()[:5]
    assert len({event["deliveries"][0]["time"] for event in first}) == 1, "they came together"
    assert all(event["deliveries"][0]["status"] == 202 for event in first)
    assert guarded.is_right()
    assert guarded.types() == ["restored"]


def test_a_stale_first_read_is_made_good_by_the_second_look(guarded, monkeypatch) -> None:
    monkeypatch.setenv("AMLFS_SETTLE_SECONDS", "0.8")
    guarded.azure.set(staleReadSeconds=0.5)
    guarded.azure.delete(f"{NSG}/securityRules/AMLFS-Out-KeyVault")
    time.sleep(0.2)
    fresh = {"x-ms-box-fresh": "1"}
    query = {"api-version": "2024-07-01"}
    url = f"{NSG}/securityRules/AMLFS-Out-KeyVault"
    assert guarded.azure.client.get(url, params=query, headers=fresh).status_code == 404
    guarded.azure.wait_until(
        lambda: guarded.azure.client.get(url, params=query, headers=fresh).status_code == 200
    )
    guarded.azure.set(staleReadSeconds=0)
    time.sleep(1)


def test_the_second_look_writes_nothing_where_nothing_drifted(guarded) -> None:
    deliver(guarded, grid_event())
    guarded.quiet()
    assert guarded.writes() == 0
    assert guarded.azure.counted()["GET networksecuritygroups"] == 2


def test_a_guard_that_fails_goes_to_the_queue_and_slows_no_event(guarded) -> None:
    """ARM throttles: the event is acknowledged, the guard is tried again, and its status says why."""
    fault = {"status": 429, "code": "TooManyRequests", "retryAfter": 3600}
    guarded.azure.fail(method="GET", path="*/networksecuritygroups/*", times=2, **fault)
    guarded.azure.delete(f"{NSG}/securityRules/AMLFS-Out-KeyVault")
    guarded.azure.wait_until(lambda: guarded.get()["status"]["reason"] is not None, 10)
    status = guarded.get()["status"]
    assert status["verdict"] == "compliant", "what was proved last stays until it is read again"
    assert "TooManyRequests" in status["reason"]
    guarded.azure.wait_until(lambda: guarded.types() == ["restored"], 20)
    guarded.quiet()
    deliveries = [d for event in guarded.events() for d in event["deliveries"]]
    assert {d["status"] for d in deliveries} == {202}
    assert guarded.types() == ["restored"]
    assert guarded.get()["status"]["reason"] is None


def test_an_event_whose_guards_cannot_be_looked_up_goes_to_the_queue(guarded, monkeypatch) -> None:
    """The store is down: the change itself is queued, and found there when the store is back."""
    with monkeypatch.context() as down:
        down.setenv("AMLFS_STORE", "sqlite:/proc/none/x.db")
        deliver(guarded, grid_event())
    guarded.azure.wait_until(lambda: guarded.azure.counted()["GET networksecuritygroups"] > 0, 20)


def test_only_a_store_and_a_queue_that_are_both_down_fail_an_event(guarded, monkeypatch) -> None:
    storage = "AzureWebJobsStorage"
    nowhere = "QueueEndpoint=http://127.0.0.1:9/none"
    place = re.sub("QueueEndpoint=[^;]+", nowhere, os.environ[storage])
    with monkeypatch.context() as down:
        down.setenv(storage, place)
        deliver(guarded, grid_event())
        down.setenv("AMLFS_STORE", "sqlite:/proc/none/x.db")
        deliver(guarded, grid_event(), status=500)


def test_a_lost_event_is_found_by_the_sweep(guarded) -> None:
    break_quietly(guarded.azure)
    guarded.quiet()
    assert not guarded.is_right()
    guarded.run("sweep")
    guarded.quiet()
    assert guarded.is_right()
    assert guarded.outcomes()[0]["data"]["cause"]["kind"] == "sweep"


def test_a_guard_of_nineteen_rules_made_by_hand_is_left_alone(idle) -> None:
    idle.azure.nsg([{**one, "name": f"r{i}"} for i, one in enumerate(nineteen())])
    idle.forget()
    assert idle.put(intent=INTENT)["status"]["verdict"] == "compliant"
    assert idle.writes() == 0


@pytest.mark.in_process
def test_two_instances_with_the_same_event_end_with_one_write(guarded, monkeypatch) -> None:
    """Instances share no memory, so here nothing but the NSG's etag is between the two."""
    monkeypatch.setattr(SingleFlight, "run", lambda self, key, work: work())
    azure = guarded.azure
    break_quietly(azure)
    guarded.forget()
    azure.set(latencySeconds=0.05)
    event = grid_event(f"{NSG}/securityRules/AMLFS-Out-KeyVault")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: deliver(guarded, event), range(2)))
    guarded.quiet()
    taken = [c for c in azure.calls() if c["method"] == "PUT" and c["status"] in (200, 201)]
    assert len(taken) == 1
    assert guarded.types() == ["restored"]
    assert guarded.is_right()
