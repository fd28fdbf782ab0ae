"""The second step of a deployment, against a stand-in for the Azure CLI; and the real one's words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra import connect
from tests import ROOT
from tests.infra.snapshots import named, of_type

SCRIPT = ROOT / "infra/connect.py"
ONE, TWO = (f"00000000-0000-0000-0000-00000000000{n}" for n in (1, 2))
THEIRS = (
    f"/subscriptions/{TWO}/resourceGroups/rg-events/providers/Microsoft.EventGrid/systemTopics/t"
)
SERVICE = json.loads(named("several-subscriptions").read_text(encoding="utf-8"))["outputs"][
    "AMLFS_SERVICE"
]

STAND_IN = """#!{python}
import json, pathlib, sys
here = pathlib.Path(__file__).parent
words = sys.argv[1:]
call = dict(words=words)
for word in words:
    if word.startswith("@"):
        call["parameters"] = json.loads(pathlib.Path(word[1:]).read_text())["parameters"]
with open(here / "calls", "a") as file:
    file.write(json.dumps(call) + "\\n")
answers = json.loads((here / "answers").read_text())
answer = answers.get(" ".join(words[:3]))
if isinstance(answer, list) and words[1:3] == ["sub", "create"]:  # one answer after the other
    answer = answer[(here / "calls").read_text().count('"create"') - 1]
if isinstance(answer, str):
    sys.exit(answer)
if answer is None:
    sys.exit("unexpected: " + " ".join(words))
if "list" in words:
    answer = answer[words[words.index("--subscription") + 1]]
print(json.dumps(answer))
"""


class Cli:
    """The Azure CLI's stand-in: what it answers, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "az"
        program.write_text(STAND_IN.replace("{python}", sys.executable), encoding="utf-8")
        program.chmod(0o755)
        self.answers: dict[str, Any] = {
            "deployment sub show": {"amlfS_SERVICE": {"type": "Object", "value": SERVICE}},
            "deployment sub create": {"properties": {"provisioningState": "Succeeded"}},
            "eventgrid system-topic list": {ONE: [], TWO: []},
        }

    def topics(self, subscription: str, *topics: dict) -> None:
        self.answers["eventgrid system-topic list"][subscription] = list(topics)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "answers").write_text(json.dumps(self.answers), encoding="utf-8")
        return subprocess.run(
            [sys.executable, str(SCRIPT), *arguments],
            env={"PATH": str(self.folder), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def deployed(self) -> dict:
        calls = [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]
        call = [one for one in calls if one["words"][:3] == ["deployment", "sub", "create"]][-1]
        words = call["words"]
        values = {name: entry["value"] for name, entry in call["parameters"].items()}
        assert words[words.index("--template-file") + 1] == str(ROOT / "infra/events.bicep")
        return {"name": words[words.index("--name") + 1], **values}


@pytest.fixture
def cli(tmp_path) -> Cli:
    if os.name == "nt":
        pytest.skip("the stand-in is a POSIX script")
    return Cli(tmp_path)


def topic(source: str, path: str, identity: dict | None) -> dict:
    return {"id": path, "source": source, "identity": identity}


def test_after_a_deployment_by_hand(cli) -> None:
    done = cli.run("--deployment", "platform", "--subscription", ONE)
    assert done.returncode == 0, done.stderr
    assert cli.deployed() == {"name": "platform-events", "service": SERVICE, "existingTopics": {}}


def test_in_azds_environment(cli) -> None:
    done = cli.run(AMLFS_SERVICE=json.dumps(SERVICE), AZURE_SUBSCRIPTION_ID=ONE)
    assert done.returncode == 0, done.stderr
    assert cli.deployed()["service"] == SERVICE


def test_a_topic_that_the_source_has_is_used(cli) -> None:
    """Just what several-subscriptions.events.bicepparam shows."""
    cli.topics(
        TWO,
        topic(f"/subscriptions/{TWO.upper()}", THEIRS, {"principalId": "p"}),
        topic(f"/subscriptions/{TWO}/resourceGroups/other", f"{THEIRS}2", None),
    )
    done = cli.run("--deployment", "platform", "--subscription", ONE)
    assert done.returncode == 0, done.stderr
    assert cli.deployed()["existingTopics"] == {f"/subscriptions/{TWO}": THEIRS}
    assert THEIRS in done.stdout


def test_our_own_topic_is_deployed_again(cli) -> None:
    ours = [
        topic(one["properties"]["source"], one["id"], {"principalId": "p"})
        for one in of_type(
            named("several-subscriptions.events"), "Microsoft.EventGrid/systemTopics"
        )
    ]
    cli.topics(ONE, *ours)
    assert cli.run("--deployment", "platform", "--subscription", ONE).returncode == 0
    assert cli.deployed()["existingTopics"] == {}


def test_a_topic_without_identity_stops_it_with_what_to_do(cli) -> None:
    cli.topics(TWO, topic(f"/subscriptions/{TWO}", THEIRS, None))
    done = cli.run("--deployment", "platform", "--subscription", ONE)
    assert done.returncode == 1
    assert f"az eventgrid system-topic update --ids {THEIRS} --identity" in done.stderr


EARLY = "Endpoint validation: Destination endpoint not found. Resource details: …on_network_change"


SLOW = {
    "the function": EARLY,
    "dead letters": (
        "(Invalid Request) Managed Identity Authorization Error. Learn more"
        " https://aka.ms/egmsivalidation"
    ),
    "a new role": (
        '{"code": "RoleDefinitionDoesNotExist", "message": "The specified role'
        " definition with ID 'x' does not exist.\"}"
    ),
    "a new identity": "PrincipalNotFound: Principal x does not exist in the directory y.",
}
DONE = {"properties": {"provisioningState": "Succeeded"}}


@pytest.mark.parametrize("what", SLOW)
def test_what_spreads_slowly_is_waited_for(what, cli) -> None:
    cli.answers["deployment sub create"] = [SLOW[what], SLOW[what], DONE]
    ended = cli.run("--deployment", "platform", "--subscription", ONE, "--wait", "0.01")
    assert ended.returncode == 0, ended.stderr
    waits = [line for line in ended.stdout.splitlines() if "waiting until Azure knows" in line]
    assert len(waits) == 2
    assert all(what in line for line in waits)


def test_one_slow_thing_after_the_other(cli) -> None:
    cli.answers["deployment sub create"] = [*SLOW.values(), DONE]
    ended = cli.run("--deployment", "platform", "--subscription", ONE, "--wait", "0.01")
    assert (ended.returncode, ended.stdout.count("waiting until")) == (0, len(SLOW))


@pytest.mark.parametrize(
    ("refusal", "advice"),
    [
        ("AuthorizationFailed: The client x does not have authorization", "needs Owner"),
        ("InvalidTemplate: Deployment template validation failed", "Correct what it names"),
        ("RequestDisallowedByPolicy", "owner of the policy"),
        ("LinkedAuthorizationFailed", "needs Owner"),
        ("MissingSubscriptionRegistration: Microsoft.EventGrid", "az provider register"),
        ("AADSTS700082: The refresh token has expired", "az login"),
    ],
)
def test_what_stays_refused_is_an_error_at_once(refusal, advice, cli) -> None:
    cli.answers["deployment sub create"] = [refusal, DONE]
    ended = cli.run("--deployment", "platform", "--subscription", ONE, "--wait", "0.01")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert refusal in ended.stderr
    assert advice in ended.stderr


def test_it_does_not_wait_for_ever(cli) -> None:
    cli.answers["deployment sub create"] = [EARLY] * 500
    limits = ["--wait", "0.01", "--patience", "0.6"]
    ended = cli.run("--deployment", "platform", "--subscription", ONE, *limits)
    assert ended.returncode == 1
    assert 0 < ended.stdout.count("waiting until") < 60
    assert "Run this again later." in ended.stderr
    assert EARLY in ended.stderr


def test_fifteen_minutes_unless_told_otherwise() -> None:
    assert connect.PATIENCE_SECONDS == 900


def test_a_namesakes_topic_is_not_taken_for_ours(cli) -> None:
    """Another deployment of the same name, from another subscription."""
    unlike = SERVICE["eventGroup"][:-6] + "aaaaaa"
    path = (
        f"/subscriptions/{TWO}/resourceGroups/{unlike}/providers/Microsoft.EventGrid/systemTopics/t"
    )
    cli.topics(TWO, topic(f"/subscriptions/{TWO}", path, {"principalId": "p"}))
    assert cli.run("--deployment", "platform", "--subscription", ONE).returncode == 0
    assert cli.deployed()["existingTopics"] == {f"/subscriptions/{TWO}": path}


@pytest.mark.parametrize(
    ("arguments", "missing", "said"),
    [
        ([], None, "run 'azd provision' first"),
        (["--deployment", "x"], "deployment sub show", "'az deployment sub show' failed"),
        (
            ["--deployment", "x", "--subscription", ONE],
            "deployment sub create",
            "failed: unexpected",
        ),
    ],
)
def test_what_goes_wrong_is_said(arguments, missing, said, cli) -> None:
    cli.answers.pop(missing, None)
    done = cli.run(*arguments)
    assert done.returncode == 1
    assert said in done.stderr


@pytest.mark.parametrize("text", ["{oops", "[]", '{"environmentName": "x"}'])
def test_an_environment_that_is_not_azds_is_said(text, cli) -> None:
    done = cli.run(AMLFS_SERVICE=text)
    assert done.returncode == 1
    assert "AMLFS_SERVICE is not what main.bicep tells" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_cli_it_says_so(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--deployment", "x"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "install it and sign in" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        "deployment sub create --name --location --template-file --parameters --subscription",
        "deployment sub show --name --query --subscription",
        "eventgrid system-topic list --subscription",
        "eventgrid system-topic update --ids --identity",
        "account get-access-token --query --resource",
        "eventgrid event-subscription create --name --source-resource-id --endpoint",
        "eventgrid event-subscription create --event-delivery-schema --included-event-types",
        "eventgrid event-subscription create --delivery-identity --delivery-identity-endpoint",
        "eventgrid event-subscription create --delivery-identity-endpoint-type",
        "deployment group create --resource-group --template-file --parameters",
        "functionapp function keys set --name --resource-group --function-name --key-name --key-value",
        "functionapp function keys list --name --resource-group --function-name",
        "functionapp function keys delete --name --resource-group --function-name --key-name",
        "functionapp keys set --name --resource-group --key-type --key-name",
        "functionapp keys delete --name --resource-group --key-type --key-name",
        "ad app create --display-name --sign-in-audience --query",
        "ad app update --id --identifier-uris --set",
        "ad sp create --id",
        "provider operation show --namespace --query",
        "role definition list --name",
        "functionapp scale config show --name --resource-group",
        "cloud set --name",
        "functionapp list-flexconsumption-locations",
    ],
)
def test_the_real_cli_knows_these_words(words) -> None:
    program = os.environ.get("AMLFS_AZ")
    if not program:
        pytest.skip("only with --az")
    command = [word for word in words.split() if not word.startswith("--")]
    told = subprocess.run(
        [program, *command, "--help"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    assert [w for w in words.split() if w.startswith("--") and w not in told.stdout] == []


def test_the_sources_are_those_of_the_template() -> None:
    made = of_type(named("several-subscriptions.events"), "Microsoft.EventGrid/systemTopics")
    sources = [one["properties"]["source"] for one in made]
    assert connect.sources_of(SERVICE) == [*sources, f"/subscriptions/{TWO}"]
