"""An embedded Azure in a process of its own; prints its address."""

from __future__ import annotations

import signal

from local.azure.serving import BoxServer
from local.server import listen

with BoxServer(listen(0)) as server:
    print(server.url, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
