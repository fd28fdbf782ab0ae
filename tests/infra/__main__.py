"""Renews the committed snapshots: `python3 dev.py snapshots`."""

from __future__ import annotations

import sys

from tests import bicep
from tests.infra.snapshots import INFRA, PARAMETERS

compiler = bicep.find() or sys.exit(
    "There is no Bicep compiler: install one, or put it on the PATH."
)
for path in PARAMETERS:
    done = bicep.snapshot(compiler, path, "overwrite")
    print(path.relative_to(INFRA), done.stderr.strip() or "written")
    if done.returncode:
        sys.exit(done.returncode)
