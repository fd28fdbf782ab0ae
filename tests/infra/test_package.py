"""The deployment package: built as it is deployed, and started from nothing else."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infra import package
from tests import ROOT

pytestmark = [
    pytest.mark.runtime,
    pytest.mark.skipif(
        importlib.util.find_spec("azure_functions_runtime") is None,
        reason="the app is deployed on Python 3.13, and so is its package built",
    ),
]
AT_HOME = pytest.mark.skipif(
    not package.is_at_home(), reason="the package holds wheels for Azure's Linux"
)

DRIVER = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from pathlib import Path
from runtime import Runtime
runtime = Runtime(Path(sys.argv[2]))
body = Path(sys.argv[3]).read_bytes()
status, headers, answer = runtime.http("rules", body, content_type="application/json")
import azure.mgmt.network.aio, azure.identity.aio, azure.data.tables.aio, azure.eventgrid.aio, aiohttp
came_from = sorted({str(m.__file__) for m in sys.modules.values() if getattr(m, "__file__", None)})
rules = len(json.loads(answer)["securityRules"])
print(json.dumps([status, rules, sorted(runtime.functions), came_from]))
runtime.close()
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    """The package, unpacked as Azure unpacks it."""
    folder = tmp_path_factory.mktemp("package")
    package.build(folder / "built")
    package.pack(folder / "built", folder / "package.zip")
    with zipfile.ZipFile(folder / "package.zip") as file:
        file.extractall(folder / "unpacked")
    return folder / "unpacked"


@AT_HOME
def test_it_starts_and_answers_from_the_package_alone(unpacked, service, tmp_path) -> None:
    """The runtime library is the worker's, not the package's; nothing else comes from outside."""
    (tmp_path / "runtime.py").write_bytes((ROOT / "tests/end_to_end/runtime.py").read_bytes())
    worker = importlib.util.find_spec("azure_functions_runtime")
    assert worker is not None
    (tmp_path / "azure_functions_runtime").symlink_to(Path(str(worker.origin)).parent)
    places = [unpacked, unpacked / ".python_packages/lib/site-packages", tmp_path]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", DRIVER, json.dumps([*map(str, places)]), str(unpacked),
         str(ROOT / "examples/east-us.json")],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    status, rules, functions, files = json.loads(done.stdout.splitlines()[-1])
    assert (status, rules) == (200, 19)
    assert functions == sorted(f["name"] for f in service.get("/admin/functions").json())
    assert not [one for one in files if str(ROOT) in one and "azure_functions_runtime" not in one]


def test_it_holds_what_runs_and_nothing_of_development(unpacked) -> None:
    top = {path.name for path in unpacked.iterdir()}
    assert {"function_app.py", "host.json", "shared", ".python_packages"} <= top
    assert top <= {
        "function_app.py",
        "host.json",
        "shared",
        ".python_packages",
        "requirements.txt",
        "__pycache__",
    }
    installed = {
        re.sub(r"[-_.]+", "-", path.name.split("-")[0]).lower()
        for path in (unpacked / ".python_packages/lib/site-packages").glob("*.dist-info")
    }
    wanted = {
        line.split("==")[0].lower()
        for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
        if re.match(r"[a-z]", line)
        and "python_full_version < '3.13'" not in line
        and "win32" not in line
    }
    assert installed == wanted
    assert not installed & {"pytest", "hypothesis", "starlette", "uvicorn", "z3-solver"}


def test_every_module_is_compiled_so_that_no_date_undoes_it(unpacked) -> None:
    modules = [p for p in unpacked.rglob("*.py") if p.parent.name != "__pycache__"]
    uncompiled = [
        p for p in modules if not (p.parent / "__pycache__" / f"{p.stem}.cpython-313.pyc").exists()
    ]
    assert len(modules) > 1000
    assert uncompiled == []
    flags = {path.read_bytes()[4:8] for path in unpacked.rglob("*.pyc")}
    assert flags == {b"\x01\x00\x00\x00"}, "hash-based, unchecked (PEP 552)"


def test_the_same_files_make_the_same_package(unpacked, tmp_path) -> None:
    package.build(tmp_path / "again")
    package.pack(tmp_path / "again", tmp_path / "package.zip")
    assert (tmp_path / "package.zip").read_bytes() == (unpacked.parent / "package.zip").read_bytes()


@pytest.mark.parametrize(
    ("system", "machine"), [("darwin", "arm64"), ("win32", "AMD64"), ("linux", "aarch64")]
)
def test_another_machine_builds_it_and_measures_nothing(
    system, machine, tmp_path, monkeypatch, capsys
) -> None:
    def start(*_: str) -> tuple[float, float]:
        raise AssertionError("wheels of another platform cannot be started")

    monkeypatch.setattr(package, "DIST", tmp_path)
    monkeypatch.setattr(package, "cold_start", start)
    monkeypatch.setattr(package, "install", lambda target: target.mkdir(parents=True))
    monkeypatch.setattr(package, "HERE", (system, machine))
    assert package.main() == 0
    told = capsys.readouterr().out
    assert "cold start: not measured here" in told
    assert (tmp_path / f"{package.NAME}.zip").exists()


@AT_HOME
def test_at_home_the_cold_start_is_measured(unpacked) -> None:
    loaded, answered = package.cold_start(unpacked)
    assert 0 < loaded < answered < 30
