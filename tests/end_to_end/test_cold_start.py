"""Loading the app costs no Azure SDK; `dev.py bench` measures the time."""

from __future__ import annotations

import json
import subprocess
import sys

from tests import ROOT

LOADED = "import json, sys, function_app; print(json.dumps(sorted(sys.modules)))"


def test_loading_the_app_imports_no_azure_sdk_but_functions() -> None:
    modules = json.loads(
        subprocess.run(
            [sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
    )
    packages = {name.split(".")[1] for name in modules if name.startswith("azure.")}
    assert packages == {"functions"}
    assert not {"msal", "aiohttp", "requests", "starlette", "uvicorn", "local"} & set(modules)


def test_the_sdks_that_must_not_be_loaded_are_there_to_load() -> None:
    """Without this, the test above could not fail."""
    imports = "import azure.mgmt.network, azure.identity, azure.eventgrid"
    done = subprocess.run([sys.executable, "-c", imports], cwd=ROOT, check=False)
    assert done.returncode == 0
