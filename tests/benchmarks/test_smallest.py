"""Every benchmark runs, once, at its smallest size; so none of them can rot. Budgets are not asked."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests import ROOT


@pytest.mark.timeout(300)
def test_every_benchmark_runs() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AMLFS_", "AzureWeb"))}
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--smallest"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("load function_app", "verify the article's rules", "apply, 1 foreign", "sweep of"):
        assert name in done.stdout


def test_a_benchmark_that_fails_leaves_no_process_behind() -> None:
    script = (
        "from tests.benchmarks.applying import box\n"
        "with box() as azure:\n"
        "    print(azure.base_url, flush=True)\n"
        "    raise SystemExit(3)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    address = done.stdout.strip()
    gone = subprocess.run(
        [sys.executable, "-c", f"import httpx; httpx.get('{address}')"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ConnectError" in gone.stderr, "nobody answers there any more"


def test_the_measurement_of_one_instance_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.concurrency", "--requests", "2", "--levels", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.match(r"\| 1 \| [\d.]+ \|", done.stdout.splitlines()[-1])
