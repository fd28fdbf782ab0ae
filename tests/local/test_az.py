"""The Azure CLI, as it comes from PyPI, against the embedded Azure over https.

`python3 dev.py test --az` installs it and runs this; `docs/embedded-azure.md` has the same for a person.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from local.azure.serving import BoxServer
from local.server import listen
from tests.azure import NETWORK, SUBSCRIPTION

pytestmark = pytest.mark.skipif("AMLFS_AZ" not in os.environ, reason="only with --az")
NSG = f"{NETWORK}/networkSecurityGroups/nsg1"
QUERY = "?api-version=2024-05-01"


@pytest.fixture(scope="module")
def az(tmp_path_factory):
    """Runs az with its own configuration, signed in to a box by managed identity."""
    folder = tmp_path_factory.mktemp("az")
    https, certificate = listen(0), folder / "box.pem"
    arm = f"https://127.0.0.1:{https.getsockname()[1]}"
    program = Path(os.environ["AMLFS_AZ"])
    with BoxServer(listen(0), (https, certificate)) as server:
        environment = {
            "PATH": f"{program.parent}:/usr/bin:/bin",
            "HOME": str(folder),
            "AZURE_CONFIG_DIR": str(folder / "config"),
            "AZURE_CORE_COLLECT_TELEMETRY": "no",
            "AZURE_CORE_ONLY_SHOW_ERRORS": "yes",
            "AZURE_CORE_LOGIN_EXPERIENCE_V2": "no",
            "AZURE_AUTO_UPGRADE_ENABLE": "no",
            "REQUESTS_CA_BUNDLE": str(certificate),
            "NO_PROXY": "*",
            "IDENTITY_ENDPOINT": f"{server.url}/msi/token",
            "IDENTITY_HEADER": "az",
        }

        def call(*words: str, status: int = 0):
            done = subprocess.run(
                [str(program), *words], env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == status, done.stderr
            return json.loads(done.stdout) if done.stdout.strip() else done.stderr

        def quick(box) -> None:
            box.estate.settings = box.estate.settings.changed({"operationSeconds": 0})

        server.call(quick)
        call("cloud", "register", "-n", "box", "--endpoint-resource-manager", arm)
        call("cloud", "set", "-n", "box")
        (account,) = call("login", "--identity")
        assert account["id"] == SUBSCRIPTION
        yield call


def nsg_words(*words: str) -> list[str]:
    return ["network", "nsg", *words, "-g", "lustre"]


def test_security_groups_rules_and_subnets(az) -> None:
    made = az(*nsg_words("create"), "-n", "nsg1", "-l", "eastus")
    assert made["NewNSG"]["provisioningState"] == "Succeeded"
    rule = ["--nsg-name", "nsg1", "-n", "allow988"]
    az(
        *nsg_words("rule", "create"),
        *rule,
        *("--priority", "200", "--direction", "Inbound", "--access", "Allow", "--protocol", "Tcp"),
        *("--source-address-prefixes", "10.0.0.0/24", "10.0.1.0/24"),
        *("--destination-port-ranges", "988", "1021-1023"),
    )
    az(*nsg_words("rule", "update"), *rule, "--priority", "210")
    (shown,) = az(*nsg_words("rule", "list"), "--nsg-name", "nsg1")
    assert (shown["priority"], shown["destinationPortRanges"]) == (210, ["988", "1021-1023"])

    subnet = ["-g", "lustre", "--vnet-name", "vnet1", "-n", "lustre"]
    az(
        *("network", "vnet", "create", "-g", "lustre", "-n", "vnet1", "-l", "eastus"),
        *("--address-prefixes", "10.0.0.0/16"),
        *("--subnet-name", "lustre", "--subnet-prefixes", "10.0.0.0/24"),
    )
    az(*("network", "vnet", "subnet", "update"), *subnet, "--network-security-group", "nsg1")
    assert az(*("network", "vnet", "subnet", "show"), *subnet)["networkSecurityGroup"]["id"] == NSG
    assert "InUseNetworkSecurityGroupCannotBeDeleted" in az(
        *nsg_words("delete"), "-n", "nsg1", status=1
    )
    az(*nsg_words("rule", "delete"), *rule)
    assert az(*nsg_words("rule", "list"), "--nsg-name", "nsg1") == []
    assert "allow988" in az(*nsg_words("rule", "show"), *rule, status=3)


def test_rest_with_and_without_a_precondition(az) -> None:
    url, body = f"{NSG[:-1]}2{QUERY}", json.dumps({"location": "eastus", "properties": {}})
    az("rest", "--method", "put", "--url", url, "--body", body)
    shown = az("rest", "--method", "get", "--url", url)
    assert shown["properties"]["securityRules"] == []
    stale = ["--headers", 'If-Match=W/"nope"']
    refused = az("rest", "--method", "put", "--url", url, "--body", body, *stale, status=1)
    assert "PreconditionFailed" in refused
