"""The app under the library that runs it in Azure: it indexes, and answers the same."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests import ROOT
from tests.intents import with_fields

pytestmark = [
    pytest.mark.runtime,
    pytest.mark.skipif(
        importlib.util.find_spec("azure_functions_runtime") is None,
        reason="azure-functions-runtime exists for Python 3.13 alone",
    ),
]

RIGHT = (ROOT / "examples/east-us.json").read_bytes()
WRONG = json.dumps({"intent": with_fields(location="estus")}).encode()


@pytest.fixture(scope="module")
def runtime() -> Iterator[Any]:
    from tests.end_to_end.runtime import Runtime  # noqa: PLC0415 - not there on every Python

    runtime = Runtime(ROOT)
    yield runtime
    runtime.close()


def test_it_indexes_every_function(runtime, service) -> None:
    listed = {function["name"] for function in service.get("/admin/functions").json()}
    assert set(runtime.functions) == listed


@pytest.mark.parametrize("body", [RIGHT, WRONG, b"{"], ids=["right", "wrong", "not JSON"])
@pytest.mark.parametrize("accept", ["*/*", "text/x-bicep"])
def test_it_answers_as_the_local_host_does(runtime, service, body, accept) -> None:
    headers = {"content-type": "application/json", "accept": accept}
    local = service.post("/api/rules", content=body, headers=headers)
    status, azure_headers, azure_body = runtime.http(
        "rules", body, content_type="application/json", accept=accept
    )
    assert status == local.status_code
    assert azure_body == local.content
    assert azure_headers["content-type"] == local.headers["content-type"]


def test_bindings_are_what_azure_reads(runtime) -> None:
    (binding,) = [
        json.loads(text)
        for text in runtime.functions["rules"].raw_bindings
        if '"httpTrigger"' in text
    ]
    assert binding["route"] == "rules"
    assert [method.upper() for method in binding["methods"]] == ["POST"]
    assert binding["authLevel"].upper() == "FUNCTION"
