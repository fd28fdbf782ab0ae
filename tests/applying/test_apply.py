"""Apply over HTTP, with the real SDK, against the embedded Azure."""

from __future__ import annotations

import copy
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.azure import CLIENTS, FILE_SYSTEM, INTENT, LUSTRE, NETWORK, NSG, VNET, rule
from tests.planning.test_plan import nineteen

NSG_READ, NET_READ = "GET networksecuritygroups", "GET virtualnetworks"
NSG_WRITE, SUBNET_WRITE = "PUT networksecuritygroups", "PUT subnets"


def ask(service, call="apply", status=200, intent=None, **body):
    headers = body.pop("headers", {})
    answer = service.post(
        f"/api/{call}", json={"intent": intent or INTENT, **body}, headers=headers, timeout=30
    )
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.fixture
def broken(azure):
    """A subnet with an NSG that lacks a rule."""
    azure.nsg([one for one in nineteen() if one["name"] != "AMLFS-Out-KeyVault"])
    azure.network(NSG)
    azure.forget_calls()
    return azure


# -- the usual ------------------------------------------------------------------------------------


def test_nothing_there_but_the_network_and_all_is_made(service, azure) -> None:
    azure.network(serviceEndpoints=[{"service": "Microsoft.Storage"}])
    answer = ask(service)
    assert (answer["applied"], answer["verdictAfter"]) == (True, "compliant")
    assert [change["action"] for change in answer["changes"]] == [
        "createNetworkSecurityGroup",
        *["create"] * 19,
        "associateSubnet",
    ]
    assert answer["proofAfter"]["association"] == {
        "verdict": "satisfied",
        "subnetId": LUSTRE,
        "networkSecurityGroupId": NSG,
    }
    assert len(azure.names()) == 19
    assert azure.get(NSG)["tags"] == {"amlfs-network-guard": "managed"}
    subnet = azure.get(LUSTRE)["properties"]
    assert subnet["networkSecurityGroup"]["id"] == NSG
    assert subnet["serviceEndpoints"][0]["service"] == "Microsoft.Storage"
    assert ask(service)["applied"] is False
    assert ask(service, "verify")["verdict"] == "compliant"


def test_what_is_right_costs_one_read_of_the_nsg_and_one_of_the_network(service, azure) -> None:
    azure.nsg(nineteen())
    azure.network(NSG)
    azure.forget_calls()
    assert ask(service)["applied"] is False
    assert azure.counted() == {NSG_READ: 1, NET_READ: 1}


def test_drift_costs_one_guarded_write_more(service, broken) -> None:
    etag = broken.get(NSG)["etag"]
    broken.forget_calls()
    answer = ask(service)
    assert (answer["applied"], answer["verdictAfter"]) == (True, "compliant")
    assert [(c["action"], c["name"]) for c in answer["changes"]] == [
        ("create", "AMLFS-Out-KeyVault")
    ]
    assert broken.counted() == {NSG_READ: 2, NET_READ: 1, NSG_WRITE: 1, "poll": 1}
    (write,) = [call for call in broken.calls() if call["method"] == "PUT"]
    assert write["ifMatch"] == etag
    assert answer["etag"] is not None


def test_a_plan_writes_nothing_and_says_the_same(service, broken) -> None:
    planned = ask(service, "plan")
    assert not [call for call in broken.calls() if call["method"] != "GET"]
    applied = ask(service)
    assert planned["changes"] == applied["changes"]
    assert (planned["verdictBefore"], planned["verdictAfter"]) == ("noncompliant", "compliant")
    assert planned["securityRulesAfter"][-1]["name"] == "AMLFS-Out-KeyVault"
    assert planned["networkSecurityGroupId"] == NSG


def test_foreign_rules_tags_and_unknown_fields_survive(service, azure) -> None:
    foreign = rule("mine", 4000, "Inbound", "Allow", sourceAddressPrefix="INTERNET", zip={"a": [1]})
    body = {"properties": {"securityRules": [foreign], "flushConnection": True}}
    azure.put(NSG, {"location": "eastus", "tags": {"owner": "me"}, **body})
    azure.network(NSG)
    before = azure.rules()[0]["properties"]
    assert ask(service)["applied"]
    nsg = azure.get(NSG)
    assert nsg["properties"]["securityRules"][0]["properties"] == before
    assert nsg["properties"]["flushConnection"] is True
    assert nsg["tags"] == {"owner": "me"}


def test_the_file_systems_id_gives_location_and_subnet(service, broken) -> None:
    broken.put(FILE_SYSTEM, {"location": "eastus", "properties": {"filesystemSubnet": LUSTRE}})
    intent = {k: v for k, v in INTENT.items() if k not in ("location", "fileSystemSubnet")}
    assert ask(service, intent={**intent, "fileSystemId": FILE_SYSTEM})["applied"]
    assert ask(service, "verify")["verdict"] == "compliant"


def test_a_changed_address_space_is_followed(service, azure) -> None:
    azure.network()
    ask(service)
    azure.put(CLIENTS, {"properties": {"addressPrefix": "10.0.3.0/24"}})
    answer = ask(service)
    assert {change["name"] for change in answer["changes"]} == {
        "AMLFS-In-Lustre",
        "AMLFS-Out-Lustre",
    }
    by_name = {one["name"]: one["properties"] for one in azure.rules()}
    assert by_name["AMLFS-In-Lustre"]["sourceAddressPrefix"] == "10.0.3.0/24"


def test_clients_of_another_network_cost_one_read_more(service, azure) -> None:
    azure.network()
    other = VNET.replace("vnet", "spoke")
    subnets = [{"name": "hpc", "properties": {"addressPrefix": "10.5.1.0/24"}}]
    space = {"addressSpace": {"addressPrefixes": ["10.5.0.0/16"]}, "subnets": subnets}
    azure.put(other, {"location": "eastus", "properties": space})
    clients = [{"id": CLIENTS}, {"id": f"{other}/subnets/hpc"}, {"id": CLIENTS.upper()}]
    intent = {**INTENT, "clientSubnets": clients[:2]}
    ask(service, intent=intent)
    azure.forget_calls()
    assert ask(service, intent=intent)["applied"] is False
    assert azure.counted() == {NSG_READ: 1, NET_READ: 2}


@pytest.mark.parametrize("route", [True, False])
def test_a_route_table_makes_the_virtual_network_anything(service, azure, route) -> None:
    table = f"{NETWORK}/routeTables/routes"
    azure.put(table, {"location": "eastus", "properties": {}})
    to_internet = rule("out", 4000, "Outbound", "Allow", destinationAddressPrefix="Internet")
    azure.nsg([to_internet])
    azure.network(NSG, **({"routeTable": {"id": table}} if route else {}))
    verdict = ask(service, "verify")
    named = {one["rule"]["name"] for one in verdict["excess"]}
    assert ("out" in named) is not route


# -- refusals -------------------------------------------------------------------------------------


def test_a_shared_nsg_is_refused_unless_allowed(service, azure) -> None:
    azure.nsg([])
    azure.network(NSG)
    network = azure.get(VNET)
    network["properties"]["subnets"][1]["properties"]["networkSecurityGroup"] = {"id": NSG}
    azure.put(VNET, network)
    planned = ask(service, "plan")
    assert planned["notices"][0]["code"] == "shared-network-security-group"
    problem = ask(service, status=409)
    assert problem["otherUsers"] == [CLIENTS]
    assert CLIENTS in problem["detail"]
    assert azure.names() == []
    assert ask(service, allowShared=True)["applied"]
    assert ask(service, status=409)["title"] == "Conflict", "also where nothing is to be changed"


def test_an_nsg_of_a_network_interface_is_shared_too(service, azure) -> None:
    azure.nsg([])
    azure.network(NSG)
    card = f"{NETWORK}/networkInterfaces/nic"
    azure.put(card, {"location": "eastus", "properties": {"networkSecurityGroup": {"id": NSG}}})
    assert ask(service, status=409)["otherUsers"] == [card]


def test_a_subnet_is_taken_from_another_nsg_only_if_allowed(service, azure) -> None:
    other = NSG.replace("nsg-lustre", "other")
    azure.nsg([], other)
    azure.network(other)
    problem = ask(service, status=409)
    assert problem["networkSecurityGroupId"] == other
    assert azure.client.get(NSG, params={"api-version": "2024-07-01"}).status_code == 404
    answer = ask(service, reassociate=True)
    assert answer["applied"]
    assert answer["changes"][-1]["before"]["networkSecurityGroup"]["id"] == other
    assert azure.get(LUSTRE)["properties"]["networkSecurityGroup"]["id"] == NSG


@pytest.mark.parametrize("call", ["apply", "plan"])
def test_no_place_is_a_conflict_that_shows_packets(service, azure, call) -> None:
    deny = rule("deny-public", 100, "Outbound", "Deny", destinationAddressPrefix="Internet")
    azure.nsg([deny])
    azure.network(NSG)
    problem = ask(service, call, status=409)
    assert problem["type"].endswith("no-placement")
    by_name = {blocked["name"]: blocked for blocked in problem["blocked"]}
    (violation,) = by_name["AMLFS-Out-KeyVault"]["violations"]
    assert violation["decidedBy"] == {"name": "deny-public", "priority": 100}
    assert violation["witness"]["destinationPort"] == 443
    assert azure.names() == ["deny-public"]
    answer = ask(service, foreignRules="remove")
    assert answer["changes"][0]["action"] == "delete"
    assert "deny-public" not in azure.names()


def test_writes_outside_the_allowed_scopes_are_refused_before_any_call(
    service, azure, monkeypatch
) -> None:
    azure.network()
    azure.forget_calls()
    for scopes in ("", "/subscriptions/other", NSG[:-1]):
        monkeypatch.setenv("AMLFS_ALLOWED_SCOPES", scopes)
        problem = ask(service, status=403)
        assert NSG in problem["detail"]
    monkeypatch.setenv("AMLFS_ALLOWED_SCOPES", NSG)
    assert "/subnets/lustre" in ask(service, status=403)["detail"]
    assert azure.calls() == []
    monkeypatch.setenv("AMLFS_ALLOWED_SCOPES", f" {NSG.upper()} ; {VNET}")
    assert ask(service)["applied"]


def test_missing_things_are_named(service, azure) -> None:
    problem = ask(service, status=404)
    assert "vnet" in problem["detail"]
    assert problem["arm"]["code"] == "ResourceNotFound"
    azure.network()
    intent = {**INTENT, "clientSubnets": [{"id": f"{VNET}/subnets/gone"}]}
    assert "gone" in ask(service, status=404, intent=intent)["detail"]
    problem = ask(service, "verify", status=404)
    assert "network security group nsg-lustre" in problem["detail"]
    assert problem["arm"]["code"] == "ResourceNotFound"


def test_a_client_subnet_that_overlaps_is_named_where_it_was_stated(service, azure) -> None:
    azure.network()
    intent = {**INTENT, "fileSystemSubnet": {"addressPrefixes": ["10.0.2.0/25"]}}
    (error,) = ask(service, status=422, intent=intent)["errors"]
    assert error["pointer"] == "/intent/clientSubnets/0/id"


def test_the_nsg_must_be_named(service, azure) -> None:
    intent = {k: v for k, v in INTENT.items() if k != "networkSecurityGroupId"}
    for call in ("apply", "plan"):
        (error,) = ask(service, call, status=422, intent=intent)["errors"]
        assert error["pointer"] == "/intent/networkSecurityGroupId"


# -- others, and things that fail -----------------------------------------------------------------


def interfere(azure, how) -> threading.Thread:
    """Have somebody else act while the service waits for a slow answer."""
    thread = threading.Thread(target=how)
    thread.start()
    return thread


def test_a_change_in_between_is_read_and_planned_again(service, broken) -> None:
    broken.fail(
        method="PUT", path="*/networksecuritygroups/*", status=412, code="PreconditionFailed"
    )
    assert ask(service)["applied"]
    counted = broken.counted()
    assert (counted[NSG_READ], counted[NSG_WRITE]) == (3, 2)


def test_what_keeps_changing_is_said_with_arms_answer(service, broken, monkeypatch) -> None:
    monkeypatch.setenv("AMLFS_REQUEST_SECONDS", "1")
    path = "*/networksecuritygroups/*"
    broken.fail(method="PUT", path=path, status=412, code="PreconditionFailed", times=99)
    assert ask(service, status=503)["arm"]["code"] == "PreconditionFailed"


def test_somebody_elses_change_is_never_lost(service, broken) -> None:
    broken.set(latencySeconds=0.05)

    def add(number: int) -> None:
        other = rule(f"other-{number}", 3000 + number, "Inbound", "Allow", protocol="Esp")
        path = f"{NSG}/securityRules/other-{number}"
        broken.client.put(path, params={"api-version": "2024-07-01"}, json=other)

    with ThreadPoolExecutor(8) as pool:
        others = [pool.submit(add, n) for n in range(3)]
        answers = [pool.submit(ask, service) for _ in range(4)]
        for one in (*others, *answers):
            one.result()
    assert {f"other-{n}" for n in range(3)} <= set(broken.names())
    assert "AMLFS-Out-KeyVault" in broken.names()
    assert sum(one.result()["applied"] for one in answers) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_cut_connection_is_found_out(service, broken, when) -> None:
    broken.fail(method="PUT", path="*/networksecuritygroups/*", cut=when)
    answer = ask(service)
    assert (answer["applied"], answer["verdictAfter"]) == (True, "compliant")
    assert [c["name"] for c in answer["changes"]] == ["AMLFS-Out-KeyVault"]
    assert broken.counted()[NSG_WRITE] == {"before": 2, "after": 1}[when]


def test_a_cut_read_changes_nothing_of_that(service, azure) -> None:
    azure.nsg(nineteen())
    azure.network(NSG)
    azure.fail(method="GET", path="*/networksecuritygroups/*", cut="before", times=2)
    assert ask(service)["applied"] is False


def test_another_operation_is_waited_for(service, broken) -> None:
    broken.set(operationSeconds=0.6)
    broken.put(f"{NSG}/securityRules/other", rule("other", 3000, "Inbound", "Allow", protocol="Ah"))
    broken.set(operationSeconds=0)
    assert ask(service)["applied"]
    assert broken.counted()[NSG_WRITE] == 1
    assert {"other", "AMLFS-Out-KeyVault"} <= set(broken.names())


def test_a_superseded_write_starts_over(service, broken) -> None:
    broken.set(operationSeconds=1.0)
    answers: list[dict] = []
    thread = threading.Thread(target=lambda: answers.append(ask(service)))
    thread.start()
    broken.wait_until(lambda: broken.counted()[NSG_WRITE] == 1)
    body = broken.get(NSG)
    body["properties"]["securityRules"] = []
    broken.set(operationSeconds=0)
    broken.put(NSG, body)
    thread.join(20)
    assert answers[0]["applied"]
    assert len(broken.names()) == 19


FAULTS = {
    "busy": ({"status": 409, "code": "AnotherOperationInProgress"}, 2),
    "retryable": ({"status": 429, "code": "RetryableError", "retryAfter": 1}, 2),
    "throttled": ({"status": 429, "code": "TooManyRequests", "retryAfter": 1}, 2),
    "down": ({"status": 503, "code": "ServerTimeout"}, 2),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_goes_away_by_itself_is_waited_for(service, broken, fault) -> None:
    answer, times = FAULTS[fault]
    broken.fail(method="PUT", path="*/networksecuritygroups/*", times=times, **answer)
    assert ask(service)["applied"]
    assert broken.counted()[NSG_WRITE] == times + 1


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [("GET", 429, 429), ("GET", 503, 503), ("PUT", 429, 429), ("PUT", 503, 503), ("PUT", 409, 503)],
)
def test_what_takes_too_long_is_said_at_once(service, broken, method, status, expected) -> None:
    code = "AnotherOperationInProgress" if status == 409 else "TooManyRequests"
    fault = {"status": status, "code": code, "retryAfter": 3600}
    broken.fail(method=method, path="*/networksecuritygroups/*", times=9, **fault)
    started = time.monotonic()
    answer = service.post("/api/apply", json={"intent": INTENT})
    assert time.monotonic() - started < 5
    assert (answer.status_code, answer.headers["retry-after"]) == (expected, "3600")
    assert answer.json()["arm"]["status"] == status
    broken.client.delete("/_box/faults")
    assert "AMLFS-Out-KeyVault" not in broken.names()


FOR_GOOD = {
    "rights": ({"status": 403, "code": "AuthorizationFailed"}, 502),
    "linked rights": ({"status": 403, "code": "LinkedAuthorizationFailed"}, 502),
    "a policy": ({"status": 403, "code": "RequestDisallowedByPolicy"}, 502),
    "a body": ({"status": 400, "code": "SecurityRuleInvalidAddressPrefix"}, 502),
    "a failure": ({"status": 500, "code": "InternalServerError"}, 502),
    "a lock": ({"status": 409, "code": "ScopeLocked"}, 409),
}


@pytest.mark.parametrize("fault", FOR_GOOD)
def test_what_stays_is_said_with_arms_own_words_and_not_repeated(service, broken, fault) -> None:
    answer, expected = FOR_GOOD[fault]
    broken.fail(method="PUT", path="*/networksecuritygroups/*", times=9, message="ask Jo", **answer)
    problem = ask(service, status=expected)
    assert (problem["arm"]["status"], problem["arm"]["code"]) == tuple(answer.values())
    assert problem["arm"]["requestId"]
    assert "ask Jo" in problem["detail"]
    assert broken.counted()[NSG_WRITE] == 1


def test_an_operation_that_never_ends_is_said_in_time(service, broken, monkeypatch) -> None:
    monkeypatch.setenv("AMLFS_REQUEST_SECONDS", "1.5")
    broken.set(operationSeconds=3600)
    started = time.monotonic()
    answer = service.post("/api/apply", json={"intent": INTENT})
    assert time.monotonic() - started < 3
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


def test_arm_without_an_answer_is_said_so(service, broken, monkeypatch) -> None:
    monkeypatch.setenv("AMLFS_ARM_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("AMLFS_REQUEST_SECONDS", "4")
    assert ask(service, status=503)["arm"]["status"] is None


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("AMLFS_REQUEST_SECONDS", "soon"),
        ("AMLFS_CLOUD", "Cloud9"),
        ("AMLFS_ARM_ENDPOINT", "azure"),
        ("AMLFS_ALLOWED_SCOPES", "everything"),
    ],
)
def test_a_wrong_setting_is_named(service, azure, monkeypatch, setting, value) -> None:
    monkeypatch.setenv(setting, value)
    problem = ask(service, status=500)
    assert setting in problem["detail"]
    assert value in problem["detail"]


def test_a_correlation_id_goes_all_the_way(service, broken) -> None:
    ask(service, headers={"x-ms-correlation-request-id": "0f9d2c1e-5a77-4f0e-9a53-3a1f6f4f8a11"})
    assert {call["correlationId"] for call in broken.calls()} == {
        "0f9d2c1e-5a77-4f0e-9a53-3a1f6f4f8a11"
    }


def test_what_arm_takes_is_what_is_proved(service, broken) -> None:
    """ARM's own answer counts: here a rule vanishes on its way, as a policy could make it."""
    real = broken.server.box.routes.arm.put

    def put(target, body, headers, caller):
        body = copy.deepcopy(body)
        body["properties"]["securityRules"] = body["properties"]["securityRules"][1:]
        return real(target, body, headers, caller)

    broken.server.box.routes.arm.put = put
    try:
        answer = ask(service)
    finally:
        broken.server.box.routes.arm.put = real
    assert (answer["applied"], answer["verdictAfter"]) == (True, "noncompliant")


def test_answers_are_json_all_the_way(service, broken) -> None:
    assert json.loads(json.dumps(ask(service)))["applied"]
