"""What Azure installs, and what development adds."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests import ROOT

FILES = ["requirements.txt", "requirements-dev.txt"]


def pinned(name: str) -> dict[str, list[str]]:
    """Each package of a requirements file with its blocks."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    blocks: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and not line.lstrip().startswith("#"):
            blocks.setdefault(re.split(r"[=;\s]", line)[0], []).append(line)
    return blocks


@pytest.mark.parametrize("name", FILES)
def test_every_package_has_one_version_and_its_hashes(name) -> None:
    for package, lines in pinned(name).items():
        assert all(re.search(r"==\S+ .*--hash=sha256:", line) for line in lines), package


@pytest.mark.parametrize("name", FILES)
def test_every_supported_python_finds_its_azure_functions(name) -> None:
    markers = [re.search(r";\s(.*?)\s+--hash", line) for line in pinned(name)["azure-functions"]]
    assert sorted(marker[1] for marker in markers if marker) == [
        "python_full_version < '3.13'",
        "python_full_version >= '3.13'",
    ]


def test_azure_installs_what_the_service_names_and_nothing_of_development() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    azure, development = (set(pinned(name)) for name in FILES)
    assert set(project["project"]["dependencies"]) <= azure < development
    groups = {re.split(r"[;\s]", entry)[0] for entry in project["dependency-groups"]["dev"]}
    assert groups <= development
    assert not groups & azure


def test_the_readmes_commands_name_files_that_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"(?:-d @(?!-)|\]\((?!https?:))([\w./-]+)", text)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
