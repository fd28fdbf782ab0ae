"""Callers bring a key to every function but health, unless the platform has them sign in instead."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from tests import ROOT
from tests.infra.snapshots import named, settings_of

SCRIPT = """
import json, function_app
levels = {}
for one in function_app.app.get_functions():
    trigger = one.get_trigger()
    if trigger.get_binding_name() == "httpTrigger":
        levels[one.get_function_name()] = trigger.auth_level.name
print(json.dumps(levels))
"""


def levels_with(**environment: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AMLFS_", "WEBSITE_"))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WEBSITE_AUTH_ENABLED": "True"},
        {"AMLFS_SIGN_IN_INSTEAD_OF_KEYS": "true"},
        {"AMLFS_SIGN_IN_INSTEAD_OF_KEYS": "true", "WEBSITE_AUTH_ENABLED": "False"},
    ],
    ids=["nothing is set", "sign-in besides keys", "sign-in is off", "sign-in was turned off"],
)
def test_a_key_is_asked_for(environment) -> None:
    levels = levels_with(**environment)
    assert levels.pop("health") == "ANONYMOUS"
    assert set(levels.values()) == {"FUNCTION"}
    assert len(levels) > 10


def test_sign_in_takes_the_place_of_keys_where_both_sides_say_so() -> None:
    wanted = {"AMLFS_SIGN_IN_INSTEAD_OF_KEYS": "true", "WEBSITE_AUTH_ENABLED": "True"}
    assert set(levels_with(**wanted).values()) == {"ANONYMOUS"}


def test_the_deployment_asks_for_it_only_with_sign_in() -> None:
    name = "AMLFS_SIGN_IN_INSTEAD_OF_KEYS"
    assert settings_of(named("several-subscriptions"))[name].lower() == "true"
    assert settings_of(named("single-subscription"))[name].lower() == "false"


def test_the_page_on_access_has_every_http_function() -> None:
    text = (ROOT / "docs/access.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `([A-Z]+) (/\S+)` \| ([^|]+) \|", text, re.MULTILINE)
    authentication = {name: brings.strip() for name, _, _, brings in rows}
    levels = levels_with()
    assert set(authentication) == set(levels)
    for name, level in levels.items():
        assert (authentication[name] == "nobody needs one") == (level == "ANONYMOUS"), name
