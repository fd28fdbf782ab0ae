"""The real Bicep compiler's judgement of the ARM and Bicep forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shared.planning.renderings import FORMS
from tests.bicep import run, snapshot
from tests.intents import EAST_US, EVERYTHING, with_fields
from tests.planning.test_generation import generated

pytestmark = pytest.mark.bicep

INTENTS = {
    "east-us": EAST_US,
    "everything": EVERYTHING,
    "one-subnet": with_fields(clientSubnets=[EAST_US["fileSystemSubnet"]]),
    "government": with_fields(location="usgovvirginia"),
}


def written(intent: dict[str, Any], form: str, path: Path) -> Path:
    path.write_text(FORMS[form].render(generated(intent)), encoding="utf-8")
    return path


def evaluated(bicep: str, template: Path) -> list[dict[str, Any]]:
    """The security rules that Azure would get from a template with every parameter's default."""
    folder = template.parent
    (folder / "main.bicepparam").write_text(f"using './{template.name}'\n")
    done = snapshot(bicep, folder / "main.bicepparam", "overwrite", resource_group="rg")
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / "main.snapshot.json").read_text(encoding="utf-8"))
    (group,) = found["predictedResources"]
    rules: list[dict[str, Any]] = group["properties"]["securityRules"]
    return rules


@pytest.mark.parametrize("name", INTENTS)
class TestBothForms:
    def test_the_bicep_form_builds_without_a_warning(self, name, bicep, tmp_path) -> None:
        path = written(INTENTS[name], "bicep", tmp_path / "main.bicep")
        built = run(bicep, "build", path.name, "--stdout", folder=tmp_path)
        assert (built.returncode, built.stderr) == (0, "")

    def test_the_bicep_form_is_formatted(self, name, bicep, tmp_path) -> None:
        path = written(INTENTS[name], "bicep", tmp_path / "main.bicep")
        formatted = run(bicep, "format", path.name, "--stdout", folder=tmp_path)
        assert formatted.stdout.strip() == path.read_text(encoding="utf-8").strip()

    def test_the_arm_form_decompiles_without_a_type_error(self, name, bicep, tmp_path) -> None:
        path = written(INTENTS[name], "arm", tmp_path / "main.json")
        decompiled = run(bicep, "decompile", path.name, folder=tmp_path)
        assert decompiled.returncode == 0
        assert "BCP" not in decompiled.stderr
        again = run(bicep, "build", "main.bicep", "--stdout", folder=tmp_path)
        assert (again.returncode, again.stderr) == (0, "")

    @pytest.mark.parametrize("form", ["arm", "bicep"])
    def test_evaluated_it_is_the_generated_rules(self, name, form, bicep, tmp_path) -> None:
        path = written(INTENTS[name], form, tmp_path / ("x.json" if form == "arm" else "x.bicep"))
        assert evaluated(bicep, path) == [r.to_arm() for r in generated(INTENTS[name]).rules]
