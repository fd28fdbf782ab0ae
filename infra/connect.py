"""The second step of a deployment: has Azure tell the service of changes. Can be run again at any time.

    python3 infra/connect.py --deployment NAME     after `az deployment sub create --name NAME`
    python3 infra/connect.py                       in azd's environment, where its hook runs it

It finds the system topics that the sources have already, because an Azure source has at most one, and
deploys events.bicep with them. It needs the Azure CLI, signed in, and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).resolve().with_name("events.bicep")
SERVICE = "AMLFS_SERVICE"
"""The output of main.bicep that says what was deployed; azd puts outputs into the environment."""

FIELDS = {"environmentName", "location", "eventGroup", "systemTopic", "networks"}
"""Of type `Service` in types.bicep."""

PATIENCE_SECONDS = 900
"""So long at most it is tried again; a new role or identity is known everywhere within ten minutes."""

TOO_EARLY = {
    "the function, which was deployed a moment ago": ("endpoint validation", "endpoint not found"),
    "the right of a system topic's identity to write dead letters": (
        "managed identity authorization error",
        "egmsivalidation",
    ),
    "a new role": ("roledefinitiondoesnotexist",),
    "a new identity": ("principalnotfound",),
}
"""What Azure does not know everywhere at once, and the words with which it refuses until then.

Sources: bicep issue 11656; bicep-registry-modules issue 5205; "Troubleshoot Azure RBAC", Microsoft
Learn. Everything else that Azure refuses stays refused, and is an error at once.
"""

ADVICE = {
    ("az login", "aadsts"): "Sign in again: az login.",
    ("authorizationfailed", "linkedauthorizationfailed"): (
        "The person who runs this needs Owner, or Contributor with User Access Administrator, on the"
        " subscription that it names."
    ),
    (
        "requestdisallowedbypolicy",
    ): "Have the owner of the policy that it names exempt the deployment.",
    ("missingsubscriptionregistration",): (
        "Register the provider that it names: az provider register --namespace NAME --wait."
    ),
    (
        "deploymentactive",
    ): "Another deployment of this name is running: run this again when it has ended.",
    ("scopelocked",): "Remove the lock that it names, or have its owner do so.",
}
"""What to do about what Azure refuses, by its words."""

OTHERWISE = "Correct what it names; this can be run again at any time."

Document = dict[str, Any]


class Stop(Exception):
    """It cannot go on; the text says what to do."""


def main(arguments: list[str] | None = None) -> int:
    """Read the command line, and connect."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--deployment", help="of main.bicep, where azd is not used")
    parser.add_argument("--subscription", help="of that deployment (default: the CLI's)")
    parser.add_argument("--wait", type=float, default=30, help="seconds before another try")
    parser.add_argument(
        "--patience", type=float, default=PATIENCE_SECONDS, help="seconds of trying in all"
    )
    options = parser.parse_args(arguments)
    try:
        service = read_service(options.deployment, options.subscription)
        subscription = options.subscription or os.environ.get("AZURE_SUBSCRIPTION_ID")
        connect(service, subscription, options.wait, options.patience)
    except Stop as stop:
        print(f"connect: {stop}", file=sys.stderr)
        return 1
    return 0


def read_service(deployment: str | None, subscription: str | None) -> Document:
    """Return what the first step says that it deployed; raises `Stop`."""
    if deployment is None:
        text = os.environ.get(SERVICE)
        if not text:
            raise Stop("nothing is deployed here: give --deployment, or run 'azd provision' first.")
        return checked(text)
    query = ["--query", "properties.outputs"]
    outputs = az(
        "deployment", "sub", "show", "--name", deployment, *query, subscription=subscription
    )
    # ARM may answer with the names of outputs in another casing (bicep issue 9360)
    by_name = {name.upper(): output["value"] for name, output in (outputs or {}).items()}
    found = by_name.get(SERVICE)
    if not found:
        raise Stop(f"the deployment {deployment} has no output {SERVICE}: is it one of main.bicep?")
    return checked(json.dumps(found))


def checked(text: str) -> Document:
    """Read the output of main.bicep; raises `Stop` for anything else."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, dict) and found.keys() >= FIELDS:
        return found
    raise Stop(f"{SERVICE} is not what main.bicep tells: {text[:80]} … Deploy it anew.")


def connect(service: Document, subscription: str | None, wait: float, patience: float) -> None:
    """Deploy the events, again while Azure does not know everything yet.

    Args:
        service: what the first step deployed.
        subscription: where it deployed it.
        wait: seconds before another try.
        patience: seconds after which no other try begins.

    Raises:
        Stop: Azure refuses it, or still does not know something after that time.
    """
    topics = find_topics(service)
    for source, topic in topics.items():
        print(f"connect: {source} has the system topic {topic} already; it is used.")
    parameters = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {"service": {"value": service}, "existingTopics": {"value": topics}},
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "events.parameters.json"
        file.write_text(json.dumps(parameters), encoding="utf-8")
        name = ("--name", f"{service['environmentName']}-events")
        where = ("--location", service["location"], "--template-file", str(TEMPLATE))
        end = time.monotonic() + patience
        while True:
            try:
                az(
                    *("deployment", "sub", "create", *name, *where, "--parameters", f"@{file}"),
                    subscription=subscription,
                )
                break
            except Stop as stop:
                unknown = unknown_yet(str(stop))
                if unknown is None:
                    raise Stop(f"{stop}\n{advice_on(str(stop))}") from stop
                if time.monotonic() + wait > end:
                    waited = f"Azure still does not know {unknown} after {patience / 60:g} minutes"
                    raise Stop(f"{waited}. Run this again later. {stop}") from stop
            print(f"connect: waiting until Azure knows {unknown}; again in {wait:g} s.", flush=True)
            time.sleep(wait)
    print(f"connect: events of {', '.join(sources_of(service))} go to the service.")


def unknown_yet(failure: str) -> str | None:
    """Return what Azure does not know yet, by what it says; None for any other failure."""
    said = failure.lower()
    found = (what for what, words in TOO_EARLY.items() if any(word in said for word in words))
    return next(found, None)


def advice_on(failure: str) -> str:
    """Return what to do about a failure."""
    said = failure.lower()
    found = (text for words, text in ADVICE.items() if any(word in said for word in words))
    return next(found, OTHERWISE)


def sources_of(service: Document) -> list[str]:
    """Return the ids of what tells of changes: subscriptions, or resource groups of them."""
    found = []
    for network in service["networks"]:
        whole = f"/subscriptions/{network['subscriptionId']}"
        groups = network.get("resourceGroups") or []
        found += [f"{whole}/resourceGroups/{group}" for group in groups] or [whole]
    return found


def find_topics(service: Document) -> dict[str, str]:
    """Return the system topics that others have made for our sources, by the source in lower case.

    Raises:
        Stop: one of them has no identity to dead-letter with.
    """
    wanted = {source.lower() for source in sources_of(service)}
    found = {}
    for subscription in dict.fromkeys(one["subscriptionId"] for one in service["networks"]):
        for topic in az("eventgrid", "system-topic", "list", subscription=subscription) or []:
            source = str(topic.get("source", "")).lower()
            if source not in wanted or is_ours(topic, service):
                continue
            if not (topic.get("identity") or {}).get("principalId"):
                raise Stop(
                    f"the system topic {topic['id']} has no system-assigned identity, which"
                    " dead-lettering needs. Ask its owner to run: az eventgrid system-topic update"
                    f" --ids {topic['id']} --identity SystemAssigned"
                )
            found[source] = str(topic["id"])
    return found


def is_ours(topic: Document, service: Document) -> bool:
    """Whether a topic is one that events.bicep made for this deployment: it makes it again."""
    parts = str(topic["id"]).lower().split("/")
    is_in_group = parts[4] == str(service["eventGroup"]).lower()
    return is_in_group and parts[-1].startswith(str(service["systemTopic"]).lower())


def az(*command: str, subscription: str | None) -> Any:
    """Call the Azure CLI and return its JSON; raises `Stop`."""
    program = shutil.which("az")
    if program is None:
        raise Stop("the Azure CLI is not here: install it and sign in ('az login').")
    where = ["--subscription", subscription] if subscription else []
    done = subprocess.run(
        [program, *command, *where, "--output", "json"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Stop(f"'az {' '.join(command[:3])}' failed: {done.stderr.strip()}")
    return json.loads(done.stdout) if done.stdout.strip() else None


if __name__ == "__main__":
    sys.exit(main())
