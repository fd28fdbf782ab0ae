"""Listening and serving; apart from the program, so that `--watch` can start it anew."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from dataclasses import dataclass

import uvicorn

from local.azure.filters import Subscription
from local.azure.sample import fill
from local.azure.serving import BoxServer
from local.host import ROOT, load_host

HOST = "127.0.0.1"
CERTIFICATE = ROOT / ".tools/embedded-azure.pem"
"""Who issued the certificate of the embedded Azure; new at every start."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to serve.

    Attributes:
        port: of the functions.
        arm_port: of the embedded Azure.
        estate: whether the embedded Azure begins with a small estate, or empty.
        arm_https_port: of the embedded Azure over https, as az demands; None: it is not served.
        function_key: what callers must bring; None asks nobody for a key.
    """

    port: int = 7071
    arm_port: int = 7072
    estate: bool = True
    arm_https_port: int | None = None
    function_key: str | None = None


def serve(options: Options) -> None:
    """Start the embedded Azure, load the app, listen, and serve until interrupted."""
    logging.basicConfig(level=logging.INFO, format="[%(asctime)s] %(message)s")
    for name in ("watchfiles", "azure", "azure.core.pipeline.policies.http_logging_policy"):
        logging.getLogger(name).setLevel(logging.WARNING)
    listener, arm_listener = listen(options.port, "--port"), listen(options.arm_port, "--arm-port")
    address = f"http://{HOST}:{listener.getsockname()[1]}"
    https = None
    if options.arm_https_port is not None:
        https = listen(options.arm_https_port, "--arm-https-port"), CERTIFICATE
    with BoxServer(arm_listener, https) as azure:
        if options.estate:
            azure.call(fill)
        settle_in(azure.url)
        webhook = f"{address}/runtime/webhooks/EventGrid?functionName=on_network_change"
        if options.function_key:
            webhook += f"&code={options.function_key}"
        azure.call(lambda box: box.events.subscribe(Subscription(endpoint=webhook)))
        host = load_host(options.function_key)
        say(f"Functions on {address} (Ctrl+C ends):")
        for line in host.describe(address):
            say(f"    {line}")
        say(f"The embedded Azure on {azure.url}, with no need for a token:")
        for line in tour(azure.url, estate=options.estate):
            say(f"    {line}")
        if options.arm_https_port is not None:
            say(f"    over https for az on {options.arm_https_port}, certificate {CERTIFICATE}")
        config = uvicorn.Config(
            host.application(), log_level="warning", access_log=False, timeout_graceful_shutdown=5
        )
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again after its clean end
            uvicorn.Server(config).run(sockets=[listener])


def settle_in(azure_url: str) -> None:
    """Set what Azure would: the ARM endpoint, the managed identity, and that all may be written.

    What the environment says already stands; a real ARM endpoint there means the real Azure.
    """
    if os.environ.setdefault("AMLFS_ARM_ENDPOINT", azure_url) != azure_url:
        return
    os.environ.setdefault("AMLFS_ALLOWED_SCOPES", "/")
    os.environ.setdefault("AMLFS_OUTCOME_TOPIC_ENDPOINT", f"{azure_url}/topics/outcomes/api/events")
    os.environ["IDENTITY_ENDPOINT"] = f"{azure_url}/msi/token"
    os.environ["IDENTITY_HEADER"] = "local"


def tour(azure_url: str, *, estate: bool) -> list[str]:
    """Return how to look at the embedded Azure."""
    networks = "subscriptions/00000000-0000-0000-0000-000000000001/providers/Microsoft.Network"
    lines = [
        f"curl -s '{azure_url}/{networks}/networkSecurityGroups?api-version=2024-07-01'",
        f"curl -s {azure_url}/_box/calls      (what was asked of it)",
    ]
    what = "lustre-a is right, lustre-b is broken in three ways, lustre-c has no NSG: examples/"
    return [*lines, what] if estate else [*lines, "It is empty."]


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
