"""How others hear of outcomes: the example of a Logic App, as Azure would get it, and the commands."""

from __future__ import annotations

import json
import re

import pytest

from shared.guards.outcome import OutcomeType
from tests import ROOT
from tests.guards.conftest import SCHEMA
from tests.infra.snapshots import named, of_type, resources

EXAMPLE = named("outcomes-to-logic-app")
TOPIC = of_type(named("single-subscription"), "Microsoft.EventGrid/topics")[0]
KNOWN = {f"amlfs.guard.{kind.value}" for kind in OutcomeType}
SENDER = "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a"
PROCESSOR = "8a0f0c08-91a1-4084-bc3d-661d67233fed"
"""Storage Queue Data Message Sender and Message Processor. Source: "Azure built-in roles"."""


def subscription() -> dict:
    (found,) = of_type(EXAMPLE, "Microsoft.EventGrid/topics/eventSubscriptions")
    return dict(found["properties"])


def definition() -> dict:
    (found,) = of_type(EXAMPLE, "Microsoft.Logic/workflows")
    return dict(found["properties"]["definition"])


def test_it_subscribes_to_the_outcome_topic_in_the_topics_own_schema() -> None:
    (found,) = of_type(EXAMPLE, "Microsoft.EventGrid/topics/eventSubscriptions")
    assert found["name"].startswith(f"{TOPIC['name']}/")
    assert TOPIC["properties"]["inputSchema"] == subscription()["eventDeliverySchema"]
    assert TOPIC["identity"]["type"] == "SystemAssigned", "it delivers by identity"


def test_every_outcome_that_it_asks_for_exists() -> None:
    wanted = subscription()["filter"]["includedEventTypes"]
    assert set(wanted) <= KNOWN
    assert {"amlfs.guard.blocked", "amlfs.guard.failed", "amlfs.guard.deleted"} <= set(wanted)


def test_everything_is_by_identity_and_on_the_queue_alone() -> None:
    (account,) = of_type(EXAMPLE, "Microsoft.Storage/storageAccounts")
    (queue,) = of_type(EXAMPLE, "Microsoft.Storage/storageAccounts/queueServices/queues")
    assert account["properties"]["allowSharedKeyAccess"] is False
    rights = of_type(EXAMPLE, "Microsoft.Authorization/roleAssignments")
    roles = [one["properties"]["roleDefinitionId"].rpartition("/")[2] for one in rights]
    assert sorted(roles) == sorted([SENDER, PROCESSOR])
    assert all(one["id"].startswith(f"{queue['id']}/providers/") for one in rights)
    delivery = subscription()["deliveryWithResourceIdentity"]
    assert delivery["identity"] == {"type": "SystemAssigned"}
    assert delivery["destination"]["properties"]["resourceId"] == account["id"]
    assert delivery["destination"]["properties"]["queueName"] == queue["name"].rpartition("/")[2]


def test_the_workflow_reads_the_queue_and_fields_that_outcomes_have() -> None:
    text = json.dumps(definition())
    queue = subscription()["deliveryWithResourceIdentity"]["destination"]["properties"]["queueName"]
    assert text.count(f"encodeURIComponent('{queue}')") == 2
    top = re.findall(r"outputs\('outcome'\)\?\['(\w+)'\]", text)
    inside = re.findall(r"\?\['data'\]\?\['(\w+)'\]", text)
    assert set(top) <= set(SCHEMA["properties"])
    assert set(inside) <= set(SCHEMA["properties"]["data"]["properties"])
    assert inside


def test_its_actions_run_one_after_the_other_and_a_message_goes_last() -> None:
    actions = definition()["actions"]
    order = {name: list(action["runAfter"]) for name, action in actions.items()}
    assert order == {"outcome": [], "notify": ["outcome"], "delete": ["notify"]}
    given = {one["name"]: one for one in resources(EXAMPLE)}
    assert len(given) == len(resources(EXAMPLE))


def test_the_webhook_is_a_secret() -> None:
    template = (ROOT / "infra/examples/outcomes-to-logic-app.bicep").read_text(encoding="utf-8")
    assert "@secure()\nparam webhook string" in template
    assert definition()["parameters"]["webhook"]["type"] == "SecureString"
    assert definition()["actions"]["notify"]["runtimeConfiguration"]["secureData"] == {
        "properties": ["inputs"]
    }


@pytest.mark.parametrize("kind", sorted(KNOWN))
def test_the_page_on_outcomes_names_every_type(kind) -> None:
    text = (ROOT / "docs/subscribe.md").read_text(encoding="utf-8")
    assert f"`{kind}`" in text


def test_every_command_on_the_page_asks_for_cloudevents() -> None:
    text = (ROOT / "docs/subscribe.md").read_text(encoding="utf-8")
    commands = re.findall(r"^az eventgrid event-subscription create .+$", text, re.MULTILINE)
    assert len(commands) >= 2
    assert all("--event-delivery-schema cloudeventschemav1_0" in one for one in commands)
