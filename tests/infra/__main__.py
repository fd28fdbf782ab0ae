"""Renews the committed snapshots: `python3 dev.py snapshots`."""

from __future__ import annotations

import json
import sys

from tests import bicep
from tests.infra.snapshots import INFRA, PARAMETERS, snapshot_of

compiler = bicep.find() or sys.exit(
    "There is no Bicep compiler: install one, or put it on the PATH."
)
for path in PARAMETERS:
    done = bicep.snapshot(compiler, path, "overwrite")
    print(path.relative_to(INFRA), done.stderr.strip() or "written")
    if done.returncode:
        sys.exit(done.returncode)
    # the compiler writes outputs in another order each time, and takes them in any
    written = json.loads(snapshot_of(path).read_text(encoding="utf-8"))
    written["outputs"] = dict(sorted(written["outputs"].items()))
    text = json.dumps(written, indent=2, ensure_ascii=False)
    snapshot_of(path).write_text(text, encoding="utf-8")
