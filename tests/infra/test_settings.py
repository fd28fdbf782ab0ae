"""The app settings of the template are those that are read, each documented; no more, no less."""

from __future__ import annotations

import ast
import re

import pytest

from function_app import GUARDS, LOOKS, OPERATIONS, SWEEPS
from shared.amlfs.exceptions import ExceptionStatement
from shared.amlfs.statement import IntentStatement, SubnetStatement
from shared.cloud.store.tables import TABLE
from shared.guards.declared import read_declarations
from shared.settings import read_settings
from tests import ROOT
from tests.infra.snapshots import INFRA, named, of_type, settings_of

NAME = re.compile(
    r"(AMLFS|AZURE|IDENTITY|OTEL|WEBSITE)_[A-Z0-9_]+|AMLFS_STORE__\w+|AzureWebJobs\w+"
)

OF_THE_HOST = {
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__clientId",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
}
"""Read by the Functions host itself. Source: "App settings reference for Azure Functions"."""

NOT_DEPLOYED = {
    "AzureWebJobsStorage": "a connection string, as Azurite has one: a secret in Azure",
    "AzureWebJobsStorage__accountName": "the service URIs say it for every cloud",
    "IDENTITY_ENDPOINT": "the platform sets it",
    "WEBSITE_AUTH_ENABLED": "the platform sets it",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "OpenTelemetry's own finer word for the one that is set",
}
"""What the code reads and the template leaves alone, and why."""


def read_by_the_code() -> set[str]:
    """Every text in the service that is called like a setting."""
    found = set()
    for path in [ROOT / "function_app.py", *(ROOT / "shared").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            value = node.value if isinstance(node, ast.Constant) else None
            if isinstance(value, str) and NAME.fullmatch(value):
                found.add(value)
    return found


def test_the_template_sets_what_the_code_reads_and_nothing_else() -> None:
    read, deployed = read_by_the_code(), set(settings_of(named("single-subscription")))
    assert len(read) > 15
    assert read - set(NOT_DEPLOYED) == deployed - OF_THE_HOST
    assert deployed >= OF_THE_HOST
    assert set(NOT_DEPLOYED) <= read


def test_each_setting_is_documented() -> None:
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8").partition("\n## Settings")[2]
    named_there = set(re.findall(r"`([A-Za-z_]+)`", text))
    for setting in settings_of(named("single-subscription")):
        assert setting in named_there, f"docs/api.md does not speak of {setting}"


def test_the_code_understands_what_is_deployed() -> None:
    deployed = settings_of(named("several-subscriptions"))
    cloud = {
        "AMLFS_CLOUD": "AzureUSGovernment",
        "AMLFS_ARM_ENDPOINT": "https://management.usgovcloudapi.net/",
    }
    assert deployed["AMLFS_CLOUD"] == "[environment().name]"
    settings = read_settings(deployed | cloud | {"AMLFS_OUTCOME_TOPIC_ENDPOINT": "https://topic"})
    assert settings.arm_endpoint == "https://management.usgovcloudapi.net"
    assert settings.store == "table"
    assert settings.circuit.same == 3
    assert settings.may_write(
        "/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/any"
    )
    assert not settings.may_write("/subscriptions/00000000-0000-0000-0000-000000000003")


def test_what_nobody_set_is_deployed_with_the_codes_own_defaults() -> None:
    deployed = settings_of(named("government"))
    ours = {
        k: v for k, v in deployed.items() if k.startswith("AMLFS_") and not v.startswith("[env")
    }
    with_template, without = read_settings(ours), read_settings({})
    for field in ("request_seconds", "settle_seconds", "circuit"):
        assert getattr(with_template, field) == getattr(without, field), field
    source = (ROOT / "function_app.py").read_text(encoding="utf-8")
    assert f'or "{deployed["AMLFS_SWEEP_SCHEDULE"]}"' in source


def test_guards_declared_in_parameters_are_guards() -> None:
    declared = read_declarations(settings_of(named("single-subscription"))["AMLFS_GUARDS"])
    assert [(one.name, type(one).__name__) for one in declared or ()] == [("lustre-a", "Guard")]
    assert read_declarations(settings_of(named("government"))["AMLFS_GUARDS"]) == []


@pytest.mark.parametrize(
    ("kind", "document"),
    [("Intent", IntentStatement), ("Exception", ExceptionStatement), ("Subnet", SubnetStatement)],
)
def test_the_parameters_types_have_the_fields_of_the_documents(kind, document) -> None:
    text = (INFRA / "types.bicep").read_text(encoding="utf-8")
    block = re.search(rf"^type {kind} = \{{$(.*?)^\}}$", text, re.MULTILINE | re.DOTALL)
    assert block is not None
    fields = re.findall(r"^  (\w+): ", block[1], re.MULTILINE)
    assert sorted(fields) == sorted(
        field.alias or name for name, field in document.model_fields.items()
    )


def test_queues_table_and_containers_are_made_under_the_names_that_are_used() -> None:
    made = {
        one["name"].rpartition("/")[2]
        for kind in ("queueServices/queues", "tableServices/tables", "blobServices/containers")
        for one in of_type(
            named("single-subscription"), f"Microsoft.Storage/storageAccounts/{kind}"
        )
    }
    queues = {OPERATIONS, LOOKS, GUARDS, SWEEPS, f"{GUARDS}-poison"}
    assert made == queues | {TABLE, "deployment", "dead-letters"}
