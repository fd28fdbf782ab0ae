"""What a reviewer of the infrastructure would look for, in the deployment as Azure would get it."""

from __future__ import annotations

import json
import re

import pytest

from tests.infra.snapshots import INFRA, named, of_type, resources, settings_of

SNAPSHOTS = sorted(INFRA.rglob("*.snapshot.json"))
EVENTS = [path for path in SNAPSHOTS if ".events" in path.name]
SUBSCRIBERS = [path for path in SNAPSHOTS if path.name.startswith("outcomes-to-")]
SERVICES = [path for path in SNAPSHOTS if path not in (*EVENTS, *SUBSCRIBERS)]
LATER = re.compile(r"'(/subscriptions/[^']+)', '\d{4}-")
"""An id in `reference('…', 'api-version')`: a value that is only known once the resource is there."""
PLAIN_ID = re.compile(r"^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/[^\[\]']+$")
KNOWN_ROLES = {
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "d5a91429-5739-47e2-a06b-3470a27159e7": "EventGrid Data Sender",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
}
"""Source: "Azure built-in roles", Microsoft Learn."""


def file(path) -> str:
    return path.name.removesuffix(".snapshot.json")


def strings(value):
    """Every text in a document, with the name of its field."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        if isinstance(inner, str):
            yield str(key), inner
        elif isinstance(inner, dict | list):
            yield from strings(inner)


@pytest.mark.parametrize("path", SNAPSHOTS, ids=file)
def test_nothing_is_made_twice_and_names_are_what_azure_takes(path) -> None:
    ids = [one["id"].lower() for one in resources(path)]
    assert len(ids) == len(set(ids))
    for one in resources(path):
        assert re.fullmatch(r"[\w.()/-]{1,260}", one["name"]), one["name"]
    for account in (r for r in resources(path) if r["type"] == "Microsoft.Storage/storageAccounts"):
        assert re.fullmatch(r"[a-z0-9]{3,24}", account["name"])
    for topic in (r for r in resources(path) if r["type"] == "Microsoft.EventGrid/systemTopics"):
        assert re.fullmatch(r"[A-Za-z0-9-]{3,128}", topic["name"])


@pytest.mark.parametrize("path", SERVICES, ids=file)
def test_what_a_resource_names_is_there_or_was_given(path) -> None:
    known = {one["id"].lower() for one in resources(path)}
    given = json.loads(path.read_text(encoding="utf-8"))["outputs"]["AMLFS_SERVICE"]["networks"]
    outside = [f"/subscriptions/{one['subscriptionId']}/" for one in given]
    outside.append("/subscriptions/00000000-0000-0000-0000-000000000003/")  # the hub of an example
    own = of_type(path, "Microsoft.Resources/resourceGroups")[0]["id"].lower()
    for one in resources(path):
        for _, text in strings(one.get("properties", {})):
            named_ids = LATER.findall(text) or ([text] if PLAIN_ID.match(text) else [])
            for found in named_ids:
                if "/roledefinitions/" in found.lower():
                    continue
                inside = found.lower().startswith(f"{own}/")
                assert (found.lower() in known) if inside else found.startswith(tuple(outside)), (
                    found
                )


@pytest.mark.parametrize("path", SNAPSHOTS, ids=file)
def test_no_secret_is_read_kept_or_told(path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(
        r"list(Keys|AccountSas|ServiceSas|Secrets|CallbackUrl)", text, re.IGNORECASE
    )
    assert not re.search(r"AccountKey=|SharedAccessKey|password|clientSecret", text, re.IGNORECASE)
    outputs = json.dumps(json.loads(text)["outputs"]).lower()
    assert not re.search(r"key|secret|connectionstring|token", outputs)


@pytest.mark.parametrize("path", SERVICES, ids=file)
def test_every_connection_is_by_identity(path) -> None:
    (account,) = of_type(path, "Microsoft.Storage/storageAccounts")
    properties = account["properties"]
    assert properties["allowSharedKeyAccess"] is False
    assert properties["allowBlobPublicAccess"] is False
    assert properties["minimumTlsVersion"] == "TLS1_2"
    assert properties["supportsHttpsTrafficOnly"] is True
    (topic,) = of_type(path, "Microsoft.EventGrid/topics")
    assert topic["properties"]["disableLocalAuth"] is True
    assert topic["properties"]["inputSchema"] == "CloudEventSchemaV1_0"
    (insights,) = of_type(path, "Microsoft.Insights/components")
    assert insights["properties"]["DisableLocalAuth"] is True
    (app,) = of_type(path, "Microsoft.Web/sites")
    (identity,) = of_type(path, "Microsoft.ManagedIdentity/userAssignedIdentities")
    assert list(app["identity"]["userAssignedIdentities"]) == [identity["id"]]
    storage = app["properties"]["functionAppConfig"]["deployment"]["storage"]
    assert storage["authentication"]["userAssignedIdentityResourceId"] == identity["id"]
    allowed = of_type(path, "Microsoft.Web/sites/basicPublishingCredentialsPolicies")
    assert [one["properties"]["allow"] for one in allowed] == [False, False]


@pytest.mark.parametrize("path", SERVICES, ids=file)
def test_the_app_is_what_the_packages_are_for(path) -> None:
    (app,) = of_type(path, "Microsoft.Web/sites")
    (plan,) = of_type(path, "Microsoft.Web/serverfarms")
    assert (plan["sku"]["tier"], app["properties"]["serverFarmId"]) == (
        "FlexConsumption",
        plan["id"],
    )
    runtime = app["properties"]["functionAppConfig"]["runtime"]
    assert runtime == {"name": "python", "version": "3.13"}
    assert app["properties"]["httpsOnly"] is True


@pytest.mark.parametrize("path", [*SERVICES, *EVENTS], ids=file)
def test_rights_are_the_two_roles_and_those_on_what_the_service_owns(path) -> None:
    own = {
        one["name"]: one["properties"]["roleName"].split(" (")[0].rpartition(" ")[2]
        for one in resources(path)
        if one["type"] == "Microsoft.Authorization/roleDefinitions"
    }
    for right in of_type(path, "Microsoft.Authorization/roleAssignments"):
        role = right["properties"]["roleDefinitionId"].rpartition("/")[2]
        scope = right["id"].partition("/providers/Microsoft.Authorization/roleAssignments")[0]
        if role in KNOWN_ROLES:
            assert re.search(r"/(storageAccounts|components|topics)/", scope), (scope, role)
        else:
            wanted = r"/subscriptions/[^/]+" + (
                r"(/resourceGroups/[^/]+)?" * (own[role] == "writer")
            )
            assert re.fullmatch(wanted, scope), (scope, own[role])


@pytest.mark.parametrize("path", SERVICES, ids=file)
def test_what_may_be_written_is_what_the_writer_role_is_assigned_to(path) -> None:
    settings = settings_of(path)
    writer = next(
        one["name"]
        for one in of_type(path, "Microsoft.Authorization/roleDefinitions")
        if "writer" in one["properties"]["roleName"]
    )
    scopes = {
        right["id"].partition("/providers/Microsoft.Authorization/roleAssignments")[0]
        for right in of_type(path, "Microsoft.Authorization/roleAssignments")
        if right["properties"]["roleDefinitionId"].endswith(writer)
    }
    assert set(settings["AMLFS_ALLOWED_SCOPES"].split(";")) == scopes


def test_without_more_the_app_is_public_and_asks_for_keys_alone() -> None:
    path = named("single-subscription")
    (app,) = of_type(path, "Microsoft.Web/sites")
    assert app["properties"]["virtualNetworkSubnetId"] is None
    kinds = {one["type"] for one in resources(path)}
    assert "Microsoft.Network/privateEndpoints" not in kinds
    assert not [one for one in resources(path) if one["name"].endswith("/authsettingsV2")]


def test_with_sign_in_event_grid_and_health_still_get_through() -> None:
    (auth,) = [
        one["properties"]
        for one in resources(named("several-subscriptions"))
        if one["name"].endswith("/authsettingsV2")
    ]
    assert auth["globalValidation"]["requireAuthentication"] is True
    assert auth["globalValidation"]["unauthenticatedClientAction"] == "Return401"
    assert auth["globalValidation"]["excludedPaths"] == ["/runtime/webhooks/*", "/api/health"]
    policy = auth["identityProviders"]["azureActiveDirectory"]["validation"]
    assert len(policy["defaultAuthorizationPolicy"]["allowedApplications"]) == 2


def test_in_a_network_only_event_grid_and_the_callers_get_in() -> None:
    path = named("several-subscriptions")
    (app,) = of_type(path, "Microsoft.Web/sites")
    config = app["properties"]["siteConfig"]
    assert config["ipSecurityRestrictionsDefaultAction"] == "Deny"
    assert config["scmIpSecurityRestrictionsUseMain"] is True
    allowed = [(one["tag"], one["ipAddress"]) for one in config["ipSecurityRestrictions"]]
    assert allowed == [
        ("ServiceTag", "AzureEventGrid"),
        ("Default", "198.51.100.0/24"),
        ("Default", "203.0.113.7/32"),
    ]
    assert app["properties"]["virtualNetworkSubnetId"].endswith("/subnets/functions")
    (account,) = of_type(path, "Microsoft.Storage/storageAccounts")
    assert account["properties"]["networkAcls"] == {
        "defaultAction": "Deny",
        "bypass": "AzureServices",
    }
    endpoints = of_type(path, "Microsoft.Network/privateEndpoints")
    groups = [e["properties"]["privateLinkServiceConnections"][0]["properties"] for e in endpoints]
    assert [one["groupIds"] for one in groups] == [["blob"], ["queue"], ["table"]]
    zones = of_type(path, "Microsoft.Network/privateEndpoints/privateDnsZoneGroups")
    assert len(zones) == 3


# -- events ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", EVENTS, ids=file)
def test_the_second_step_continues_the_first(path) -> None:
    first = path.with_name(path.name.replace(".events", ""))
    (app,) = of_type(first, "Microsoft.Web/sites")
    (account,) = of_type(first, "Microsoft.Storage/storageAccounts")
    ids = {one["id"] for one in resources(first)}
    for one in of_type(path, "Microsoft.EventGrid/systemTopics/eventSubscriptions"):
        properties = one["properties"]
        assert properties["destination"]["endpointType"] == "AzureFunction"
        target = properties["destination"]["properties"]["resourceId"]
        assert target == f"{app['id']}/functions/on_network_change"
        dead = properties["deadLetterWithResourceIdentity"]
        assert dead["identity"] == {"type": "SystemAssigned"}
        place = dead["deadLetterDestination"]["properties"]
        assert place["resourceId"] == account["id"]
        assert (
            f"{account['id']}/blobServices/default/containers/{place['blobContainerName']}" in ids
        )
        assert properties["retryPolicy"] == {
            "maxDeliveryAttempts": 30,
            "eventTimeToLiveInMinutes": 1440,
        }


@pytest.mark.parametrize("path", EVENTS, ids=file)
def test_the_second_steps_parameters_are_the_firsts_output(path) -> None:
    first = path.with_name(path.name.replace(".events", ""))
    told = json.loads(first.read_text(encoding="utf-8"))["outputs"]["AMLFS_SERVICE"]
    groups = {one["name"] for one in of_type(path, "Microsoft.Resources/resourceGroups")}
    assert groups == {told["eventGroup"]}
    for topic in of_type(path, "Microsoft.EventGrid/systemTopics"):
        assert topic["name"].startswith(told["systemTopic"])
    using = path.with_name(path.name.replace(".snapshot.json", ".bicepparam")).read_text(
        encoding="utf-8"
    )
    for value in (
        told["eventGroup"],
        told["systemTopic"],
        told["environmentName"],
        told["location"],
    ):
        assert f"'{value}'" in using
    for network in told["networks"]:
        assert network["subscriptionId"] in using


@pytest.mark.parametrize("path", EVENTS, ids=file)
def test_alerts_on_topics_lie_with_us_and_look_at_our_subscription_alone(path) -> None:
    used = {
        one["id"].partition("/eventSubscriptions/")[0]
        for one in of_type(path, "Microsoft.EventGrid/systemTopics/eventSubscriptions")
    }
    alerts = of_type(path, "Microsoft.Insights/metricAlerts")
    assert {scope for one in alerts for scope in one["properties"]["scopes"]} == used
    assert len(alerts) == 3 * len(used)
    for one in alerts:
        assert "-events-" in one["id"].split("/")[4]
        (criterion,) = one["properties"]["criteria"]["allOf"]
        assert criterion["dimensions"][0]["values"][0].startswith("amlfs-guard-")


@pytest.mark.parametrize("path", EVENTS, ids=file)
def test_azd_finds_one_group_of_its_environment(path) -> None:
    first = path.with_name(path.name.replace(".events", ""))
    tagged = [
        one
        for one in (*resources(first), *resources(path))
        if one["type"] == "Microsoft.Resources/resourceGroups"
        and "azd-env-name" in one.get("tags", {})
    ]
    assert len(tagged) == 1


def test_a_topic_that_is_there_is_used_and_not_made_again() -> None:
    path = named("several-subscriptions.events")
    made = {one["id"] for one in of_type(path, "Microsoft.EventGrid/systemTopics")}
    used = {
        one["id"].partition("/eventSubscriptions/")[0]
        for one in of_type(path, "Microsoft.EventGrid/systemTopics/eventSubscriptions")
    }
    (other,) = used - made
    assert other.endswith(
        "/resourceGroups/rg-events/providers/Microsoft.EventGrid/systemTopics/evgst-subscription"
    )
    sources = [
        one["properties"]["source"] for one in of_type(path, "Microsoft.EventGrid/systemTopics")
    ]
    assert len(sources) == len(set(sources)) == 2
    assert all(
        source.startswith("/subscriptions/00000000-0000-0000-0000-000000000001/")
        for source in sources
    )


@pytest.mark.parametrize("path", EVENTS, ids=file)
def test_dead_letters_are_the_topics_only_right(path) -> None:
    for right in of_type(path, "Microsoft.Authorization/roleAssignments"):
        assert "/containers/dead-letters/" in right["id"]
        role = right["properties"]["roleDefinitionId"].rpartition("/")[2]
        assert KNOWN_ROLES[role] == "Storage Blob Data Contributor"
        assert right["properties"]["principalId"].endswith(".identity.principalId]")
