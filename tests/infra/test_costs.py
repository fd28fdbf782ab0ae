"""The cost table of the documents is what the model says, and the model says what one would expect."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra.costs import DAYS, MEMORY_GB, PRICES, SHOWN, Workload, estimate, minutes_of, table
from tests import ROOT
from tests.infra.snapshots import named, of_type


def test_the_documents_show_what_the_script_prints() -> None:
    text = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    shown = text.partition("<!-- costs -->\n")[2].partition("\n<!-- /costs -->")[0]
    assert shown == table(SHOWN)


def test_nothing_to_do_costs_what_is_there_anyhow() -> None:
    month = estimate(Workload(guards=0, events=0, sweeps=0))
    assert month.costs["functions"] == month.costs["logs"] == month.costs["events"] == 0
    assert month.costs["alerts"] > 5
    assert month.executions == 0


@pytest.mark.parametrize("what", ["guards", "events", "sweeps", "subscriptions", "in_trouble"])
def test_more_work_never_costs_less(what) -> None:
    less = Workload(guards=2_000, events=2_000)
    more = replace(less, **{what: 4 * getattr(less, what)})
    for kind, cost in estimate(less).costs.items():
        assert estimate(more).costs[kind] >= cost, kind
    assert estimate(more).total > estimate(less).total


def test_an_instance_that_is_always_ready_costs_its_baseline() -> None:
    work = Workload()
    more = estimate(replace(work, always_ready=True)).total - estimate(work).total
    assert more == pytest.approx(MEMORY_GB * DAYS * 86_400 * PRICES["always ready GB-second"])
    text = (ROOT / "infra/types.bicep").read_text(encoding="utf-8")
    assert f"for about {more:.0f} $ a month" in text


def test_the_model_knows_what_is_deployed() -> None:
    (app,) = of_type(named("single-subscription"), "Microsoft.Web/sites")
    scale = app["properties"]["functionAppConfig"]["scaleAndConcurrency"]
    assert scale["instanceMemoryMB"] == 1024 * MEMORY_GB
    alerts = of_type(named("single-subscription"), "Microsoft.Insights/scheduledQueryRules")
    assert all(minutes_of(one["properties"]["evaluationFrequency"]) >= 5 for one in alerts)
    text = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    assert len(alerts) == 10
    assert "ten log alerts" in text
