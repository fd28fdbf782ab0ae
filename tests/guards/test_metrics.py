"""Metrics arrive where the deployment wants them, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from tests import ROOT

COUNTING = """
import sys
from shared.guards.observation import Cause
from shared.guards.metrics import count_outcome, count_reconcile

count_reconcile(Cause("event"), "noncompliant", 0.25, 6, applied=True)
count_reconcile(Cause("sweep"), None, 1.0, 2)
count_outcome("restored")
assert ("opentelemetry.sdk.metrics" in sys.modules) == (sys.argv[1] == "sent")
"""


@pytest.fixture
def collector():
    """Something that takes metrics by OTLP over HTTP; yields its address and what it took."""
    taken: list[tuple[str, bytes]] = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Take)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", taken
    server.shutdown()
    thread.join()
    server.server_close()


def count(expected: str, **settings: str) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    subprocess.run(
        [sys.executable, "-c", COUNTING, expected],
        cwd=ROOT,
        env={**environment, **settings},
        check=True,
        timeout=60,
    )


def points(body: bytes) -> dict[str, list[tuple[dict[str, object], float]]]:
    """What was sent, by metric: attributes, and the number or the sum."""
    request = ExportMetricsServiceRequest.FromString(body)
    found: dict[str, list[tuple[dict[str, object], float]]] = {}
    for metric in request.resource_metrics[0].scope_metrics[0].metrics:
        data = metric.sum.data_points or metric.histogram.data_points
        for point in data:
            number = point.as_int if metric.HasField("sum") else point.sum
            attributes = {
                one.key: one.value.bool_value or one.value.string_value for one in point.attributes
            }
            found.setdefault(metric.name, []).append((attributes, number))
    return found


def test_metrics_are_sent_to_the_collector_of_the_deployment(collector) -> None:
    address, taken = collector
    count("sent", OTEL_EXPORTER_OTLP_ENDPOINT=address)
    path, body = taken[-1]
    assert path == "/v1/metrics"
    found = points(body)
    restored = {"cause": "event", "verdict": "noncompliant", "applied": True}
    assert (restored, 1) in found["amlfs.guard.reconciles"]
    assert [one["verdict"] for one, _ in found["amlfs.guard.reconciles"]] == [
        "noncompliant",
        "failed",
    ]
    assert found["amlfs.guard.reconcile.duration"] == [
        ({"cause": "event"}, 0.25),
        ({"cause": "sweep"}, 1.0),
    ]
    assert found["amlfs.guard.arm.calls"] == [({"cause": "event"}, 6), ({"cause": "sweep"}, 2)]
    assert found["amlfs.guard.outcomes"] == [({"type": "restored"}, 1)]


def test_without_a_collector_nothing_is_sent_nor_even_loaded(collector) -> None:
    _, taken = collector
    count("kept")
    assert taken == []
