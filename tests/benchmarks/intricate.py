"""The worst requests that the limits permit (tests/hostile/bodies.py), from the request to the
answer."""

from __future__ import annotations

import asyncio
import json
import os
import time
from statistics import median
from unittest import mock

import azure.functions as func

from shared.http.plans import plan_rules
from shared.http.rules import generate_rules
from shared.http.verify import verify_rules
from tests.benchmarks.table import Measurement
from tests.hostile.bodies import Body, worst

FUNCTIONS = {"verify": verify_rules, "plan": plan_rules, "rules": generate_rules}
BUDGET_MS = 5_000.0


def answer(body: Body) -> tuple[float, int]:
    """Milliseconds until a request is answered, and the status."""
    name, query, document = body
    request = func.HttpRequest(
        method="POST",
        url=f"http://localhost/api/{name}",
        params=query,
        headers={"content-type": "application/json"},
        body=json.dumps(document).encode(),
    )

    async def main() -> int:
        return int((await FUNCTIONS[name](request)).status_code)

    started = time.perf_counter()
    status = asyncio.run(main())
    return 1000 * (time.perf_counter() - started), status


def measure(*, quick: bool, smallest: bool = False) -> list[Measurement]:
    repeat = 1 if quick else 3
    found = []
    bodies = worst()
    with mock.patch.dict(os.environ, {"AMLFS_STORE": "sqlite::memory:"}):
        for name, body in list(bodies.items())[: 2 if smallest else None]:
            runs = [answer(body) for _ in range(repeat)]
            ms = median(taken for taken, _ in runs)
            label = f"worst request: {name} ({runs[0][1]})"
            found.append(Measurement(label, ms, "ms", budget=BUDGET_MS))
    return found
