"""Replays recorded ARM traffic against the box, and tells what matched, what did not, and why.

Every interaction on NSGs, rules, virtual networks, subnets, peerings, file systems and their jobs is
sent in its order. What the recording shows of things that were made, changed or deleted outside of it
(by a template, a portal, a deleted resource group) cannot be known from its requests: such a state is
taken over from the recorded answer, and the interaction is listed by its reason in place of being
compared. Polls of operations whose beginning was not recorded are listed likewise.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx

from local.azure.operations import IN_PROGRESS
from local.azure.serving import BoxServer

RECORDINGS = Path(__file__).resolve().parents[1] / "data/recordings/arm.json.gz"

ITEM = re.compile(
    r"/subscriptions/[^/]+/resourcegroups/[^/]+/providers/(microsoft\.network"
    r"/(?:networksecuritygroups|virtualnetworks)|microsoft\.storagecache/amlfilesystems)/[^/]+"
    r"(?:/([^/]+)/[^/]+)?",
    re.IGNORECASE,
)
LIST = re.compile(
    r"/subscriptions/[^/]+(?:/resourcegroups/[^/]+)?/providers/(?:microsoft\.network"
    r"/(?:networksecuritygroups|virtualnetworks)|microsoft\.storagecache/amlfilesystems)"
    r"(?:/[^/]+/(\w+))?",
    re.IGNORECASE,
)
POLL = re.compile(r"/(?:operations|operationresults|ascoperations)/([^/?]+)", re.IGNORECASE)

OTHERS = ("ipConfigurations", "networkInterfaces", "flowLogs", "serviceAssociationLinks")
"""What other resources put into a body: network interfaces, flow logs, platform services."""

FREE = ("etag", "resourceGuid", "clientInfo", "systemData", "startTime", "endTime")
ERA = {
    "enableVmProtection": False,  # until 2020, whatever the api-version
    "ipamPoolPrefixAllocations": [],  # from July to September 2024
    "privateEndpointVNetPolicies": "Disabled",  # since August 2024
}
"""Defaults that live ARM showed at one time and not at another, for the same api-version."""

TIMES = re.compile(r"last\w*Time\w*|blobs\w+PerSecond|createdAt|lastModifiedAt")


@dataclass
class Report:
    """What a replay came to.

    Attributes:
        matched: interactions whose answer was the recorded one, by type and method.
        known: not compared, by reason.
        wrong: (recording, index, what differs).
    """

    matched: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[str, int, str]] = field(default_factory=list)

    @property
    def compared(self) -> int:
        return sum(self.matched.values()) + len(self.wrong)

    def text(self) -> str:
        matched = sum(self.matched.values())
        lines = [f"{matched} of {self.compared} compared interactions matched."]
        lines += [f"  {number:5} {what}" for what, number in sorted(self.matched.items())]
        lines += [f"Not compared, {sum(self.known.values())}:"]
        lines += [f"  {number:5} {reason}" for reason, number in self.known.most_common()]
        lines += ["Different:"] + [f"  {file} {i}: {what}" for file, i, what in self.wrong]
        return "\n".join(lines)


def recordings() -> dict[str, dict[str, Any]]:
    return json.loads(gzip.decompress(RECORDINGS.read_bytes()))


def in_order(name: str, interactions: list[dict]) -> list[dict]:
    """The .NET recordings are grouped by request and must be sorted by time."""
    if "libraries-for-net" not in name:
        return interactions
    rank = {"PUT": 0, "PATCH": 0, "DELETE": 3}

    def key(one: dict) -> tuple:
        is_poll = bool(POLL.search(one["uri"]))
        return parsedate_to_datetime(one["headers"]["date"]), 1 if is_poll else rank.get(
            one["method"], 2
        )

    return sorted(interactions, key=key)


class Replay:
    """One recording against an empty box."""

    def __init__(self, server: BoxServer, client: httpx.Client, report: Report, name: str) -> None:
        self.server, self.client, self.report, self.name = server, client, report, name
        self.operations: dict[str, str] = {}
        self.shells: set[str] = set()
        self.asked: set[str] = set()
        self.client.post("/_box/reset")
        self.client.patch("/_box/settings", json={"operationSeconds": 3600})

    def run(self, interactions: list[dict]) -> None:
        for one in in_order(self.name, interactions):
            path = one["uri"].partition("?")[0]
            if poll := POLL.search(path):
                self.poll(one, poll[1])
            elif found := ITEM.fullmatch(path):
                self.item(one, path, found[2] or "")
            elif found := LIST.fullmatch(path):
                self.listing(one, found[1] or "")

    # -- one interaction --------------------------------------------------------------------------

    def poll(self, one: dict, operation: str) -> None:
        """The number of polls is a matter of time; what the last one says is compared."""
        uri = self.operations.get(operation.lower())
        if uri is None:
            self.report.known["poll of an operation whose beginning is not recorded"] += 1
            return
        is_going_on = isinstance(one["body"], dict) and one["body"].get("status") == IN_PROGRESS
        if is_going_on or one["status"] == 202:
            self.report.known["poll before the end: their number is a matter of time"] += 1
        else:
            self.settle()
            if "operationresults" in one["uri"].lower() or "monitor=" in one["uri"]:
                uri = uri.replace("/operations/", "/operationResults/")
                uri += "&monitor=true" if "monitor=" in one["uri"] else ""
            self.compare(one, self.client.get(uri), "poll")

    def item(self, one: dict, path: str, child_kind: str) -> None:
        method, status = one["method"], one["status"]
        self.asked |= marks(one["req_body"])
        if method not in ("GET", "PUT", "PATCH", "DELETE"):
            return
        body = one["body"] if isinstance(one["body"], dict) else {}
        is_moving = (body.get("properties") or {}).get("provisioningState") in (
            "Updating",
            "Creating",
        )
        if not (method == "GET" and is_moving) and status != 429:
            self.settle()
        reason = self.unknowable(one, path, child_kind, body)
        if reason:
            self.report.known[reason] += 1
            return
        what = f"{path.split('/')[-4 if child_kind else -2].lower()} {child_kind} {method}".lower()
        answer = self.client.request(method, one["uri"], json=one["req_body"])
        self.compare(one, answer, what)
        begun = one["headers"].get("azure-asyncoperation")
        if begun and "azure-asyncoperation" in answer.headers:
            guid = POLL.search(begun.partition("?")[0])
            if guid:
                self.operations[guid[1].lower()] = answer.headers["azure-asyncoperation"]

    def unknowable(self, one: dict, path: str, child_kind: str, body: dict) -> str | None:
        """Why an interaction cannot be compared; its state is taken over from the recording."""
        method, status = one["method"], one["status"]
        parent = "/".join(path.split("/")[:9])
        exists, parent_exists = self.exists(path), self.exists(parent)
        if status == 429:
            return "refused because of an operation that is recorded after it"
        if status == 404 and (exists or (method == "DELETE" and not child_kind)):
            self.forget(parent)
            return "its resource group was deleted outside the recording"
        if status == 400 and not exists:
            return "made outside the recording"
        of_unseen = method in ("GET", "DELETE") and not exists
        in_unseen = method in ("PUT", "PATCH") and child_kind and not parent_exists
        if status < 300 and (of_unseen or in_unseen):
            self.take_over(path, parent, body, child_kind)
            return "made outside the recording"
        if method == "GET" and status == 200 and self.changed_outside(path, body):
            self.take_over(path, parent, body, child_kind)
            return "changed outside the recording"
        return None

    def changed_outside(self, path: str, body: dict) -> bool:
        """Whether a body is of something half known, or shows what a policy put there."""
        if path.lower() in self.shells:
            self.shells.discard(path.lower())
            return True
        return bool(marks(body) - self.asked) and not body["properties"].get("securityRules")

    def listing(self, one: dict, child_kind: str) -> None:
        """Lists show foreign resources too: those that the recording made are compared."""
        if one["method"] != "GET" or one["status"] != 200 or "value" not in (one["body"] or {}):
            return
        self.settle()
        answer = self.client.get(one["uri"])
        is_of_group = "/resourcegroups/" in one["uri"].lower()
        name = key if is_of_group else str.lower
        shown = {name(item["id"]): item for item in answer.json().get("value", [])}
        ours = [item for item in one["body"]["value"] if name(item["id"]) in shown]
        if any(item["id"].lower() in self.shells for item in ours):
            self.report.known["made outside the recording"] += 1
            return
        page = {"value": [shown[name(item["id"])] for item in ours]}
        fake = httpx.Response(answer.status_code, json=page)
        self.compare({**one, "body": {"value": ours}}, fake, f"list {child_kind}".strip().lower())

    # -- the box ----------------------------------------------------------------------------------

    def settle(self) -> None:
        """End every operation that is under way."""

        def finish(box) -> None:
            for operation in list(box.estate.operations.values()):
                box.estate.finish(operation)

        self.server.call(finish)

    def exists(self, path: str) -> bool:
        return self.client.get(path, params={"api-version": "2024-07-01"}).status_code == 200

    def forget(self, parent: str) -> None:
        """Let everything in a resource group be gone."""
        group = "/".join(parent.split("/")[:5])
        self.client.delete(group, params={"api-version": "2024-07-01"})
        self.client.put(group, params={"api-version": "2024-07-01"}, json={"location": "eastus"})

    def take_over(self, path: str, parent: str, body: dict, child_kind: str) -> None:
        """Give the box what the recording shows."""
        query = {"api-version": "2024-07-01"}
        if not child_kind:
            if body.get("properties"):
                self.client.put(path, params=query, json=body)
            return
        if not self.exists(parent):
            shell = {
                "location": "eastus",
                "properties": {"addressSpace": {"addressPrefixes": ["0.0.0.0/0"]}},
            }
            self.client.put(parent, params=query, json=shell)
            self.shells.add(parent.lower())
            self.settle()
        if body.get("properties"):
            self.client.put(path, params=query, json=body)
            self.settle()

    # -- comparing --------------------------------------------------------------------------------

    def compare(self, one: dict, answer: httpx.Response, what: str) -> None:
        differences = list(self.differences(one, answer))
        if differences:
            self.report.wrong.append(
                (self.name, one["idx"], f"{what}: {'; '.join(differences[:4])}")
            )
        else:
            self.report.matched[what] += 1

    def differences(self, one: dict, answer: httpx.Response):
        if answer.status_code != one["status"]:
            yield f"status {answer.status_code}, recorded {one['status']}: {answer.text[:200]}"
            return
        if answer.status_code >= 400:
            recorded = (
                (one["body"] or {}).get("error", {}).get("code")
                if isinstance(one["body"], dict)
                else None
            )
            ours = answer.json()["error"]["code"]
            if recorded and ours != recorded:
                yield f"code {ours}, recorded {recorded}"
            return
        for header in ("azure-asyncoperation", "location"):
            is_poll = bool(POLL.search(one["uri"]))
            if (header in answer.headers) != (header in one["headers"]) and not is_poll:
                yield f"header {header}"
        if isinstance(one["body"], dict):
            is_poll = bool(POLL.search(one["uri"]))
            yield from diff(normal(answer.json(), is_poll), normal(one["body"], is_poll), "")


def marks(value: Any) -> set[str]:
    """What a body says of its subnets that a policy may have put there: NSGs and services."""
    found: set[str] = set()
    if isinstance(value, list):
        for item in value:
            found |= marks(item)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name == "networkSecurityGroup" and isinstance(inner, dict):
                found.add(key(inner["id"]))
            elif name == "serviceEndpoints":
                found |= {endpoint["service"].lower() for endpoint in inner or ()}
            else:
                found |= marks(inner)
    return found


def key(resource_id: str) -> str:
    return re.sub(r"/resourcegroups/[^/]*/", "/resourcegroups/*/", resource_id.lower())


def normal(value: Any, is_poll: bool, at: str = "") -> Any:
    """A body without what is free to differ."""
    if isinstance(value, dict):
        kept = {}
        for name, inner in value.items():
            free = name in FREE or name in OTHERS or TIMES.fullmatch(name)
            if free or (name in ERA and inner == ERA[name]) or (is_poll and name == "name"):
                continue
            if name == "type" and at:  # of children inside another body: not always shown
                continue
            kept[name] = normal(inner, is_poll, f"{at}/{name}")
        return kept
    if isinstance(value, list):
        return [normal(item, is_poll, f"{at}/-") for item in value]
    if isinstance(value, str) and value.lower().startswith("/subscriptions/"):
        return key(value)
    return value


def diff(ours: Any, theirs: Any, at: str):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in sorted(ours.keys() | theirs.keys()):
            if name not in ours:
                yield f"{at}/{name} missing, recorded {str(theirs[name])[:80]}"
            elif name not in theirs:
                yield f"{at}/{name} not recorded: {str(ours[name])[:80]}"
            else:
                yield from diff(ours[name], theirs[name], f"{at}/{name}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from diff(one, other, f"{at}/{i}")
    elif ours != theirs:
        yield f"{at} {str(ours)[:120]!r}, recorded {str(theirs)[:120]!r}"
