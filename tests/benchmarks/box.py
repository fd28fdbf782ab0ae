"""An Azure emulator in a process of its own; prints its address.

With arguments it is filled first: `COUNT SUBSCRIPTIONS` file systems for the benchmark of the sweep. The
process ends with its input, so that a benchmark that fails leaves none behind.
"""

from __future__ import annotations

import sys

from local.azure.serving import BoxServer
from local.server import listen
from tests.benchmarks.estate import fill

with BoxServer(listen(0)) as server:
    if len(sys.argv) > 2:
        count, subscriptions = int(sys.argv[1]), int(sys.argv[2])
        server.call(lambda box: fill(box, count, subscriptions))
    print(server.url, flush=True)
    sys.stdin.read()
