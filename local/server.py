"""Listening and serving; apart from the program, so that `--watch` can start it anew."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass

import uvicorn

from local.azure.sample import fill
from local.azure.serving import BoxServer
from local.host import ROOT, load_host
from local.isolated import load_isolated_host
from local.queues import PATH, StorageQueues, connection_to

HOST = "127.0.0.1"
WEBHOOK = "on_network_change"
CERTIFICATE = ROOT / ".tools/embedded-azure.pem"
"""Who issued the certificate of the Azure emulator; new at every start."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to serve.

    Attributes:
        port: of the functions.
        arm_port: of the Azure emulator.
        estate: whether the Azure emulator begins with a small estate, or empty.
        arm_https_port: of the Azure emulator over https, as az demands; None: it is not served.
        function_key: what callers must bring; None asks nobody for a key.
        azure: address of an Azure emulator that runs already; None: one is started.
        instances: worker processes of the HTTP functions, and of every other function; None: everything
            runs in this process.
    """

    port: int = 7071
    arm_port: int = 7072
    estate: bool = True
    arm_https_port: int | None = None
    function_key: str | None = None
    azure: str | None = None
    instances: int | None = None


def serve(options: Options) -> None:
    """Start the Azure emulator, load the app, listen, and serve until interrupted."""
    start_logging()
    with ExitStack() as stack:
        listener = listen(options.port, "--port")
        address = f"http://{HOST}:{listener.getsockname()[1]}"
        url = options.azure.rstrip("/") if options.azure else start_azure(options, stack)
        settle_in(url, listener.getsockname()[1])
        if options.instances is not None and not os.environ.get("AMLFS_STORE"):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="amlfs-"))
            os.environ["AMLFS_STORE"] = f"sqlite:{folder}/guards.db"
        register_webhook(url, address, options.function_key)
        queues = queues_in_storage()
        host = (
            load_isolated_host(options.function_key, queues, options.instances)
            if options.instances is not None
            else load_host(options.function_key, queues)
        )
        say(f"Functions on {address} (Ctrl+C ends):")
        for line in host.describe(address):
            say(f"    {line}")
        say(f"The Azure emulator on {url}, with no need for a token:")
        for line in tour(url, estate=options.estate if options.azure is None else None):
            say(f"    {line}")
        if options.arm_https_port is not None:
            say(f"    over https for az on {options.arm_https_port}, certificate {CERTIFICATE}")
        config = uvicorn.Config(
            host.application(),
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=5,
            proxy_headers=False,  # Azure appends the address to what the caller claims
        )
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again after its clean end
            uvicorn.Server(config).run(sockets=[listener])


def start_logging() -> None:
    """Log to the terminal."""
    logging.basicConfig(level=logging.INFO, format="[%(asctime)s] %(message)s")
    for name in ("watchfiles", "azure", "azure.core.pipeline.policies.http_logging_policy"):
        logging.getLogger(name).setLevel(logging.WARNING)


def start_azure(options: Options, stack: ExitStack) -> str:
    """Start the Azure emulator until the stack is closed; returns its address."""
    arm_listener = listen(options.arm_port, "--arm-port")
    https = None
    if options.arm_https_port is not None:
        https = listen(options.arm_https_port, "--arm-https-port"), CERTIFICATE
    azure = stack.enter_context(BoxServer(arm_listener, https))
    if options.estate:
        azure.call(fill)
    return azure.url


def serve_azure(options: Options) -> None:
    """Serve the Azure emulator alone until interrupted."""
    start_logging()
    with ExitStack() as stack:
        url = start_azure(options, stack)
        say(f"The Azure emulator on {url}, with no need for a token (Ctrl+C ends):")
        for line in tour(url, estate=options.estate):
            say(f"    {line}")
        if options.arm_https_port is not None:
            say(f"    over https for az on {options.arm_https_port}, certificate {CERTIFICATE}")
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        while not ended.wait(0.5):  # a wait without an end cannot be interrupted on Windows
            pass


def register_webhook(azure_url: str, address: str, key: str | None) -> None:
    """Have an Azure emulator deliver events to this service, in place of an earlier one.

    Where the address is not that of an emulator there is nothing to register.
    """
    if os.environ.get("AMLFS_ARM_ENDPOINT") != azure_url:
        return
    endpoint = f"{address}/runtime/webhooks/EventGrid?functionName={WEBHOOK}"
    if key:
        endpoint += f"&code={key}"
    body = json.dumps({"name": WEBHOOK, "endpoint": endpoint}).encode()
    request = urllib.request.Request(f"{azure_url}/_box/webhooks", body, method="POST")  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310 - loopback, or what --azure says
            pass
    except OSError as error:
        sys.exit(
            f"No Azure emulator answers on {azure_url} ({error}): start 'python3 dev.py azure'."
        )


def queues_in_storage() -> StorageQueues | None:
    """Return the queues of Azurite, where `AzureWebJobsStorage` names it; None: in this process."""
    connection = os.environ.get("AzureWebJobsStorage", "")
    return StorageQueues(connection) if PATH not in connection else None


def settle_in(azure_url: str, port: int) -> None:
    """Set what Azure would: the ARM endpoint, the managed identity, queues, and that all may be written.

    What the environment says already stands; a real ARM endpoint there means the real Azure.
    """
    os.environ.setdefault("AzureWebJobsStorage", connection_to(port))
    if os.environ.setdefault("AMLFS_ARM_ENDPOINT", azure_url) != azure_url:
        return
    os.environ.setdefault("AMLFS_ALLOWED_SCOPES", "/")
    os.environ.setdefault("AMLFS_OUTCOME_TOPIC_ENDPOINT", f"{azure_url}/topics/outcomes/api/events")
    os.environ["IDENTITY_ENDPOINT"] = f"{azure_url}/msi/token"
    os.environ["IDENTITY_HEADER"] = "local"


def tour(azure_url: str, *, estate: bool | None) -> list[str]:
    """Return how to look at the Azure emulator; `estate` is None where nobody knows what is in it."""
    networks = "subscriptions/00000000-0000-0000-0000-000000000001/providers/Microsoft.Network"
    lines = [
        f"curl -s '{azure_url}/{networks}/networkSecurityGroups?api-version=2024-07-01'",
        f"curl -s {azure_url}/_box/calls      (what was asked of it)",
    ]
    what = "lustre-a is right, lustre-b is broken in three ways, lustre-c has no NSG: examples/"
    if estate is None:
        return lines
    return [*lines, what if estate else "It is empty."]


def say(text: str) -> None:
    """Tell the person at the terminal."""
    print(text, flush=True)


def listen(port: int, flag: str = "--port") -> socket.socket:
    """Take a port of the loopback interface; a taken one ends the program with a clear word."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name != "nt":  # on Windows this option would let two programs share a port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        sys.exit(
            f"Port {port} cannot be used ({error}): end what listens there, or choose another"
            f" with {flag}."
        )
    return listener
