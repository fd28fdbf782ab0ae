"""The box answers as live ARM did in recordings."""

from __future__ import annotations

import httpx

from local.azure.serving import BoxServer
from local.server import listen
from tests.local.replay import Replay, Report, recordings

BY_ETAG = (
    "azure-libraries-for-net/Tests__Fluent.Tests__Fluent.Tests.PrivateDns"
    ".VirtualNetworkLink__CanUpdateWithExplicitETag.json"
)
FIREWALL = "azure-cli-2025/network__latest__test_nw_flow_log_update_vnetfl.json"
JOBS = "azure-cli-ext-2025/amlfs__azext_amlfs__latest__test_auto_{}_job_crud.json"
EXCEPTIONS = {
    (
        "aso-2024/v2__internal__controllers__Test_MachineLearning_Workspaces_20240401_CRUD.json",
        179,
    ): "live ARM named the group where it mostly names the NSG: a race with the group's deletion",
    (FIREWALL, 10): "written by hand: the URI says subnet, the body is a virtual network",
    (FIREWALL, 12): "written by hand: the URI says subnet, the body is a virtual network",
    (JOBS.format("export"), 65): "how far a job is after some minutes",
    (JOBS.format("import"), 68): "how far a job is after some minutes",
    (BY_ETAG, 3): "recorded out of order, within one second",
}
LEAST = 0.985


def test_the_box_answers_as_recorded() -> None:
    report = Report()
    with BoxServer(listen(0)) as server, httpx.Client(base_url=server.url) as client:
        for name, recording in recordings().items():
            Replay(server, client, report, name).run(recording["interactions"])
    print(report.text())
    assert report.compared > 1500
    assert {(file, index) for file, index, _ in report.wrong} <= EXCEPTIONS.keys(), report.text()
    assert sum(report.matched.values()) >= LEAST * report.compared
