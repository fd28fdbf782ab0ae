"""Events are hints: duplicated, late, lost, malformed, foreign or our own, they do no harm."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared.guards.services import SingleFlight
from tests.azure import INTENT, LUSTRE, NETWORK, NSG, VNET, rule
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
    assert guarded.writes() == 1
    assert guarded.types() == ["restored"]
    reads = guarded.azure.counted()["GET networksecuritygroups"]
    assert reads < 10, "those who come meanwhile share a look"


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


def test_a_failure_that_goes_away_is_delivered_again(guarded, monkeypatch) -> None:
    monkeypatch.setattr("shared.guards.triggers.EVENT_SECONDS", 1)
    guarded.azure.fail(method="GET", path="*", times=30, status=503, code="ServerTimeout")
    guarded.azure.set(retryScale=0.02)
    guarded.azure.delete(f"{NSG}/securityRules/AMLFS-Out-KeyVault")
    guarded.azure.wait_until(
        lambda: any(
            e["deliveries"][0]["status"] == 500 for e in guarded.events() if e["deliveries"]
        ),
        20,
    )
    guarded.azure.client.delete("/_box/faults")
    guarded.azure.wait_until(lambda: "AMLFS-Out-KeyVault" in guarded.azure.names(), 20)

    def tries() -> list[int]:
        return [d["attempt"] for e in guarded.events() for d in e["deliveries"]]

    guarded.azure.wait_until(lambda: max(tries()) > 1, 20)


def test_an_event_is_answered_in_time(guarded, monkeypatch) -> None:
    monkeypatch.setattr("shared.guards.triggers.EVENT_SECONDS", 1)
    guarded.azure.fail(method="GET", path="*", times=99, status=429, code="x", retryAfter=3600)
    started = time.monotonic()
    deliver(guarded, grid_event(), status=500)
    assert time.monotonic() - started < 5
    guarded.azure.client.delete("/_box/faults")


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
