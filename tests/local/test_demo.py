"""The demonstration of the README ends well."""

from __future__ import annotations

import os
import subprocess
import sys

from tests import ROOT


def test_every_rule_comes_back() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AMLFS_", "AzureWeb"))}
    done = subprocess.run(
        [sys.executable, "-m", "local.demo"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All rules are back." in done.stdout
    assert "✗ the" not in done.stdout
