"""Each cloud has its own api-versions and audience, and every call keeps to them."""

from __future__ import annotations

import pytest

from shared.nsg.api_versions import API_VERSIONS
from shared.nsg.locations import Cloud
from tests.azure import INTENT, NSG, VNET

pytestmark = pytest.mark.in_process

PLACES = {
    Cloud.PUBLIC: "eastus",
    Cloud.GOVERNMENT: "usgovvirginia",
    Cloud.CHINA: "chinanorth3",
}
AUDIENCES = {
    Cloud.PUBLIC: "https://eventgrid.azure.net",
    Cloud.GOVERNMENT: "https://eventgrid.azure.us",
    Cloud.CHINA: "https://eventgrid.azure.cn",
}


@pytest.mark.parametrize("cloud", Cloud)
def test_reads_lists_and_writes_have_the_clouds_one_version(idle, monkeypatch, cloud) -> None:
    azure, place = idle.azure, PLACES[cloud]
    network = azure.get(VNET)
    azure.nsg([], location=place)
    azure.put(VNET, {"location": place, "properties": network["properties"]})
    monkeypatch.setenv("AMLFS_CLOUD", cloud.value)
    azure.set(topicAudience=AUDIENCES[cloud])
    idle.quiet()
    idle.forget()
    guard = idle.put(intent={**INTENT, "location": place})
    assert guard["status"]["verdict"] == "compliant"
    idle.run("sweep")
    idle.quiet()
    calls = azure.calls()
    assert {call["method"] for call in calls} == {"GET", "PUT"}
    assert any(
        call["path"]
        .lower()
        .endswith("/providers/" + "Microsoft.Network/networkSecurityGroups".lower())
        for call in calls
    )
    assert {call["apiVersion"] for call in calls if "/Microsoft.Network/" in call["path"]} == {
        API_VERSIONS[cloud].network
    }
    assert idle.types() == ["restored"], "the topic takes the cloud's own audience alone"
    azure.delete(f"{NSG}/securityRules/AMLFS-Out-KeyVault")
    idle.quiet()
    assert idle.types() == ["restored", "restored"]


def test_a_topic_refuses_the_audience_of_another_cloud(idle) -> None:
    """So that the test above can fail."""
    idle.azure.set(topicAudience=AUDIENCES[Cloud.GOVERNMENT])
    idle.put()
    assert idle.types(all_of_them=True) == []
    idle.azure.set(topicAudience=AUDIENCES[Cloud.PUBLIC])
    idle.run("sweep")
    idle.quiet()
    assert "registered" in idle.types(all_of_them=True)


def test_generated_templates_name_the_version_of_their_cloud(service) -> None:
    for cloud, place in PLACES.items():
        body = {"intent": {**INTENT, "location": place}}
        for form in ("arm", "bicep"):
            text = service.post(f"/api/rules?format={form}", json=body).text
            assert API_VERSIONS[cloud].network in text
