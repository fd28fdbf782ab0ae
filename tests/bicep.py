"""The real Bicep compiler, as the tests of templates call it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests import ROOT

KEPT = ("PATH", "HOME", "TMPDIR")
CONTEXT = {
    "--subscription-id": "00000000-0000-0000-0000-000000000001",
    "--tenant-id": "00000000-0000-0000-0000-0000000000aa",
    "--location": "eastus",
}
"""What Azure would know of a deployment; the committed snapshots are made with it."""

ENVIRONMENT = {"AMLFS_RESOURCE_GROUPS": "rg-lustre"}
"""What `azd env set` has set, for the snapshot of `main.bicepparam`."""


def find() -> str | None:
    """The compiler: on the PATH, where `az bicep install` puts it, or beside the project."""
    places = [
        shutil.which("bicep"),
        Path.home() / ".azure/bin/bicep",
        ROOT.parent / "shared/tools/bicep",
    ]
    found = next((place for place in places if place and Path(place).is_file()), None)
    return str(found) if found else None


def run(
    bicep: str, *arguments: str, folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Call it; parameter files find the environment that is given here, and nothing else."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return subprocess.run(
        [bicep, *arguments],
        cwd=folder,
        env={**kept, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def snapshot(
    bicep: str, parameters: Path, mode: str, **more: str
) -> subprocess.CompletedProcess[str]:
    """Evaluate a deployment: `overwrite` writes what Azure would get, `validate` compares with it."""
    context = (
        CONTEXT
        | group_of(parameters)
        | {f"--{name.replace('_', '-')}": value for name, value in more.items()}
    )
    flags = [word for pair in context.items() for word in pair]
    arguments = ["snapshot", parameters.name, "--mode", mode, *flags]
    return run(bicep, *arguments, folder=parameters.parent, **ENVIRONMENT)


def group_of(parameters: Path) -> dict[str, str]:
    """The resource group, where the template of a parameter file is deployed to one."""
    used = re.search(r"^using '(.+)'", parameters.read_text(encoding="utf-8"), re.MULTILINE)
    assert used is not None
    template = (parameters.parent / used[1]).read_text(encoding="utf-8")
    return {"--resource-group": "rg"} if "targetScope = 'resourceGroup'" in template else {}
