"""Start the service on this machine; `python3 dev.py run` does so after setting up."""

from __future__ import annotations

import argparse
import sys

import watchfiles

from local.host import ROOT
from local.server import Options, listen, say, serve, serve_azure

WATCHED = ("function_app.py", "host.json", "shared", "local")


def positive(text: str) -> int:
    """Read a number from 1."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def main() -> int:
    """Read the command line and serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=7071)
    parser.add_argument("--arm-port", type=int, default=7072)
    parser.add_argument("--arm-https-port", type=int)
    parser.add_argument("--no-estate", action="store_true")
    parser.add_argument("--watch", action="store_true", help="reload when a file changes")
    parser.add_argument("--function-key", help="ask callers for this key")
    parser.add_argument("--azure", metavar="URL", help="use an Azure emulator that runs already")
    parser.add_argument("--azure-only", action="store_true", help="the Azure emulator alone")
    parser.add_argument("--isolated", action="store_true", help="functions in worker processes")
    parser.add_argument("--instances", type=positive, default=2, help="of each, where isolated")
    given = parser.parse_args()
    options = Options(
        port=given.port,
        arm_port=given.arm_port,
        estate=not given.no_estate,
        arm_https_port=given.arm_https_port,
        function_key=given.function_key,
        azure=given.azure,
        instances=given.instances if given.isolated else None,
    )
    if given.azure_only:
        serve_azure(options)
    elif given.watch:
        listen(options.port).close()  # a taken port ends us here, before the first reload
        watchfiles.run_process(
            *(ROOT / name for name in WATCHED),
            target=serve,
            args=(options,),
            callback=lambda changes: say(f"Reloading: {min(path for _, path in changes)}"),
        )
    else:
        serve(options)
    say("Stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
