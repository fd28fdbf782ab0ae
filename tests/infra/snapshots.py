"""The infrastructure as Azure would get it: the committed snapshots, read."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

INFRA = Path(__file__).resolve().parents[2] / "infra"
PARAMETERS = sorted(INFRA.rglob("*.bicepparam"))
TEMPLATES = sorted(INFRA.rglob("*.bicep"))

Document = dict[str, Any]


def snapshot_of(parameters: Path) -> Path:
    """Where the compiler puts the snapshot of a parameter file."""
    return parameters.with_name(f"{parameters.stem}.snapshot.json")


def named(name: str) -> Path:
    """The snapshot of an example."""
    return INFRA / f"examples/{name}.snapshot.json"


@cache
def resources(path: Path) -> tuple[Document, ...]:
    """All resources of a snapshot, in the order of deployment."""
    return tuple(json.loads(path.read_text(encoding="utf-8"))["predictedResources"])


def of_type(path: Path, kind: str) -> list[Document]:
    """The resources of a type; there must be some."""
    found = [one for one in resources(path) if one["type"].lower() == kind.lower()]
    assert found, f"no {kind} in {path.name}"
    return found


def actions(word: str, path: Path | None = None) -> list[str]:
    """The actions of the custom role whose name has a word in it."""
    for role in of_type(
        path or named("single-subscription"), "Microsoft.Authorization/roleDefinitions"
    ):
        if word in role["properties"]["roleName"]:
            (permissions,) = role["properties"]["permissions"]
            assert permissions["notActions"] == []
            return list(permissions["actions"])
    raise AssertionError(f"no role is called {word}")


def event_filter() -> Document:
    """What the event subscription lets through."""
    found = of_type(
        named("single-subscription.events"), "Microsoft.EventGrid/systemTopics/eventSubscriptions"
    )
    return dict(found[0]["properties"]["filter"])


def settings_of(path: Path) -> dict[str, str]:
    """The app settings."""
    (found,) = [
        one
        for one in of_type(path, "Microsoft.Web/sites/config")
        if one["name"].endswith("/appsettings")
    ]
    return dict(found["properties"])
