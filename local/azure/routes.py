"""What each path of ARM is answered by."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.azure.arm import Answer, Arm
from local.azure.errors import ArmError, group_not_found, seconds_text
from local.azure.identity import SUBSCRIPTION, TENANT
from local.azure.networks import prefixes_of
from local.azure.operations import IN_PROGRESS, Caller
from local.azure.paths import canonical, read_resource_id
from local.azure.service_tags import published

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.azure.estate import Estate
    from local.azure.operations import Operation


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, read.

    Attributes:
        method: in capitals.
        path: unquoted, as it was spelled.
        query: its parameters.
        headers: without case.
        body: a JSON object; empty where none was sent.
        caller: who asks.
        fresh: whether reads must not be stale.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: dict[str, Any]
    caller: Caller
    fresh: bool


class Routes:
    """Finds what answers a request."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.arm = Arm(estate)

    def answer(self, asked: Asked) -> Answer:
        """Answer a request; raises `ArmError`."""
        parts = asked.path.strip("/").split("/")
        words = [part.lower() for part in parts]
        if words[2:3] == ["providers"] and len(parts) > 4:
            return self._of_subscription(asked, parts, words)
        if words[4:5] == ["providers"] and len(parts) > 6:
            return self._of_group(asked, parts, words)
        return self._around(asked, parts, words)

    def _of_group(self, asked: Asked, parts: list[str], words: list[str]) -> Answer:
        """Answer for what lies in a resource group."""
        if len(parts) == 7:
            return self._list(asked, parts[1], parts[3], f"{parts[5]}/{parts[6]}")
        if words[8:9] == ["checkipaddressavailability"]:
            return self._check_address(asked, "/".join(parts[:8]))
        target = read_resource_id(asked.path)
        if target is None:
            raise nothing_there(asked.path)
        if asked.method == "GET":
            return self.arm.get(target, asked.caller, fresh=asked.fresh)
        if asked.method == "PUT":
            return self.arm.put(target, asked.body, asked.headers, asked.caller)
        if asked.method == "PATCH":
            return self.arm.patch(target, asked.body, asked.caller)
        if asked.method == "DELETE":
            return self.arm.delete(target, asked.headers, asked.caller)
        raise ArmError(405, "MethodNotAllowed", f"{asked.method} is not supported here.")

    def _of_subscription(self, asked: Asked, parts: list[str], words: list[str]) -> Answer:
        """Answer lists of a subscription, polls, and service tags."""
        if len(parts) == 5:
            return self._list(asked, parts[1], None, f"{parts[3]}/{parts[4]}")
        if words[4] == "locations" and words[6:] == ["servicetags"]:
            return Answer(200, published())
        operation = self.estate.operations.get(words[-1])
        if words[4] != "locations" or operation is None:
            raise nothing_there(asked.path)
        return self._poll(asked, operation, is_result=words[6] == "operationresults")

    def _poll(self, asked: Asked, operation: Operation, *, is_result: bool) -> Answer:
        """Answer how an operation is going, or what came of it."""
        waiting = operation.status == IN_PROGRESS
        seconds = self.estate.settings.retryAfterSeconds
        headers = {"Retry-After": seconds_text(seconds)} if waiting and seconds is not None else {}
        if not is_result and "monitor" not in asked.query:
            return Answer(200, operation.poll(), headers)
        if waiting:
            return Answer(202, None, headers | {"Location": operation.uri(result=True)})
        return Answer(200 if operation.is_lustre else 204)

    def _list(self, asked: Asked, subscription: str, group: str | None, kind: str) -> Answer:
        """Answer a page of a list."""
        kind = canonical(kind)
        shown = self.estate.listed(kind, subscription, group, fresh=asked.fresh)
        where = f"/subscriptions/{subscription}"
        where += f"/resourceGroups/{group}" if group else ""
        return self.arm.page(shown, f"{where}/providers/{kind}", asked.query, asked.caller)

    def _around(self, asked: Asked, parts: list[str], words: list[str]) -> Answer:
        """Answer for subscriptions and resource groups: all of them exist until deleted."""
        if words == ["subscriptions"]:
            return Answer(200, {"value": [subscription_body(SUBSCRIPTION)]})
        if len(parts) == 2:
            return Answer(200, subscription_body(parts[1]))
        if words[2:] == ["resourcegroups"]:
            own = (key for key in self.estate.groups if key.startswith(f"{words[1]}/"))
            return Answer(200, {"value": [self.estate.groups[key] for key in own]})
        if words[2] == "resourcegroups" and len(parts) == 4:
            return self._group(asked, parts[1], parts[3])
        if words[2] == "providers" and len(parts) == 4:
            return Answer(200, {"namespace": parts[3], "registrationState": "Registered"})
        raise nothing_there(asked.path)

    def _group(self, asked: Asked, subscription: str, group: str) -> Answer:
        """Answer for one resource group."""
        key = f"{subscription}/{group}".lower()
        if asked.method == "DELETE":
            return self.arm.delete_group(subscription, group)
        if asked.method == "PUT":
            self.estate.gone_groups.discard(key)
        elif key in self.estate.gone_groups:
            raise group_not_found(group)
        is_new = key not in self.estate.groups
        body = self.estate.groups.setdefault(
            key,
            {
                "id": f"/subscriptions/{subscription}/resourceGroups/{group}",
                "name": group,
                "type": "Microsoft.Resources/resourceGroups",
                "location": "eastus",
                "properties": {"provisioningState": "Succeeded"},
            },
        )
        body |= {field: asked.body[field] for field in ("location", "tags") if field in asked.body}
        return Answer(201 if asked.method == "PUT" and is_new else 200, body)

    def _check_address(self, asked: Asked, network_id: str) -> Answer:
        """Answer whether an address of a virtual network is free; the first four never are."""
        target = read_resource_id(network_id)
        network = self.estate.find(f"/{network_id}")
        if network is None or target is None:
            raise nothing_there(network_id)
        address = ipaddress.ip_address(asked.query["ipAddress"])
        for subnet in network.children.get("subnets", {}).values():
            for prefix in prefixes_of(subnet.content):
                inside = ipaddress.ip_network(prefix)
                if address in inside and int(address) - int(inside[0]) < 4:
                    free = [str(inside[n]) for n in range(4, min(9, inside.num_addresses - 1))]
                    taken = {"available": False, "availableIPAddresses": free}
                    return Answer(200, taken | {"isPlatformReserved": True})
        return Answer(200, {"available": True, "isPlatformReserved": False})


def nothing_there(path: str) -> ArmError:
    """Return the refusal of a path that means nothing."""
    return ArmError(404, "InvalidResourceType", f"The resource type of {path} could not be found.")


def subscription_body(subscription: str) -> dict[str, Any]:
    """Return a subscription."""
    return {
        "id": f"/subscriptions/{subscription}",
        "subscriptionId": subscription,
        "tenantId": TENANT,
        "displayName": "The box",
        "state": "Enabled",
    }
