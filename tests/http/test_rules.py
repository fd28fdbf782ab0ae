"""`POST /api/rules` over HTTP: forms, negotiation and problems."""

from __future__ import annotations

import json

import httpx
import pytest

from shared.planning.renderings import FORMS
from tests import ROOT
from tests.intents import EAST_US, with_fields
from tests.planning.test_generation import NINETEEN

BODY = {"intent": EAST_US}
SUBNET = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/x"


def problem(answer: httpx.Response) -> dict:
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["type"].startswith("urn:amlfs-network-guard:problem:")
    assert document["instance"] == "/api/rules"
    assert document["title"]
    assert document["detail"]
    return document


def test_the_readmes_example_answers_with_the_nineteen_rules(service) -> None:
    body = (ROOT / "examples/east-us.json").read_bytes()
    answer = service.post("/api/rules", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    names = [rule["name"] for rule in answer.json()["securityRules"]]
    assert names == [row[2] for row in NINETEEN]


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_chosen_by_its_name(service, name) -> None:
    answer = service.post("/api/rules", params={"format": name.upper()}, json=BODY)
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == FORMS[name].media_type
    assert "AMLFS-Out-KeyVault" in answer.text


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("", "application/json"),
        ("text/markdown", "text/markdown"),
        ("text/csv;q=0.5, text/x-bicep", "text/x-bicep"),
        ("text/html, */*;q=0.1", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ("text/markdown; variant=GFM", "text/markdown"),
        ("application/vnd.microsoft.arm-template+json", FORMS["arm"].media_type),
    ],
)
def test_a_form_is_chosen_by_accept(service, accept, media_type) -> None:
    answer = service.post("/api/rules", headers={"accept": accept}, json=BODY)
    assert answer.headers["content-type"].partition(";")[0] == media_type


def test_the_query_overrules_accept(service) -> None:
    answer = service.post(
        "/api/rules", params={"format": "csv"}, headers={"accept": "text/markdown"}, json=BODY
    )
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"


WRONG_REQUESTS = {
    "not JSON": (b'{"intent": ', {}, {}, 400, "not JSON"),
    "empty": (b"", {}, {}, 400, "empty"),
    "not UTF-8": (b'{"intent": "\xff"}', {}, {}, 400, "not JSON"),
    "half a surrogate": (rb'{"intent": "\ud800"}', {}, {}, 400, "not JSON"),
    "NaN": (b'{"intent": NaN}', {}, {}, 400, "not JSON"),
    "deep": (b"[" * 100_000, {}, {}, 400, "not JSON"),
    "a form's type": (
        b"x=1",
        {"content-type": "application/x-www-form-urlencoded"},
        {},
        415,
        "application/json",
    ),
    "over 1 MiB": (b" " * (2**20 + 1), {}, {}, 413, "1,048,576"),
    "unknown format": (b"{}", {}, {"format": "yaml"}, 400, "markdown"),
    "a format to come": (b"{}", {}, {"format": "terraform"}, 501, "planned"),
    "no form to accept": (b"{}", {"accept": "image/png"}, {}, 406, "text/csv"),
}


@pytest.mark.parametrize(
    ("body", "headers", "query", "status", "says"), WRONG_REQUESTS.values(), ids=WRONG_REQUESTS
)
def test_a_wrong_request_is_a_problem(service, body, headers, query, status, says) -> None:
    headers = {"content-type": "application/json", **headers}
    answer = service.post("/api/rules", content=body, headers=headers, params=query)
    assert answer.status_code == status
    assert says in problem(answer)["detail"]


def test_a_body_of_exactly_1_mib_is_read(service) -> None:
    body = json.dumps(BODY).encode()
    answer = service.post(
        "/api/rules",
        content=body + b" " * (2**20 - len(body)),
        headers={"content-type": "Application/JSON; charset=utf-8"},
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "body", [None, 5, [], "x", {}, {"intent": {}}, {"intent": EAST_US, "x": 1}]
)
def test_a_wrong_body_is_422_with_pointers(service, body) -> None:
    headers = {"content-type": "application/json"}
    answer = service.post("/api/rules", content=json.dumps(body), headers=headers)
    assert answer.status_code == 422
    errors = problem(answer)["errors"]
    assert errors
    assert all(set(error) == {"pointer", "message"} for error in errors)


def test_only_the_first_hundred_errors_are_listed(service) -> None:
    servers = ["10.0.2.1/24"] * 150
    document = problem(service.post("/api/rules", json={"intent": with_fields(dnsServers=servers)}))
    assert len(document["errors"]) == 100
    assert "150 things" in document["detail"]


def test_health(service) -> None:
    answer = service.get("/api/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "up"})


@pytest.mark.in_process
def test_an_unforeseen_failure_is_a_problem_without_a_trace(service, monkeypatch, caplog) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("shared.http.rules.generate", fail)
    answer = service.post("/api/rules", json=BODY)
    assert answer.status_code == 500
    assert problem(answer)["title"] == "Internal error"
    assert "secret" not in answer.text
    assert "RuntimeError: secret" in caplog.text
