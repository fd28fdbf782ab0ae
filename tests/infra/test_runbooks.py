"""Who is woken by an alert, or reads an outcome, finds in docs/operations.md what to do."""

from __future__ import annotations

import re

import pytest

from shared.guards.outcome import OutcomeType
from tests import ROOT
from tests.infra.snapshots import resources
from tests.infra.test_snapshots import SNAPSHOTS

OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
HEADINGS = {
    line.lstrip("# ").lower().replace(" ", "-")
    for line in OPERATIONS.splitlines()
    if line.startswith("#")
}
ALERTS = {
    alert: int(severity)
    for row in re.findall(r"^\| (.+?) \| (\d) \|", OPERATIONS, re.MULTILINE)
    for alert in re.findall(r"`([\w-]+)`", row[0])
    for severity in row[1]
}
KINDS = ("microsoft.insights/scheduledqueryrules", "microsoft.insights/metricalerts")


def deployed_alerts():
    """Name and severity of every alert in every snapshot."""
    for path in SNAPSHOTS:
        for resource in resources(path):
            if resource["type"].lower() in KINDS:
                yield resource["name"], resource["properties"]["severity"]


def test_every_deployed_alert_has_a_row_with_its_severity_and_every_row_is_deployed():
    rows = set()
    for name, severity in deployed_alerts():
        (row,) = [row for row in ALERTS if name.endswith(f"-{row}")]
        assert ALERTS[row] == severity, name
        rows.add(row)
    assert rows == {*ALERTS}


def test_every_link_leads_to_a_heading():
    links = re.findall(r"\]\(#([\w-]+)\)", OPERATIONS)
    assert links
    assert [link for link in links if link not in HEADINGS] == []


@pytest.mark.parametrize("outcome", [kind.value for kind in OutcomeType])
def test_every_outcome_has_a_row(outcome):
    assert f"\n| `{outcome}` | " in OPERATIONS
