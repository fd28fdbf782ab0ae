"""Listening and serving; apart from the program, so that `--watch` can start it anew."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys

import uvicorn

from local.host import load_host

HOST = "127.0.0.1"


def serve(port: int, function_key: str | None) -> None:
    """Load the app, listen, say where the functions are, and serve until interrupted."""
    logging.basicConfig(level=logging.INFO, format="[%(asctime)s] %(message)s")
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    listener = listen(port)
    address = f"http://{HOST}:{listener.getsockname()[1]}"
    host = load_host(function_key)
    say(f"Functions on {address} (Ctrl+C ends):")
    for line in host.describe(address):
        say(f"    {line}")
    config = uvicorn.Config(
        host.application(), log_level="warning", access_log=False, timeout_graceful_shutdown=5
    )
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again after its clean end
        uvicorn.Server(config).run(sockets=[listener])


def say(text: str) -> None:
    """Tell the person at the terminal."""
    print(text, flush=True)


def listen(port: int) -> socket.socket:
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
            " with --port."
        )
    return listener
