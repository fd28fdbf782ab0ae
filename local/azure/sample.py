"""A small estate to try things on.

One virtual network in East US with two file systems and room for a third:

- `lustre-a`: its NSG honours the article;
- `lustre-b`: its NSG is broken in three ways: two rows are missing, a deny rule of somebody else stands
  in the way of one of them, and somebody's SSH rule lets everybody in;
- `lustre-c`: a subnet without a file system and without an NSG.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from local.azure.operations import Caller
from local.azure.paths import read_resource_id

if TYPE_CHECKING:
    from local.azure.server import Box

ESTATE = Path(__file__).with_name("sample.json")
API = "2024-07-01"


def fill(box: Box) -> None:
    """Put the estate into a box."""
    for one in json.loads(ESTATE.read_bytes()):
        target = read_resource_id(one["id"])
        if target is None:
            raise ValueError(one["id"])
        caller = Caller("", "sample", "", API)
        answer = box.routes.arm.put(target, one["body"], {}, caller)
        if answer.operation is not None:
            box.estate.finish(answer.operation)
    box.events.raised.clear()
