"""Start the service on this machine; `python3 dev.py run` does so after setting up."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.supervisors import ChangeReload

from local.host import ROOT, load_host

if TYPE_CHECKING:
    from starlette.applications import Starlette

HOST = "127.0.0.1"
KEY_VARIABLE = "LOCAL_FUNCTION_KEY"
"""Carries the key to the process that `--watch` restarts."""


def application() -> Starlette:
    """Load the app; each process that serves calls this once."""
    return load_host(os.environ.get(KEY_VARIABLE)).application()


def main() -> int:
    """Read the command line, listen, and serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=7071)
    parser.add_argument("--watch", action="store_true", help="reload when a file changes")
    parser.add_argument("--function-key", help="ask callers for this key")
    options = parser.parse_args()
    if options.function_key:
        os.environ[KEY_VARIABLE] = options.function_key
    logging.basicConfig(level=logging.INFO, format="[%(asctime)s] %(message)s")
    listener = listen(options.port)
    port = listener.getsockname()[1]
    print(f"Functions on http://{HOST}:{port} (Ctrl+C ends):")
    for line in load_host().describe(f"http://{HOST}:{port}"):
        print(f"    {line}")
    sys.stdout.flush()
    config = uvicorn.Config(
        "local.__main__:application",
        factory=True,
        log_level="warning",
        access_log=False,
        reload=options.watch,
        reload_dirs=[str(ROOT / name) for name in ("shared", "local")] if options.watch else None,
        reload_includes=["function_app.py", "host.json"] if options.watch else None,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    if options.watch:
        ChangeReload(config, target=server.run, sockets=[listener]).run()
    else:
        server.run(sockets=[listener])
    print("Stopped.")
    return 0


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


if __name__ == "__main__":
    sys.exit(main())
