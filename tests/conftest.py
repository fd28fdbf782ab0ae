"""What several folders of tests need."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from hypothesis import settings
from starlette.applications import Starlette

from local.azure.serving import BoxServer
from local.host import FunctionsHost, load_host
from local.isolated import load_isolated_host
from local.queues import connection_to
from local.server import listen
from tests import ROOT
from tests import bicep as compiler
from tests.azure import Azure

settings.register_profile("daily", max_examples=100, deadline=None)
settings.register_profile("deep", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "daily"))


ISOLATED = os.environ.get("AMLFS_TEST_ISOLATED") == "1"
"""Whether the service runs as in Azure, every function in processes of its own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what looks into the service's own process, where there is none."""
    if not ISOLATED:
        return
    reason = "it looks into the service's process, and the isolated host has many"
    for item in items:
        if item.get_closest_marker("in_process"):
            item.add_marker(pytest.mark.skip(reason=reason))


@contextmanager
def serving(
    application: Starlette, listener: socket.socket | None = None
) -> Iterator[httpx.Client]:
    """Serve an application on a free port, and give a client that talks to it."""
    listener = listener or listen(0)
    server = uvicorn.Server(uvicorn.Config(application, log_level="warning", proxy_headers=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with httpx.Client(base_url=address, timeout=30) as client:
        yield client
    server.should_exit = True
    thread.join(timeout=10)
    assert not thread.is_alive()


@pytest.fixture(scope="session")
def embedded_azure() -> Iterator[BoxServer]:
    """An embedded Azure, which the service is told of as Azure tells it."""
    with BoxServer(listen(0)) as server:
        os.environ["AMLFS_ARM_ENDPOINT"] = server.url
        os.environ["AMLFS_ALLOWED_SCOPES"] = "/"
        os.environ["IDENTITY_ENDPOINT"] = f"{server.url}/msi/token"
        os.environ["IDENTITY_HEADER"] = "tests"
        yield server


@pytest.fixture(scope="session")
def host(tmp_path_factory) -> FunctionsHost:
    """The local Functions host; in an isolated run it has worker processes."""
    if not ISOLATED:
        return load_host()
    os.environ["AMLFS_STORE"] = f"sqlite:{tmp_path_factory.mktemp('store')}/guards.db"
    return load_isolated_host()


@pytest.fixture(scope="session")
def service(embedded_azure, host) -> Iterator[httpx.Client]:
    """The service under the local Functions host, over HTTP."""
    listener = listen(0)
    os.environ["AzureWebJobsStorage"] = connection_to(listener.getsockname()[1])
    with serving(host.application(), listener) as client:
        yield client


@pytest.fixture
def azure(embedded_azure) -> Iterator[Azure]:
    """An empty embedded Azure, over HTTP."""
    with httpx.Client(base_url=embedded_azure.url) as client:
        box = Azure(client, embedded_azure)
        box.reset()
        yield box


@pytest.fixture(scope="session")
def bicep() -> str:
    """The Bicep compiler."""
    found = compiler.find()
    if found is None:
        pytest.skip("no Bicep compiler: install one, or put it on the PATH")
    return found


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """The connection string of Microsoft's storage emulator, started for the tests."""
    program = ROOT / ".tools/node_modules/azurite/dist/src/azurite.js"
    node = shutil.which("node")
    if node is None or not program.exists():
        pytest.skip("no Azurite: 'python3 dev.py test' installs it where there is npm")
    ports = dict(zip(("blob", "queue", "table"), free_ports(3), strict=True))
    arguments = [f"--{name}Port={port}" for name, port in ports.items()]
    quiet = ["--silent", "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck"]
    process = subprocess.Popen([node, str(program), *arguments, *quiet])
    for port in ports.values():
        wait_for(port)
    services = "".join(
        f"{name.title()}Endpoint=http://127.0.0.1:{port}/devstoreaccount1;"
        for name, port in ports.items()
    )
    account = (
        f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={EMULATOR_KEY};"
    )
    yield account + services
    process.terminate()
    process.wait(10)


EMULATOR_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
"""The key of every emulator, published by Microsoft; it opens nothing else."""


def free_ports(count: int) -> list[int]:
    listeners = [listen(0) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def wait_for(port: int) -> None:
    end = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < end, f"nothing answers on {port}"
        time.sleep(0.05)
