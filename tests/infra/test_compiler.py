"""The real Bicep compiler's judgement of every file, and of the committed snapshots."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.bicep import CONTEXT, run, snapshot
from tests.infra.snapshots import INFRA, PARAMETERS, TEMPLATES, snapshot_of

pytestmark = pytest.mark.bicep


def name(path: Path) -> str:
    return str(path.relative_to(INFRA))


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_a_template_builds_lints_and_is_formatted(path, bicep) -> None:
    built = run(bicep, "build", str(path), "--stdout", folder=INFRA)
    assert (built.returncode, built.stderr) == (0, "")
    linted = run(bicep, "lint", str(path), folder=INFRA)
    assert (linted.returncode, linted.stdout + linted.stderr) == (0, "")
    formatted = run(bicep, "format", str(path), "--stdout", folder=INFRA)
    assert formatted.stdout.strip() == path.read_text(encoding="utf-8").strip()


@pytest.mark.parametrize("path", PARAMETERS, ids=name)
def test_parameters_evaluate_to_the_committed_snapshot(path, bicep) -> None:
    validated = snapshot(bicep, path, "validate")
    said = validated.stdout + validated.stderr
    assert validated.returncode == 0, f"{said}\n'python3 dev.py snapshots' writes them anew."
    formatted = run(bicep, "format", str(path), "--stdout", folder=INFRA)
    assert formatted.stdout.strip() == path.read_text(encoding="utf-8").strip()


def test_azd_reads_its_environment(bicep) -> None:
    """main.bicepparam with what `azd env set` sets, as people type it."""
    given = {
        "AZURE_ENV_NAME": "prod",
        "AMLFS_SUBSCRIPTIONS": "1, 2,",
        "AMLFS_RESOURCE_GROUPS": "rg-a, rg-b",
        "AMLFS_ALERT_EMAILS": "a@b.c, d@e.f",
    }
    built = run(bicep, "build-params", "main.bicepparam", "--stdout", folder=INFRA, **given)
    values = json.loads(json.loads(built.stdout)["parametersJson"])["parameters"]
    groups = ["rg-a", "rg-b"]
    assert values["environmentName"]["value"] == "prod"
    assert values["networks"]["value"] == [
        {"subscriptionId": "1", "resourceGroups": groups, "wholeSubscription": False},
        {"subscriptionId": "2", "resourceGroups": groups, "wholeSubscription": False},
    ]
    assert values["alertEmails"]["value"] == ["a@b.c", "d@e.f"]


def deploys_with(bicep: str, folder: Path, **environment: str) -> str:
    """What the compiler says of a deployment of main.bicepparam; nothing where it evaluates."""
    flags = [word for pair in CONTEXT.items() for word in pair]
    arguments = ["snapshot", "main.bicepparam", "--mode", "overwrite", *flags]
    done = run(bicep, *arguments, folder=folder, **environment)
    return (done.stdout + done.stderr) if done.returncode else ""


@pytest.fixture
def copied(tmp_path) -> Path:
    """The templates, in a folder that may be written to."""
    return Path(shutil.copytree(INFRA, tmp_path / "infra"))


@pytest.mark.parametrize(
    "environment",
    [{}, {"AMLFS_RESOURCE_GROUPS": "rg-a", "AMLFS_WHOLE_SUBSCRIPTION": "true"}],
    ids=["neither", "both"],
)
def test_without_a_scope_the_deployment_fails_with_a_sentence(bicep, copied, environment) -> None:
    said = deploys_with(bicep, copied, **environment)
    assert "Say where NSGs and subnets may be written." in said
    assert "AMLFS_RESOURCE_GROUPS" in said
    assert "AMLFS_WHOLE_SUBSCRIPTION=true" in said


def test_the_whole_subscription_must_be_asked_for(bicep, copied) -> None:
    assert deploys_with(bicep, copied, AMLFS_WHOLE_SUBSCRIPTION="True") == ""
    snapshot = json.loads((copied / "main.snapshot.json").read_text(encoding="utf-8"))
    scopes = [
        one["properties"]["AMLFS_ALLOWED_SCOPES"]
        for one in snapshot["predictedResources"]
        if one["name"].endswith("/appsettings")
    ]
    assert scopes == [f"/subscriptions/{CONTEXT['--subscription-id']}"]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("/subnets/functions'", "/subnets/func_tions'", "network.functionsSubnetId"),
        ("/subnets/endpoints'", "/subnets/functions'", "network.endpointsSubnetId"),
        ("['198.51.100.0/24', '203.0.113.7/32']", "[]", "network.allowedCallers"),
    ],
    ids=["underscore", "one subnet for both", "no callers"],
)
def test_a_network_that_flex_cannot_use_fails_with_a_sentence(
    bicep, copied, before, after, said
) -> None:
    parameters = copied / "examples/several-subscriptions.bicepparam"
    text = parameters.read_text(encoding="utf-8")
    assert before in text
    parameters.write_text(text.replace(before, after), encoding="utf-8")
    done = snapshot(bicep, parameters, "overwrite")
    assert done.returncode != 0
    assert said in done.stdout + done.stderr


def test_every_parameter_file_has_its_snapshot() -> None:
    assert [name(path) for path in PARAMETERS if not snapshot_of(path).exists()] == []
    assert len(list(INFRA.rglob("*.snapshot.json"))) == len(PARAMETERS)


def test_every_parameter_is_described(bicep) -> None:
    for template in ("main.bicep", "events.bicep"):
        built = json.loads(run(bicep, "build", template, "--stdout", folder=INFRA).stdout)
        described = {
            k: "description" in v.get("metadata", {}) for k, v in built["parameters"].items()
        }
        assert all(described.values()), described
    assert len(built["parameters"]) > 0
