"""The verbs of ARM on resources: GET, PUT, PATCH, DELETE, and lists."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from local.azure.errors import (
    ArmError,
    already_exists,
    child_not_found,
    etag_mismatch,
    group_not_found,
    in_progress,
    resource_not_found,
    retryable,
    seconds_text,
)
from local.azure.estate import groups_used, kind_of, unsettle
from local.azure.file_systems import CREATING, new_system_data
from local.azure.networks import SUBNETS
from local.azure.operations import IN_PROGRESS, Caller, Operation, operation_name
from local.azure.refusals import invalid_format
from local.azure.resources import DELETING, SUCCEEDED, TOP_FIELDS, UPDATING, Child, Resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from local.azure.estate import Estate
    from local.azure.paths import ResourceId
    from local.azure.resources import Document, Kind


@dataclass(slots=True)
class Answer:
    """What is sent back.

    Attributes:
        status: the HTTP status.
        body: a JSON document; None for no body.
        headers: besides the usual ones.
        operation: what is set going once the answer is written.
    """

    status: int
    body: Document | None = None
    headers: dict[str, str] = field(default_factory=dict)
    operation: Operation | None = None


class Arm:
    """ARM over an estate."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate

    # -- reading ----------------------------------------------------------------------------------

    def get(self, target: ResourceId, caller: Caller, *, fresh: bool) -> Answer:
        """Answer a GET of a resource, a child or a collection of children."""
        resource = self.estate.seen(target, fresh=fresh)
        if resource is None:
            raise self._missing(target)
        kind = kind_of(target)
        if not target.child_kind:
            body = kind.show(resource, caller.api, self.estate)
        elif target.child:
            body = self._show_child(resource, target, caller.api)
        elif target.child_kind == "defaultSecurityRules":
            body = {
                "value": kind.show(resource, caller.api, self.estate)["properties"][
                    "defaultSecurityRules"
                ]
            }
        else:
            return Answer(200, {"value": self._show_children(resource, target, caller.api)})
        headers = {"ETag": resource.etag} if kind.has_etag else {}
        return Answer(200, body, headers)

    def _show_child(self, resource: Resource, target: ResourceId, api: str) -> Document:
        child = resource.child(target)
        if child is None:
            raise child_not_found(str(target))
        shown = [
            one
            for one in self._show_children(resource, target, api)
            if one["name"].lower() == target.child.lower()
        ]
        return shown[0]

    def _show_children(self, resource: Resource, target: ResourceId, api: str) -> list[Document]:
        if target.child_kind in kind_of(target).child_kinds:
            whole = kind_of(target).show(resource, api, self.estate)["properties"]
            if target.child_kind in whole:
                return list(whole[target.child_kind])
        return kind_of(target).show_children(resource, target.child_kind, api)

    def page(
        self, shown: Iterable[Resource], path: str, query: Mapping[str, str], caller: Caller
    ) -> Answer:
        """Answer a page of a list; live ARM was never seen to page so few resources."""
        token = query.get("$skiptoken", "0")
        if not token.isdecimal():
            raise ArmError(400, "InvalidSkipToken", f"The skip token {token!r} is none.")
        first = int(token)
        size = int(self.estate.settings.pageSize)
        page = list(islice(shown, first, first + size + 1))
        value = [kind_of(r.id).show(r, caller.api, self.estate) for r in page[:size]]
        if len(page) <= size:
            return Answer(200, {"value": value})
        query_text = f"api-version={caller.api}&{quote('$skiptoken')}={first + size}"
        return Answer(200, {"value": value, "nextLink": f"{caller.base}{path}?{query_text}"})

    # -- writing ----------------------------------------------------------------------------------

    def put(
        self, target: ResourceId, body: Document, headers: Mapping[str, str], caller: Caller
    ) -> Answer:
        """Answer a PUT: the whole of a resource or of a child is replaced."""
        self._check_group(target)
        current = self.estate.resources.get(target.parent.key)
        if target.child_kind:
            return self._put_child(target, body, headers, caller, current)
        check_conditions(headers, current, target)
        self._check_deleting(current)
        if not body.get("location") and current is None:
            raise ArmError(
                400, "LocationRequired", "The location property is required for this definition."
            )
        kind = kind_of(target)
        resource = current or Resource(target)
        before = resource.snapshot() if current else None
        shown = kind.show(current, caller.api, self.estate) if current else None
        try:
            resource.content, resource.children = read_body(kind, body, before)
            resource.top = {f: body[f] for f in TOP_FIELDS if body.get(f) is not None}
            kind.check(resource, self.estate)
        except ArmError:
            if before is not None:
                restore(resource, before)
            raise
        self.estate.resources[target.key] = resource
        return self._started_put(resource, before, shown, caller)

    def _started_put(
        self, resource: Resource, before: Resource | None, shown: Document | None, caller: Caller
    ) -> Answer:
        """Set the operation of a whole PUT going and answer it."""
        kind, is_lustre = kind_of(resource.id), not kind_of(resource.id).has_etag
        self.estate.remember(resource, before)
        operation = Operation(
            operation_name("Put", resource.id), resource.id, resource, None, caller
        )
        self._relink(operation, groups_used(before))
        if is_lustre:
            resource.content["_made"] = bool(before and before.content.get("_made"))
            system = before.top.get("systemData") if before else None
            resource.top["systemData"] = new_system_data(system)
        elif before is not None and shown is not None:
            after = kind.show(resource, caller.api, self.estate)
            if same_but_tags(shown, after) and before.state == SUCCEEDED:
                return self._unchanged(resource, operation, caller)
        self.estate.begin(operation)
        unsettle(resource, CREATING if is_lustre else UPDATING)
        status = 201 if before is None or is_lustre else 200
        body = kind.show(resource, caller.api, self.estate)
        return Answer(status, body, self._polling(operation), operation)

    def _unchanged(self, resource: Resource, operation: Operation, caller: Caller) -> Answer:
        """Answer a PUT that changes nothing but tags: done at once, the etag stays (recorded)."""
        operation.status = SUCCEEDED
        self.estate.operations[operation.guid] = operation
        self.estate.on_change(operation)
        body = kind_of(resource.id).show(resource, caller.api, self.estate)
        return Answer(200, body, self._polling(operation))

    def _put_child(
        self,
        target: ResourceId,
        body: Document,
        headers: Mapping[str, str],
        caller: Caller,
        resource: Resource | None,
    ) -> Answer:
        if resource is None:
            raise self._missing(target)
        kind, old = kind_of(target), resource.child(target)
        check_conditions(headers, resource if old else None, target)
        self._check_busy(resource)
        before = resource.snapshot()
        shown = self._show_child(resource, target, caller.api) if old else None
        try:
            content = kind.read_child(target, body, old)
        except (KeyError, TypeError, AttributeError) as error:
            raise invalid_format(f"The body cannot be read: {error!r}.") from None
        child = Child(old.name if old else target.child, content)
        child.guid = old.guid if old else child.guid
        child.top = {f: body[f] for f in TOP_FIELDS if f in body and not kind.has_etag}
        siblings = resource.children.setdefault(target.child_kind, {})
        if target.child_kind == SUBNETS:
            siblings.pop(target.child.lower(), None)  # written again, it stands last (recorded)
        siblings[target.child.lower()] = child
        try:
            kind.check(resource, self.estate)
        except ArmError:
            restore(resource, before)
            raise
        self.estate.remember(resource, before)
        operation = Operation(operation_name("Put", target), target, resource, child, caller)
        self._relink(operation, groups_used(before))
        status = 200 if old else 201
        if shown and same_but_tags(shown, self._show_child(resource, target, caller.api)):
            operation.status = SUCCEEDED
            self.estate.operations[operation.guid] = operation
            self.estate.on_change(operation)
        else:
            self.estate.begin(operation)
            child.state = UPDATING if kind.has_etag else CREATING
            resource.state = UPDATING if kind.has_etag else resource.state
        answer = self._show_child(resource, target, caller.api)
        started = operation if operation.status == IN_PROGRESS else None
        return Answer(status, answer, self._polling(operation), started)

    def patch(self, target: ResourceId, body: Document, caller: Caller) -> Answer:
        """Answer a PATCH: tags, and of a job its administrative status."""
        resource = self.estate.resources.get(target.parent.key)
        child = resource.child(target) if resource else None
        if resource is None:
            raise self._missing(target)
        if target.child_kind and child is None:
            raise child_not_found(str(target))
        if "tags" in body:
            (child or resource).top["tags"] = body["tags"]
        operation = Operation(operation_name("Patch", target), target, resource, None, caller)
        if child is not None and (properties := body.get("properties")):
            child.content |= properties
            if properties.get("adminStatus") == "Disable":
                child.content["status"]["state"] = "Disabled"
            self.estate.begin(operation)
            both = self._polling(operation) | {"Location": operation.uri(result=True)}
            return Answer(202, None, both, operation)
        operation.status = SUCCEEDED
        self.estate.on_change(operation)
        if child is not None:
            return Answer(200, self._show_child(resource, target, caller.api))
        return Answer(200, kind_of(target).show(resource, caller.api, self.estate))

    def delete(self, target: ResourceId, headers: Mapping[str, str], caller: Caller) -> Answer:
        """Answer a DELETE; of what is not there, 204 (specified, not recorded)."""
        self._check_group(target)
        resource = self.estate.resources.get(target.parent.key)
        if resource is None:
            if target.child_kind:
                raise self._missing(target)
            return Answer(204)
        child = resource.child(target) if target.child_kind else None
        if target.child_kind and child is None:
            return Answer(204)
        check_conditions(headers, resource, target)
        (self._check_busy if child else self._check_deleting)(resource)
        self._check_use(resource, child, target)
        before = resource.snapshot()
        if child is not None:
            del resource.children[target.child_kind][target.child.lower()]
        self.estate.remember(resource, before)
        operation = Operation(
            operation_name("Delete", target), target, resource, child, caller, is_delete=True
        )
        self._relink(operation, groups_used(before), gone=child is None)
        self.estate.begin(operation)
        if child is not None:
            resource.state = UPDATING if kind_of(target).has_etag else resource.state
        else:
            unsettle(resource, DELETING)
        both = self._polling(operation) | {"Location": operation.uri(result=True)}
        return Answer(202, None, both, operation)

    def delete_group(self, subscription: str, group: str) -> Answer:
        """Delete a resource group with all that is in it, at once: an assumption."""
        key = f"{subscription}/{group}".lower()
        self.estate.groups.pop(key, None)
        self.estate.gone_groups.add(key)
        for resource in list(self.estate.resources.values()):
            if f"{resource.id.subscription}/{resource.id.group}".lower() == key:
                del self.estate.resources[resource.id.key]
        self.estate.touch_groups(set())
        return Answer(202)

    def _relink(self, operation: Operation, before: set[str], *, gone: bool = False) -> None:
        """Note which NSGs gain or lose a subnet, and change their etags for the first time."""
        after = set() if gone else groups_used(operation.resource)
        operation.relinked = before ^ after
        self.estate.touch_groups(operation.relinked)

    # -- refusals ---------------------------------------------------------------------------------

    def _missing(self, target: ResourceId) -> ArmError:
        is_gone = f"{target.subscription}/{target.group}".lower() in self.estate.gone_groups
        if is_gone and not target.child_kind:
            return group_not_found(target.group)
        whole = target.parent
        return resource_not_found(whole.type, whole.name, whole.group)

    def _check_group(self, target: ResourceId) -> None:
        if f"{target.subscription}/{target.group}".lower() in self.estate.gone_groups:
            raise group_not_found(target.group)

    def _check_busy(self, resource: Resource) -> None:
        """Refuse a child's write in the middle of another operation."""
        running = resource.operation
        if running is not None and running.status == IN_PROGRESS:
            seconds = self.estate.settings.retryAfterSeconds
            raise retryable(running.label, str(resource.id), seconds)

    def _check_deleting(self, resource: Resource | None) -> None:
        if resource is not None and resource.state == DELETING and resource.operation is not None:
            raise in_progress(resource.operation.uri())

    def _check_use(self, resource: Resource, child: Child | None, target: ResourceId) -> None:
        """Refuse to delete what something else needs."""
        if resource.id.kind == "networkSecurityGroups" and child is None:
            estate = self.estate
            if users := [*estate.interfaces_of(resource.id), *estate.subnets_of(resource.id)]:
                raise ArmError(
                    400,
                    "InUseNetworkSecurityGroupCannotBeDeleted",
                    f"Network security group {resource.id} cannot be deleted because it is in use"
                    f" by the following resources: {', '.join(users)}. In order to delete the Network"
                    " security group, remove the association with the resource(s). To learn how to"
                    " do this, see aka.ms/deletensg.",
                    [],
                )
        elif resource.id.kind == "virtualNetworks" and target.child_kind in ("", "subnets"):
            subnets: Iterable[Child] = resource.children.get("subnets", {}).values()
            for subnet in [child] if child else subnets:
                if used := subnet.content.get("ipConfigurations"):
                    raise ArmError(
                        400,
                        "InUseSubnetCannotBeDeleted",
                        f"Subnet {subnet.name} is in use by {used[0]['id']} and cannot be deleted."
                        " In order to delete the subnet, delete all the resources within the subnet."
                        " See aka.ms/deletesubnet.",
                        [],
                    )

    def _polling(self, operation: Operation) -> dict[str, str]:
        headers = {"Azure-AsyncOperation": operation.uri()}
        if not operation.is_lustre:
            headers["Azure-AsyncNotification"] = "Enabled"
        seconds = self.estate.settings.retryAfterSeconds
        if seconds is not None and operation.status == IN_PROGRESS:
            headers["Retry-After"] = seconds_text(seconds)
        return headers


def check_conditions(
    headers: Mapping[str, str], current: Resource | None, target: ResourceId
) -> None:
    """Raise `ArmError` 412 where `If-Match` or `If-None-Match` does not hold."""
    wanted = headers.get("If-Match")
    if wanted is not None:
        etag = current.etag if current is not None else "none"
        if current is None or wanted not in ("*", etag):
            raise etag_mismatch(wanted, etag, str(target))
    if headers.get("If-None-Match") == "*" and current is not None:
        raise already_exists(str(target))


def read_body(kind: Kind, body: Document, old: Resource | None) -> tuple[Document, Any]:
    """Read a body; what cannot be read is refused as ARM refuses it."""
    if not isinstance(body.get("properties") or {}, dict):
        raise invalid_format("properties is no object.")
    try:
        return kind.read(body, old)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise invalid_format(f"The body cannot be read: {error!r}.") from None


def restore(resource: Resource, before: Resource) -> None:
    """Give a resource back what it was."""
    resource.top, resource.content = before.top, before.content
    resource.children = before.children


def same_but_tags(before: Document, after: Document) -> bool:
    """Whether two bodies differ in nothing but tags, etags and states."""
    return bool(stripped(before) == stripped(after))


def stripped(value: Any) -> Any:
    """Return a body without what changes by itself."""
    if isinstance(value, dict):
        hidden = ("etag", "provisioningState", "tags")
        return {k: stripped(v) for k, v in value.items() if k not in hidden}
    if isinstance(value, list):
        return [stripped(item) for item in value]
    return value
