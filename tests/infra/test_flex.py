"""What Flex Consumption refuses, or silently ignores, is not in the deployment.

Sources: "Azure Functions app settings reference: Flex Consumption plan deprecations" and
"host.json reference", Microsoft Learn; azure-cli issue 31414; azure-pipelines-tasks issue 21032;
azure-functions-host issue 11790.
"""

from __future__ import annotations

import json
import re

import pytest

from tests import ROOT
from tests.infra.snapshots import of_type, settings_of
from tests.infra.test_snapshots import SERVICES, file

REFUSED_IN_SITE_CONFIG = {
    "alwaysOn",
    "appServicePlanId",
    "containerSize",
    "elasticWebAppScaleLimit",
    "ftpsState",
    "functionAppScaleLimit",
    "functionsRuntimeScaleMonitoringEnabled",
    "isReserved",
    "isXenon",
    "javaVersion",
    "linuxFxVersion",
    "minimumElasticInstanceCount",
    "netFrameworkVersion",
    "nodeVersion",
    "numberOfWorkers",
    "powerShellVersion",
    "preWarmedInstanceCount",
    "pythonVersion",
    "use32BitWorkerProcess",
    "windowsFxVersion",
}
REFUSED_SETTINGS = {
    "ENABLE_ORYX_BUILD",
    "FUNCTIONS_EXTENSION_VERSION",
    "FUNCTIONS_MAX_HTTP_CONCURRENCY",
    "FUNCTIONS_WORKER_DYNAMIC_CONCURRENCY_ENABLED",
    "FUNCTIONS_WORKER_PROCESS_COUNT",
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_WORKER_RUNTIME_VERSION",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
    "WEBSITE_CONTENTOVERVNET",
    "WEBSITE_CONTENTSHARE",
    "WEBSITE_DNS_SERVER",
    "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT",
    "WEBSITE_NODE_DEFAULT_VERSION",
    "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE_SKIP_CONTENTSHARE_VALIDATION",
    "WEBSITE_VNET_ROUTE_ALL",
}
IGNORED_IN_HOST_JSON = {
    "extensions.http.dynamicThrottlesEnabled",
    "extensions.http.maxConcurrentRequests",
    "extensions.http.maxOutstandingRequests",
    "concurrency.dynamicConcurrencyEnabled",
    "healthMonitor",
}


def lower(names) -> set[str]:
    return {name.lower() for name in names}


def paths_in(document, before: str = ""):
    for name, value in document.items():
        yield before + name
        if isinstance(value, dict):
            yield from paths_in(value, f"{before}{name}.")


@pytest.mark.parametrize("path", SERVICES, ids=file)
def test_arm_refuses_nothing_of_the_site(path) -> None:
    (app,) = of_type(path, "Microsoft.Web/sites")
    config = app["properties"]["siteConfig"]
    assert lower(config) & lower(REFUSED_IN_SITE_CONFIG) == set()
    assert lower(app["properties"]) & lower(REFUSED_IN_SITE_CONFIG) == set()
    assert "appSettings" not in config, "they are a resource of their own"
    configs = [c for c in of_type(path, "Microsoft.Web/sites/config") if c["name"].endswith("/web")]
    assert configs == []
    assert lower(settings_of(path)) & lower(REFUSED_SETTINGS) == set()


def test_host_json_has_nothing_that_the_plan_ignores() -> None:
    document = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))
    assert set(paths_in(document)) & IGNORED_IN_HOST_JSON == set()


@pytest.mark.parametrize("path", SERVICES, ids=file)
def test_an_instance_handles_several_requests_at_once(path) -> None:
    """Without the setting a Python app on this plan handles one at a time."""
    (app,) = of_type(path, "Microsoft.Web/sites")
    scale = app["properties"]["functionAppConfig"]["scaleAndConcurrency"]
    assert scale["triggers"] == {"http": {"perInstanceConcurrency": 16}}


def test_an_instance_for_events_can_be_kept_ready() -> None:
    ready = {}
    for path in SERVICES:
        (app,) = of_type(path, "Microsoft.Web/sites")
        scale = app["properties"]["functionAppConfig"]["scaleAndConcurrency"]
        ready[file(path)] = scale["alwaysReady"]
    wanted = [{"name": "function:on_network_change", "instanceCount": 1}]
    assert ready["several-subscriptions"] == wanted
    assert ready["single-subscription"] == []


def test_azd_and_the_editor_build_nothing_in_azure() -> None:
    azd = (ROOT / "azure.yaml").read_text(encoding="utf-8")
    assert re.search(r"^    remoteBuild: false\b", azd, re.MULTILINE)
    required = re.search(r"^requiredVersions:\n  azd: '>= (\d+)\.(\d+)\.(\d+)'", azd, re.MULTILINE)
    assert required is not None
    assert tuple(map(int, required.groups())) >= (1, 23, 5), "older ones do not know remoteBuild"
    editor = json.loads((ROOT / ".vscode/settings.json").read_text(encoding="utf-8"))
    assert editor["azureFunctions.scmDoBuildDuringDeployment"] is False
