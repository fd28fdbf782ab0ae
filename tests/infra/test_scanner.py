"""The IaC scanner checkov, offline, over the deployments as Azure would get them.

It reads templates whose resources are a list; Bicep compiles to named ones, of which it sees none. So it
is given the snapshots: the same resources, with every parameter in its place.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests import ROOT
from tests.infra.snapshots import INFRA, resources

SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
CONFIG = INFRA / "checkov.yaml"


@pytest.fixture(scope="module")
def checkov() -> str:
    program = ROOT / ".tools/checkov/bin/checkov"
    if not program.exists():
        pytest.skip("no checkov: 'python3 dev.py test' installs it")
    return str(program)


def scan(checkov: str, folder: Path) -> dict:
    done = subprocess.run(
        [checkov, "--directory", str(folder), "--config-file", str(CONFIG), "--output", "json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout, done.stderr
    return dict(json.loads(done.stdout))


def template(found: list[dict]) -> str:
    return json.dumps({"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": found})


def test_it_finds_nothing_but_what_has_a_reason(checkov, tmp_path) -> None:
    count = 0
    for path in INFRA.rglob("*.snapshot.json"):
        (tmp_path / path.name).write_text(template(list(resources(path))), encoding="utf-8")
        count += len(resources(path))
    found = scan(checkov, tmp_path)
    failed = [(one["check_id"], one["resource"]) for one in found["results"]["failed_checks"]]
    assert failed == []
    assert found["summary"]["parsing_errors"] == 0
    assert count > 200
    assert found["summary"]["resource_count"] > 0.8 * count, "it must have seen the resources"
    assert found["summary"]["passed"] > 50


def test_it_would_find_something(checkov, tmp_path) -> None:
    path = INFRA / "examples/single-subscription.snapshot.json"
    found = json.loads(json.dumps(resources(path)))
    (account,) = [one for one in found if one["type"] == "Microsoft.Storage/storageAccounts"]
    account["properties"]["minimumTlsVersion"] = "TLS1_0"
    (tmp_path / "broken.json").write_text(template(found), encoding="utf-8")
    failed = scan(checkov, tmp_path)["results"]["failed_checks"]
    assert [one["resource"].rpartition(".")[2] for one in failed] == [account["name"]]


def test_each_suppression_has_its_reason_beside_it() -> None:
    text = CONFIG.read_text(encoding="utf-8").partition("skip-check:\n")[2]
    lines = text.rstrip().splitlines()
    assert len(lines) == len(set(lines)) > 0
    assert all(re.fullmatch(r"  - CKV_AZURE_\d+ # \S.{10,}", line) for line in lines)
