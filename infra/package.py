"""Builds what is deployed: `dist/amlfs-network-guard.zip`, and says its size and cold start.

    python3 dev.py package

The files of the repository but for what `.funcignore` names; the hashed production requirements as
wheels for Azure's Linux; compiled files for all of it, because importing the network SDK without them
takes seconds. Nothing is left to build in Azure: its remote build for Flex Consumption was seen to use
another Python than the app's (azure-dev issue 8538).

The compiled files carry no date that a file system could change, and the zip neither: the same commit
makes the same package.
"""

from __future__ import annotations

import compileall
import json
import os
import platform
import py_compile
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from statistics import median

import pathspec

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
NAME = "amlfs-network-guard"
PYTHON, PLATFORM = "3.13", "x86_64-manylinux_2_28"
"""What the app runs on: `functionAppConfig.runtime` in `infra/modules/functions.bicep`."""

HERE = sys.platform, platform.machine()

PACKAGES = ".python_packages/lib/site-packages"
"""Where the Functions host looks for them. Source: "Azure Functions Python developer guide"."""

IN_AZURE = "/home/site/wwwroot"
LONG_AGO = (1980, 1, 1, 0, 0, 0)
RUNS = 7

START = """
import asyncio, json, sys, time
started = time.perf_counter()
sys.path[:0] = json.loads(sys.argv[1])
import function_app
functions = {one.get_function_name(): one for one in function_app.app.get_functions()}
loaded = time.perf_counter()
import azure.functions as func
body = json.dumps({"intent": {"location": "eastus",
    "fileSystemSubnet": {"addressPrefixes": ["10.0.1.0/24"]},
    "clientSubnets": [{"addressPrefixes": ["10.0.2.0/24"]}]}}).encode()
request = func.HttpRequest(method="POST", url="http://localhost/api/rules", body=body)
answer = asyncio.run(functions["rules"].get_user_function()(request))
assert answer.status_code == 200, answer.get_body()
print(json.dumps([loaded - started, time.perf_counter() - started]))
"""


def main() -> int:
    """Build the package and tell about it."""
    if sys.version_info[:2] != tuple(map(int, PYTHON.split("."))):
        print(f"The app runs on Python {PYTHON}: python3 dev.py --python {PYTHON} package")
        return 2
    folder, archive = DIST / "package", DIST / f"{NAME}.zip"
    build(folder)
    pack(folder, archive)
    files = [path for path in folder.rglob("*") if path.is_file()]
    unpacked = sum(path.stat().st_size for path in files)
    print(f"{archive}: {archive.stat().st_size / 1e6:.1f} MB")
    print(f"unpacked: {unpacked / 1e6:.1f} MB in {len(files)} files")
    if not is_at_home():
        print(f"cold start: not measured here, the wheels are for {PLATFORM}")
        return 0
    for text, options in (
        ("as packed", ()),
        ("without compiled files", ("-X", "pycache_prefix=/nonexistent")),
    ):
        loaded, answered = cold_start(folder, *options)
        print(
            f"cold start {text}: functions known after {1000 * loaded:.0f} ms,"
            f" first rules after {1000 * answered:.0f} ms (median of {RUNS} fresh processes)"
        )
    return 0


def is_at_home() -> bool:
    """Whether this machine can run the wheels of the package."""
    return ("linux", PLATFORM.partition("-")[0]) == HERE


def build(folder: Path) -> None:
    """Put together what is deployed, in a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in deployed_files():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
    install(folder / PACKAGES)
    for cache in list(folder.rglob("__pycache__")):
        shutil.rmtree(cache)
    compileall.compile_dir(
        str(folder),
        quiet=2,
        stripdir=str(folder),
        prependdir=IN_AZURE,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        maxlevels=30,
        workers=os.cpu_count() or 1,
    )


def deployed_files() -> list[str]:
    """Return the files of the project that are deployed, relative to it."""
    ignored = pathspec.GitIgnoreSpec.from_lines(
        (ROOT / ".funcignore").read_text(encoding="utf-8").splitlines()
    )
    found = []
    for folder, folders, files in os.walk(ROOT):
        here = Path(folder).relative_to(ROOT)
        folders[:] = [one for one in folders if not ignored.match_file(f"{here / one}/")]
        found += [str(here / one) for one in files if not ignored.match_file(str(here / one))]
    return sorted(found)


def install(target: Path) -> None:
    """Install the production requirements as wheels for Azure, by their hashes."""
    command = [sys.executable, "-m", "uv", "--quiet", "pip", "install", "--target", str(target)]
    command += ["--python-version", PYTHON, "--python-platform", PLATFORM]
    command += ["--only-binary", ":all:", "--require-hashes", "--no-deps", "--link-mode", "copy"]
    subprocess.run([*command, "-r", str(ROOT / "requirements.txt")], check=True)
    shutil.rmtree(target / "bin", ignore_errors=True)
    (target / ".lock").unlink(missing_ok=True)


def pack(folder: Path, archive: Path) -> None:
    """Write a zip that depends on nothing but what is in the folder."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), LONG_AGO)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                file.writestr(entry, path.read_bytes())


def search_path(folder: Path) -> list[str]:
    """Return where Azure looks for modules, for a package that is unpacked in a folder."""
    return [str(folder), str(folder / PACKAGES)]


def cold_start(folder: Path, *options: str) -> tuple[float, float]:
    """Return the seconds until the functions are known, and until the first answer."""
    with tempfile.TemporaryDirectory() as elsewhere:
        command = [sys.executable, "-I", "-S", "-B", *options, "-c", START]
        runs = [
            json.loads(
                subprocess.run(
                    [*command, json.dumps(search_path(folder))],
                    cwd=elsewhere,
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
            )
            for _ in range(RUNS)
        ]
    return median(run[0] for run in runs), median(run[1] for run in runs)


if __name__ == "__main__":
    sys.exit(main())
