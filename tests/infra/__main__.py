"""Renews the committed snapshots: `python3 dev.py snapshots`."""

from __future__ import annotations

import sys

from tests.conftest import find_bicep
from tests.infra.snapshots import INFRA, PARAMETERS
from tests.infra.test_compiler import CONTEXT, run

compiler = find_bicep()
if compiler is None:
    sys.exit("There is no Bicep compiler: install one, or put it on the PATH.")
for path in PARAMETERS:
    context = [word for pair in CONTEXT.items() for word in pair]
    done = run(compiler, "snapshot", str(path), "--mode", "overwrite", *context)
    print(path.relative_to(INFRA), done.stderr.strip() or "written")
    if done.returncode:
        sys.exit(done.returncode)
