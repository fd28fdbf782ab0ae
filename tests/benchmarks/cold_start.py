"""Cold start: loading `function_app` against importing azure.functions and pydantic alone.

Each is a fresh interpreter. Both read compiled files from one cache folder, as in Azure, where the
package ships them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.benchmarks.table import Measurement, in_turn

ROOT = Path(__file__).resolve().parents[2]
TIMED = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def measure(*, quick: bool, smallest: bool = False) -> list[Measurement]:
    with tempfile.TemporaryDirectory() as cache:
        app, floor = in_turn(
            1 if smallest else 9 if quick else 31,
            lambda: seconds("function_app", cache),
            lambda: seconds("azure.functions, pydantic", cache),
        )
    ratio = median(a / f for a, f in zip(app, floor, strict=True))
    return [
        Measurement("load function_app", 1000 * median(app), "ms"),
        Measurement("import azure.functions and pydantic", 1000 * median(floor), "ms"),
        Measurement("cold start, ratio of the two", ratio, "×", budget=1.25),
    ]


def seconds(modules: str, cache: str) -> float:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", TIMED.format(modules)],
        cwd=ROOT,
        env={**environment, "PYTHONPYCACHEPREFIX": cache},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)
