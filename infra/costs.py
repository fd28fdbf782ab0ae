"""What a deployment costs a month: a small model, printed as the table of docs/deploy.md.

    python3 -m infra.costs                          the table
    python3 -m infra.costs --guards 500 --events 2000    one deployment of yours

Prices are Microsoft's list prices in US dollars for East US, by the pages that `PRICES` names, as of
2026; they change, and other regions differ: the pricing calculator has the last word. What a guard, an
event and a sweep take is measured (docs/guards.md) or assumed; each figure says which. The alerts are
counted in the committed snapshot of the deployment.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path

SNAPSHOT = Path(__file__).with_name("examples") / "single-subscription.snapshot.json"
EVENTS_SNAPSHOT = SNAPSHOT.with_name("single-subscription.events.snapshot.json")
DAYS = 30
MEMORY_GB = 2.0
"""Of an instance: `instanceMemoryMB`."""

PRICES: dict[str, float] = {
    # "Azure Functions pricing", Flex Consumption
    "GB-second": 0.000026,
    "free GB-seconds": 100_000,
    "million executions": 0.40,
    "free executions": 250_000,
    "always ready GB-second": 0.000004,
    # "Azure Monitor pricing"
    "GB of logs": 2.30,
    "free GB of logs": 5.0,
    "metric alert": 0.10,
    # "Azure Storage queues pricing"; tables cost a tenth
    "10,000 queue operations": 0.004,
    # "Event Grid pricing"
    "million event operations": 0.60,
    "free event operations": 100_000,
    # "Azure Private Link pricing"
    "private endpoint": 7.30,
}
LOG_ALERT = {1: 3.00, 5: 1.50, 10: 1.00, 15: 0.50}
FURTHER_SERIES = {1: 0.30, 5: 0.15, 10: 0.10, 15: 0.05}
"""A log alert, and each further series that it is split into, by the minutes between evaluations."""


@dataclass(frozen=True)
class Workload:
    """What a deployment has to do.

    Attributes:
        guards: how many.
        events: a day, that concern them.
        sweeps: a day; one every 15 minutes is 96.
        subscriptions: in which the guards are.
        in_trouble: guards for which an alert sounds at the same time.
        always_ready: whether an instance for events is kept ready.
        private: whether the storage has private endpoints.
    """

    guards: int = 100
    events: int = 300
    sweeps: int = 96
    subscriptions: int = 1
    in_trouble: int = 1
    always_ready: bool = False
    private: bool = False


@dataclass(frozen=True)
class Usage:
    """What an execution takes, in seconds and kilobytes."""

    event_seconds: float = 2.0
    """Assumed: four calls to ARM, one of them a write now and then."""

    looks_per_event: float = 1.0
    """A second look at most for each event."""

    timer_seconds: float = 2.0
    part_seconds: float = 3.0
    """Assumed: the lists of a subscription."""

    guard_seconds: float = 0.006
    """Measured: 55.5 s for 10,000 guards on one core (docs/guards.md)."""

    log_kilobytes: float = 6.0
    """Assumed, for one execution: its request, the host's own lines, and ours, which are under 1 KB."""

    queues: int = 5
    polls_per_second: float = 0.5
    """Of each queue while an instance is up: `maxPollingInterval` in host.json."""

    seconds_up: float = 60.0
    """Assumed: an instance stays for so long after its last execution."""

    audit_kilobytes: float = 1.2
    """Assumed, for one operation in the storage's audit log."""


@dataclass
class Month:
    """The executions of a month, and what each kind of resource costs."""

    executions: float = 0.0
    gb_seconds: float = 0.0
    costs: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """All of it, in US dollars."""
        return sum(self.costs.values())


def estimate(work: Workload, usage: Usage | None = None) -> Month:
    """Return what a month of a workload costs."""
    usage, price, month = usage or Usage(), PRICES, Month()
    events, sweeps = work.events * DAYS, work.sweeps * DAYS
    looks = events * usage.looks_per_event
    parts = sweeps * work.subscriptions
    month.executions = events + looks + sweeps + parts
    seconds = (events + looks) * usage.event_seconds + sweeps * usage.timer_seconds
    seconds += parts * usage.part_seconds + sweeps * work.guards * usage.guard_seconds
    month.gb_seconds = seconds * MEMORY_GB
    functions = above(month.gb_seconds, price["free GB-seconds"]) * price["GB-second"]
    functions += (
        above(month.executions, price["free executions"]) / 1e6 * price["million executions"]
    )
    if work.always_ready:
        functions += MEMORY_GB * DAYS * 86_400 * price["always ready GB-second"]
    month.costs["functions"] = functions
    seconds_up = min(DAYS * 86_400.0, (sweeps + work.events * DAYS) * usage.seconds_up)
    polls = usage.queues * usage.polls_per_second * seconds_up
    operations = polls + 6 * month.executions
    month.costs["storage"] = 1.0 + operations / 10_000 * price["10,000 queue operations"]
    logs = (month.executions * usage.log_kilobytes + operations * usage.audit_kilobytes) / 1e6
    month.costs["logs"] = above(logs, price["free GB of logs"]) * price["GB of logs"]
    month.costs["alerts"] = alert_costs(work)
    operations = 2 * events + looks
    free = price["free event operations"]
    month.costs["events"] = above(operations, free) / 1e6 * price["million event operations"]
    month.costs["private endpoints"] = 3 * price["private endpoint"] * work.private
    return month


def alert_costs(work: Workload) -> float:
    """Return what the deployed alerts cost; a rule that is split costs more for each that sounds."""
    found = 0.0
    for path in (SNAPSHOT, EVENTS_SNAPSHOT):
        for one in json.loads(path.read_text(encoding="utf-8"))["predictedResources"]:
            kind = one["type"].lower()
            if kind == "microsoft.insights/metricalerts":
                found += PRICES["metric alert"]
            if kind == "microsoft.insights/scheduledqueryrules":
                minutes = minutes_of(one["properties"]["evaluationFrequency"])
                found += by_minutes(LOG_ALERT, minutes)
                (criterion,) = one["properties"]["criteria"]["allOf"]
                more = max(0, work.in_trouble - 1) if criterion.get("dimensions") else 0
                found += more * by_minutes(FURTHER_SERIES, minutes)
    return found


def by_minutes(steps: dict[int, float], minutes: int) -> float:
    """Return a price that depends on how often an alert is evaluated."""
    return steps[max(step for step in steps if step <= minutes)]


def minutes_of(duration: str) -> int:
    """Return a duration such as PT5M or PT6H in minutes."""
    number, unit = int(duration[2:-1]), duration[-1]
    return number * {"M": 1, "H": 60}[unit]


def above(amount: float, free: float) -> float:
    """Return what is not free."""
    return max(0.0, amount - free)


SHOWN = {
    "10 guards, 50 events a day": Workload(10, 50),
    "100 guards, 300 events a day": Workload(100, 300),
    "the same, always ready": Workload(100, 300, always_ready=True),
    "the same, private": Workload(100, 300, private=True),
    "2,000 guards in 20 subscriptions, 5,000 events a day": Workload(
        2_000, 5_000, subscriptions=20, in_trouble=10
    ),
}


def table(workloads: dict[str, Workload]) -> str:
    """Return the table of workloads in Markdown."""
    months = {name: estimate(work) for name, work in workloads.items()}
    kinds = list(next(iter(months.values())).costs)
    rows = [["a month", *kinds, "in all", "GB-seconds", "executions"]]
    rows.append(["---"] * len(rows[0]))
    for name, month in months.items():
        dollars = [f"{month.costs[kind]:.2f}" for kind in kinds]
        used = [f"{month.gb_seconds:,.0f}", f"{month.executions:,.0f}"]
        rows.append([name, *dollars, f"**{month.total:.2f} $**", *used])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    """Print the table of the documents, or of one workload."""
    parser = argparse.ArgumentParser(description="What a deployment costs a month.")
    parser.add_argument("--guards", type=int)
    parser.add_argument("--events", type=int, default=300, help="a day")
    parser.add_argument("--sweeps", type=int, default=96, help="a day")
    parser.add_argument("--subscriptions", type=int, default=1)
    parser.add_argument(
        "--in-trouble", type=int, default=1, help="guards for which an alert sounds"
    )
    parser.add_argument("--always-ready", action="store_true")
    parser.add_argument("--private", action="store_true")
    given = parser.parse_args()
    if given.guards is None:
        print(table(SHOWN))
        return
    work = Workload(**vars(given))
    print(table({f"{work.guards:,} guards, {work.events:,} events a day": work}))


if __name__ == "__main__":
    main()
