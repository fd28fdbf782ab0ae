"""Role assignments and event filters of the embedded Azure, and what it says of bad ones."""

from __future__ import annotations

import pytest

from tests.azure import GROUP, NSG, QUERY, SERVICE
from tests.planning.test_plan import nineteen

SCOPE = GROUP.removesuffix("/providers")
READ = "Microsoft.Network/networkSecurityGroups/read"


def status(azure, path=NSG, method="GET", **body) -> int:
    token = azure.client.get("/msi/token", params={"resource": "arm"}).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    return azure.client.request(method, path, params=QUERY, headers=headers, json=body).status_code


@pytest.mark.parametrize(
    ("actions", "not_actions", "read", "delete"),
    [
        ([READ], [], 200, 403),
        (["microsoft.network/NETWORKsecuritygroups/*"], [], 200, 202),
        (["*"], ["*/delete"], 200, 403),
        (["*/read"], [READ], 403, 403),
        ([], [], 403, 403),
    ],
)
def test_a_principal_may_do_what_its_roles_say(actions, not_actions, read, delete, azure) -> None:
    azure.nsg(nineteen())
    azure.client.delete("/_box/roleAssignments")
    body = {
        "principalId": SERVICE,
        "scope": SCOPE.upper().replace("/SUBSCRIPTIONS", "/subscriptions"),
    }
    azure.client.post(
        "/_box/roleAssignments", json={**body, "actions": actions, "notActions": not_actions}
    ).raise_for_status()
    assert status(azure) == read
    assert status(azure, method="DELETE") == delete
    assert azure.client.get(NSG, params=QUERY).status_code in (200, 404), "others may do anything"


def test_a_scope_does_not_reach_what_only_begins_like_it(azure) -> None:
    azure.nsg(nineteen(), NSG.replace("/lustre/", "/lustre-2/"))
    azure.client.delete("/_box/roleAssignments")
    azure.assign(SCOPE, ["*"])
    assert status(azure, NSG.replace("/lustre/", "/lustre-2/")) == 403


@pytest.mark.parametrize(
    ("control", "body"),
    [
        ("roleAssignments", []),
        ("roleAssignments", {"principalId": 1, "scope": "/", "actions": []}),
        ("roleAssignments", {"principalId": "a", "scope": "here", "actions": []}),
        ("roleAssignments", {"principalId": "a", "scope": "/", "actions": "*"}),
        ("roleAssignments", {"principalId": "a", "scope": "/", "actions": [], "notActions": [1]}),
        ("webhooks", {"endpoint": "ftp://x"}),
        ("webhooks", {"endpoint": "http://x", "filter": [1]}),
        ("webhooks", {"endpoint": "http://x", "filter": {"includedEventTypes": "a"}}),
        ("webhooks", {"endpoint": "http://x", "filter": {"advancedFilters": 5}}),
        ("webhooks", {"endpoint": "http://x", "filter": {"advancedFilters": [1]}}),
        (
            "webhooks",
            {"endpoint": "http://x", "filter": {"advancedFilters": [{"operatorType": "BoolEquals"}]}},
        ),
        (
            "webhooks",
            {
                "endpoint": "http://x",
                "filter": {
                    "advancedFilters": [
                        {"operatorType": "StringIn", "key": "data.a", "values": [*map(str, range(26))]}
                    ]
                },
            },
        ),
    ],
)  # fmt: skip
def test_bad_controls_are_said_and_change_nothing(control, body, azure) -> None:
    before = azure.client.get(f"/_box/{control}").json()
    answer = azure.client.post(f"/_box/{control}", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert azure.client.get(f"/_box/{control}").json() == before


def test_an_event_that_nobody_asked_for_is_not_delivered(azure) -> None:
    wanted = {
        "includedEventTypes": ["Microsoft.Resources.ResourceDeleteSuccess"],
        "advancedFilters": [
            {
                "operatorType": "StringIn",
                "key": "data.operationName",
                "values": ["microsoft.network/NETWORKSECURITYGROUPS/delete"],
            }
        ],
    }
    hook = {"endpoint": "http://127.0.0.1:9/", "filter": wanted}
    azure.client.post("/_box/webhooks", json=hook).raise_for_status()
    azure.nsg(nineteen())
    azure.delete(NSG)
    azure.wait_until(lambda: len(azure.client.get("/_box/events").json()["value"]) == 2)
    made, gone = azure.client.get("/_box/events").json()["value"]
    azure.client.delete("/_box/webhooks")
    assert (made["filtered"], gone["filtered"]) == (True, False)
