"""The forms in which generated rules are handed over, by the names of the contract."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.planning.renderings.arm import render_arm
from shared.planning.renderings.bicep import render_bicep
from shared.planning.renderings.tables import render_csv, render_markdown

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.planning.generation import GeneratedRules


@dataclass(frozen=True, slots=True)
class Form:
    """One form.

    Attributes:
        media_type: what the answer's Content-Type says, and an Accept header asks for.
        render: writes the form.
    """

    media_type: str
    render: Callable[[GeneratedRules], str]


def render_json(generated: GeneratedRules) -> str:
    """Write the contract's answer."""
    return json.dumps(
        {
            "catalogue": generated.catalogue,
            "location": generated.intent.location.name,
            "securityRules": [rule.to_arm() for rule in generated.rules],
            "notices": [notice.to_json() for notice in generated.notices],
        },
        indent=2,
        ensure_ascii=False,
    )


FORMS = {
    "json": Form("application/json", render_json),
    "arm": Form("application/vnd.microsoft.arm-template+json", render_arm),
    "bicep": Form("text/x-bicep", render_bicep),
    "csv": Form("text/csv", render_csv),
    "markdown": Form("text/markdown", render_markdown),
}

LATER_FORMS = ("terraform", "azcli")
"""Forms that the contract lists and this version does not write yet."""
