"""Who may do what: role assignments, checked as ARM's gateway and the network provider check them.

A principal that has role assignments may do just what they say; one that has none stands for the owner
of everything. What a written subnet or rule names must be joined too: a linked right.

Sources: "Azure role definitions" and "Azure resource provider operations", Microsoft Learn; the
refusals as public issues show them (planetary-computer-hub 25, CloudShell 561, Azure-Landing-Zones 4166
for address pools).
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, StringConstraints

from local.azure.controls import Control
from local.azure.errors import ArmError
from local.azure.paths import canonical, read_resource_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from local.azure.operations import Caller

Document = dict[str, Any]

VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}
NETWORK = "Microsoft.Network"
JOIN_GROUP = f"{NETWORK}/networkSecurityGroups/join/action"
JOIN_RULE = f"{NETWORK}/applicationSecurityGroups/joinNetworkSecurityRule/action"
JOIN_POOL = f"{NETWORK}/networkManagers/ipamPools/associateResourcesToPool/action"
OF_SUBNETS = {
    "networkSecurityGroup": JOIN_GROUP,
    "routeTable": f"{NETWORK}/routeTables/join/action",
    "natGateway": f"{NETWORK}/natGateways/join/action",
    "serviceEndpointPolicies": f"{NETWORK}/serviceEndpointPolicies/join/action",
}
OF_RULES = {
    "sourceApplicationSecurityGroups": JOIN_RULE,
    "destinationApplicationSecurityGroups": JOIN_RULE,
}


class Assignment(Control):
    """A role given to a principal, by its object id, on a scope and all that lies in it.

    In actions `*` stands for anything; what `not_actions` say is taken from them.
    """

    principal_id: str
    scope: Annotated[str, StringConstraints(pattern="^/")]
    actions: list[str]
    not_actions: list[str] = Field(default_factory=list)

    def allows(self, action: str, path: str) -> bool:
        """Whether an action on a resource is among what this role gives."""
        inside = f"{self.scope.rstrip('/')}/".lower()
        return (
            f"{path.rstrip('/')}/".lower().startswith(inside)
            and any(matches(action, pattern) for pattern in self.actions)
            and not any(matches(action, pattern) for pattern in self.not_actions)
        )


def matches(action: str, pattern: str) -> bool:
    """Whether an action is what a role's pattern says; in any casing."""
    return fnmatchcase(action.lower(), pattern.lower())


class Access:
    """All role assignments.

    Attributes:
        assignments: in the order in which they were made.
    """

    def __init__(self) -> None:
        self.assignments: list[Assignment] = []

    def check(self, caller: Caller, method: str, path: str, body: Document) -> None:
        """Raise `ArmError` where a caller may not do what it asks for."""
        own = [one for one in self.assignments if one.principal_id == caller.principal]
        if not own or path.lower().rstrip("/") == "/subscriptions":  # that lists what one may see
            return
        action = action_of(method, path)
        if not any(one.allows(action, path) for one in own):
            raise authorization_failed(caller.principal, action, path)
        missing = [
            (linked, scope)
            for linked, scope in linked_rights(method, path, body)
            if not any(one.allows(linked, scope) for one in own)
        ]
        if missing:
            raise linked_authorization_failed(caller.principal, action, path, missing)


def action_of(method: str, path: str) -> str:
    """Return the action that a request is, as role definitions name it."""
    parts = path.strip("/").split("/")
    words = [part.lower() for part in parts]
    if "providers" not in words[:-1]:
        groups = "/resourceGroups" if len(parts) > 2 else ""
        return f"Microsoft.Resources/subscriptions{groups}/{VERBS.get(method, 'action')}"
    after = parts[words.index("providers") + 1 :]
    kind = canonical("/".join([after[0], *after[1::2]]))
    return f"{kind}/{VERBS.get(method, 'action')}"


def linked_rights(method: str, path: str, body: Document) -> Iterator[tuple[str, str]]:
    """Yield what a write needs beside its own action: an action, and the resource that it joins."""
    target = read_resource_id(path)
    if method != "PUT" or target is None:
        return
    properties = body.get("properties") or {}
    if target.type == f"{NETWORK}/virtualNetworks":
        for subnet in properties.get("subnets") or ():
            yield from of_subnet(subnet.get("properties") or {})
    elif target.type == f"{NETWORK}/virtualNetworks/subnets":
        yield from of_subnet(properties)
    elif target.type == f"{NETWORK}/networkSecurityGroups":
        for rule in properties.get("securityRules") or ():
            yield from named(rule.get("properties") or {}, OF_RULES)
    elif target.type == f"{NETWORK}/networkSecurityGroups/securityRules":
        yield from named(properties, OF_RULES)


def of_subnet(properties: Document) -> Iterator[tuple[str, str]]:
    """Yield what a subnet's properties join."""
    yield from named(properties, OF_SUBNETS)
    for allocation in properties.get("ipamPoolPrefixAllocations") or ():
        yield from named(allocation, {"pool": JOIN_POOL})


def named(properties: Document, actions: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the ids that stand in some fields, each with the field's action."""
    for field, action in actions.items():
        value = properties.get(field)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict) and isinstance(one.get("id"), str):
                yield action, one["id"]


def authorization_failed(principal: str, action: str, path: str) -> ArmError:
    """The gateway knows no role that would allow this."""
    return ArmError(
        403,
        "AuthorizationFailed",
        f"The client '{principal}' with object id '{principal}' does not have authorization to"
        f" perform action '{action}' over scope '{path}' or the scope is invalid. If access was"
        " recently granted, please refresh your credentials.",
    )


def linked_authorization_failed(
    principal: str, action: str, path: str, missing: Sequence[tuple[str, str]]
) -> ArmError:
    """The write is allowed, but not what it joins."""
    actions = ", ".join(dict.fromkeys(action for action, _ in missing))
    scopes = ", ".join(dict.fromkeys(scope for _, scope in missing))
    return ArmError(
        403,
        "LinkedAuthorizationFailed",
        f"The client '{principal}' with object id '{principal}' has permission to perform action"
        f" '{action}' on scope '{path}'; however, it does not have permission to perform action(s)"
        f" '{actions}' on the linked scope(s) '{scopes}' (respectively) or the linked scope(s) are"
        " invalid.",
    )
