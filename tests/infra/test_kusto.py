"""Every query is right KQL by Microsoft's own parser; every alert says what happened, and once."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

from shared.log_events import PREFIX
from tests import ROOT
from tests.infra.snapshots import named, of_type
from tests.infra.test_snapshots import SERVICES, file

MODULES = ROOT / ".tools/node_modules"
WITHOUT_GUARD = {"poison-message", "unsent-outcomes", "service-tags-old", "no-sweep"}
"""Alerts on the service as a whole."""


def alerts(path=None) -> dict[str, dict]:
    path = path or named("single-subscription")
    app = json.loads(path.read_text(encoding="utf-8"))["outputs"]["AMLFS_FUNCTION_APP"]
    start = app.replace("func-", "alert-", 1) + "-"
    found = of_type(path, "Microsoft.Insights/scheduledQueryRules")
    assert all(one["name"].startswith(start) for one in found)
    return {one["name"].removeprefix(start): one["properties"] for one in found}


def criterion(alert: dict) -> dict:
    (found,) = alert["criteria"]["allOf"]
    return dict(found)


def workbook() -> dict:
    (found,) = of_type(named("single-subscription"), "Microsoft.Insights/workbooks")
    return dict(json.loads(found["properties"]["serializedData"]))


def runbook_queries() -> list[str]:
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```kusto\n(.*?)```", text, re.DOTALL)
    return [query for block in blocks for query in re.split(r"\n(?=\w)", block.strip())]


def queries() -> dict[str, str]:
    found = {f"alert {name}": criterion(alert)["query"] for name, alert in alerts().items()}
    for item in workbook()["items"]:
        if item["type"] == 3:
            found[f"workbook {item['name']}"] = item["content"]["query"]
    return found | {f"runbook {n}": query for n, query in enumerate(runbook_queries())}


def judged(given: list[str]) -> list[list[str]]:
    node = shutil.which("node")
    if node is None or not (MODULES / "@kusto/language-service-next").exists():
        pytest.skip("no Kusto parser: 'python3 dev.py test' installs it where there is npm")
    done = subprocess.run(
        [node, str(ROOT / "tests/infra/kusto.js")],
        input=json.dumps({"folder": str(MODULES), "queries": given}),
        capture_output=True,
        text=True,
        check=True,
    )
    return list(json.loads(done.stdout))


def test_microsofts_parser_finds_nothing_wrong() -> None:
    found = queries()
    assert len(found) > 20
    wrong = zip(found, judged(list(found.values())), strict=True)
    assert {name: said for name, said in wrong if said} == {}


def test_it_would_find_something() -> None:
    query = criterion(alerts()["blocked"])["query"]
    broken = [query.replace("isnotempty(summary)", "isnotempty(sumary)"), f"{query} |"]
    assert all(judged(broken))


@pytest.mark.parametrize("path", SERVICES, ids=file)
def test_each_alert_is_split_by_guard_and_carries_summary_and_runbook(path) -> None:
    for name, alert in alerts(path).items():
        dimensions = [one["name"] for one in criterion(alert).get("dimensions", [])]
        if name not in WITHOUT_GUARD:
            assert dimensions == ["guard", "summary"], name
        assert all(f"{one}" in criterion(alert)["query"] for one in dimensions)
        runbook = alert["actions"]["customProperties"]["runbook"]
        assert runbook.endswith(f"docs/operations.md#{name}")
        assert runbook in alert["description"]


def minutes(duration: str) -> int:
    found = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?", duration)
    assert found is not None
    days, hours, rest = (int(one or 0) for one in found.groups())
    return 24 * 60 * days + 60 * hours + rest


def test_what_arrives_late_sounds_once_and_a_state_ends() -> None:
    frequencies = {1, 5, 10, 15, 30, 45, 60, 120, 180, 240, 300, 360, 1440}
    windows = frequencies | {2880}
    """Source: "Create or edit a log search alert rule", Microsoft Learn."""
    for name, alert in alerts().items():
        frequency, window = minutes(alert["evaluationFrequency"]), minutes(alert["windowSize"])
        assert frequency in frequencies
        assert window in windows
        assert window > frequency, name
        query = criterion(alert)["query"]
        if alert["autoMitigate"]:
            assert "arg_max(timestamp" in query or name == "no-sweep", "the newest line counts"
        else:
            assert f"ingestion_time() > ago({frequency}m)" in query, name


def test_queries_begin_where_the_service_begins_its_lines() -> None:
    for name, query in queries().items():
        if "parse_json" in query:
            assert f'message startswith "{PREFIX}{{"' in query, name
            assert f"substring(message, {len(PREFIX)})" in query, name


def test_the_workbook_shows_what_it_should() -> None:
    book = workbook()
    assert book["version"] == "Notebook/1.0"
    assert book["fallbackResourceIds"] == [
        one["id"] for one in of_type(named("single-subscription"), "Microsoft.Insights/components")
    ]
    shown = {item["name"] for item in book["items"] if item["type"] == 3}
    assert {"verdicts", "restorations", "principals", "arm", "waiting"} <= shown
    names = [item["name"] for item in book["items"]]
    assert len(names) == len(set(names))
