"""Metrics of guards, through OpenTelemetry: sent where a deployment wants them, free where it does not.

They go to the meter provider that the process has (the Functions worker sets one up for Application
Insights), else by OTLP over HTTP to where `OTEL_EXPORTER_OTLP_ENDPOINT` says, else nowhere.

| metric | unit | attributes |
| --- | --- | --- |
| `amlfs.guard.reconciles` | {reconcile} | `cause`, `verdict` (as found), `applied` |
| `amlfs.guard.reconcile.duration` | s | `cause` |
| `amlfs.guard.arm.calls` | {call} | `cause` |
| `amlfs.guard.outcomes` | {outcome} | `type` |

Names of guards are no attributes: there may be thousands. The log has them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from opentelemetry import metrics

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram

    from shared.guards.observation import Cause

ENDPOINTS = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


@dataclass(frozen=True, slots=True)
class Instruments:
    """What is counted and measured."""

    reconciles: Counter
    duration: Histogram
    arm_calls: Counter
    outcomes: Counter


@cache
def instruments() -> Instruments:
    """Return the instruments, made on first use."""
    if any(os.environ.get(name) for name in ENDPOINTS):
        send_by_otlp()
    meter = metrics.get_meter("amlfs-network-guard")
    return Instruments(
        meter.create_counter("amlfs.guard.reconciles", "{reconcile}", "Looks at a guard."),
        meter.create_histogram("amlfs.guard.reconcile.duration", "s", "How long a look took."),
        meter.create_counter("amlfs.guard.arm.calls", "{call}", "Calls to ARM."),
        meter.create_counter("amlfs.guard.outcomes", "{outcome}", "Outcomes published."),
    )


def send_by_otlp() -> None:
    """Have metrics sent as the standard `OTEL_…` variables say; a provider that is there stays."""
    # the SDK is imported where it is used: a cold start without metrics does not pay for it
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415
        OTLPMetricExporter,
    )
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415

    if not isinstance(metrics.get_meter_provider(), MeterProvider):
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        metrics.set_meter_provider(MeterProvider([reader]))


def count_reconcile(
    cause: Cause, verdict: str | None, seconds: float, calls: int, *, applied: bool = False
) -> None:
    """Count a look at a guard; without a verdict, as it was found, it did not succeed."""
    found = instruments()
    by_cause = {"cause": cause.kind}
    found.reconciles.add(1, {**by_cause, "verdict": verdict or "failed", "applied": applied})
    found.duration.record(seconds, by_cause)
    found.arm_calls.add(calls, by_cause)


def count_outcome(kind: str) -> None:
    """Count an outcome by its type."""
    instruments().outcomes.add(1, {"type": kind})
