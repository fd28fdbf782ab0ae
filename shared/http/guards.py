"""`/api/guards`: registering, showing, suspending and running guards, and their history."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from pydantic import AwareDatetime, Field

from shared.applying.applying import check_scope
from shared.applying.live import locate
from shared.cloud.resources import same_id
from shared.documents import Document, read_document
from shared.errors import (
    Conflict,
    FieldError,
    GuardError,
    InvalidInput,
    NotFound,
    PreconditionFailed,
    Transient,
)
from shared.guards.declared import look_soon, new_guard
from shared.guards.deleting import delete_guard as remove
from shared.guards.guard import NAME, NAME_RULE, Guard, GuardStatement, UnreadableGuard
from shared.guards.messages import GUARDS, GuardMessage, send
from shared.guards.observation import Cause
from shared.guards.outcome import Outcome, OutcomeType
from shared.guards.outcomes import Outcomes, event_of
from shared.guards.policy import restate, resume, suspend
from shared.guards.repository import ATTEMPTS, AlreadyExists, pause_briefly
from shared.guards.saving import save_decision
from shared.guards.services import open_repository, reconcile
from shared.guards.unreadable import forget_unreadable
from shared.http.answers import answered, json_response
from shared.http.callers import caller_of, log_write
from shared.http.guard_answers import GuardFilter, guard_json
from shared.http.requests import LONGEST_PAGE, network_for, read_json, read_limit
from shared.settings import read_settings

if TYPE_CHECKING:
    from typing import Annotated

    import azure.functions as func

    from shared.guards.repository import AnyGuard, GuardRepository
else:
    from typing import Annotated

LONGEST_MESSAGE_DELAY = 7 * 86_400.0 - 60
"""Seconds that a queue keeps a message back at most. Source: "Put Message", Microsoft Learn."""

LATEST = datetime(2100, 1, 1, tzinfo=UTC).timestamp()

FILTERS = ("verdict", "mode", "suspended", "circuit", "networkSecurityGroupId", "subscriptionId")


class SuspendRequest(Document):
    """The body of `POST …/suspend`; it may be left out."""

    reason: Annotated[str, Field(max_length=1024)] | None = None
    until: AwareDatetime | None = None


# -- showing --------------------------------------------------------------------------------------


@answered("limit", "page", *FILTERS)
async def list_guards(request: func.HttpRequest) -> func.HttpResponse:
    """Answer `GET /api/guards`: all guards by name, in pages, or those that filters name."""
    limit, wanted = read_limit(request), GuardFilter.from_query(request.params)
    repository = await open_repository()
    found: list[AnyGuard] = []
    after: str | None = request.params.get("page", "")
    while after is not None and len(found) < limit:
        guards, after = await repository.page(after, LONGEST_PAGE)
        for i, guard in enumerate(guards):
            if wanted.passes(guard, time.time()):
                found.append(guard)
            if len(found) == limit and (after is not None or i + 1 < len(guards)):
                after = guard.key
                break
    return json_response(page(request, [guard_json(guard) for guard in found], after))


@answered()
async def show_guard(request: func.HttpRequest) -> func.HttpResponse:
    """Answer `GET /api/guards/{name}`."""
    repository = await open_repository()
    guard = await repository.find(request.route_params["name"])
    if guard is None:
        raise NotFound(f"There is no guard {request.route_params['name']}.")
    return shown(guard)


@answered("limit", "page")
async def show_history(request: func.HttpRequest) -> func.HttpResponse:
    """Answer `GET /api/guards/{name}/history`: outcomes, newest first, in pages."""
    repository = await open_repository()
    guard = await repository.find(request.route_params["name"])
    if guard is None:
        raise NotFound(f"There is no guard {request.route_params['name']}.")
    outcomes = Outcomes(repository.store, read_settings())
    after = request.params.get("page", "")
    events, more = await outcomes.history(guard.id, after, read_limit(request))
    return json_response(page(request, events, more))


# -- registering and deleting ---------------------------------------------------------------------


@answered()
async def put_guard(request: func.HttpRequest) -> func.HttpResponse:
    """Answer `PUT /api/guards/{name}`: create or replace a guard, and prove (and restore) at once."""
    name = request.route_params["name"]
    statement = read_document(GuardStatement, read_json(request))
    if not NAME.fullmatch(name):
        raise InvalidInput([FieldError("/name", f"The name in the path: {NAME_RULE}")])
    if (statement.name or name).lower() != name.lower():
        message = f"The path names the guard {name}: leave the name out here, or give that one."
        raise InvalidInput([FieldError("/name", message)])
    conditions = Conditions(request.headers.get("if-match"), request.headers.get("if-none-match"))
    guard, is_new = await register(name, statement, caller_of(request), conditions)
    return shown(guard, HTTPStatus.CREATED if is_new else HTTPStatus.OK)


class Conditions:
    """What a request says of the version that it replaces (RFC 9110, section 13)."""

    def __init__(self, if_match: str | None = None, if_none_match: str | None = None) -> None:
        self.if_match = if_match
        self.if_none_match = if_none_match

    def check(self, guard: AnyGuard | None) -> None:
        """Raise `PreconditionFailed` where a guard is not as the caller says."""
        if self.if_match is not None:
            versions = [one.strip() for one in self.if_match.split(",")]
            if guard is None or not {"*", etag_of(guard)} & set(versions):
                raise PreconditionFailed("The guard is not as If-Match says: read it again.")
        if self.if_none_match == "*" and guard is not None:
            raise PreconditionFailed(f"There is a guard {guard.name} already.")


async def register(
    name: str, statement: GuardStatement, by: str, conditions: Conditions | None = None
) -> tuple[AnyGuard, bool]:
    """Save a guard and reconcile it.

    Args:
        name: of the guard.
        statement: what the caller states.
        by: who asks.
        conditions: which version may be replaced.

    Returns:
        The guard as it is then, and whether it is new.

    Raises:
        OutsideAllowedScopes: its NSG lies outside the allowed scopes.
        Conflict: another guard holds its NSG or subnet, or the deployment declares it.
        PreconditionFailed: it is not as the conditions say.
    """
    check_scope(statement.intent.network_security_group_id, read_settings())
    repository = await open_repository()
    conditions = conditions or Conditions()
    new = await in_its_subnet(new_guard(statement, name))
    for _ in range(ATTEMPTS):
        old = await repository.find(name)
        conditions.check(old)
        check_replaceable(old)
        try:
            saved, is_new = await save_registration(repository, old, new, by)
            break
        except (AlreadyExists, PreconditionFailed):  # another process was faster: look again
            await pause_briefly()
    else:
        raise PreconditionFailed(f"The guard {name} keeps being changed: ask again.")
    await forget_unreadable(repository.store, saved.key)
    changes: tuple[str, ...] = ()
    try:
        changes = await reconcile(name, Cause("registration"))
    except Transient:  # its status says why; the queue tries again
        await look_soon(read_settings(), name)
    log_write(by, f"PUT guard {saved.name}", saved.nsg_id, changes)
    return await repository.find(name) or saved, is_new


async def save_registration(
    repository: GuardRepository, old: AnyGuard | None, new: Guard, by: str
) -> tuple[Guard, bool]:
    """Save a new guard, or a new statement of one that is there; returns it, and whether it is new.

    A suspension stays, also one of which a record that cannot be read says that there is one.
    """
    now = time.time()
    wants_stop = new.statement.suspended
    new = replace(new, suspension=None)
    if not isinstance(old, Guard):
        wants_stop = wants_stop or (old is not None and old.suspended)
        changed = with_outcome(new, OutcomeType.REGISTERED, by)
    elif old.statement.is_same_as(new.statement) and old.catalogue == new.catalogue:
        changed = old
    else:
        changed = with_outcome(restate(old, new), OutcomeType.CHANGED, by)
    if wants_stop and not changed.is_suspended(now):
        decision = suspend(changed, by, now)
        events = tuple(event_of(decision.guard, one) for one in decision.outcomes)
        changed = replace(decision.guard, outbox=(*decision.guard.outbox, *events))
    if old is None:
        return await repository.create(changed), True
    return await repository.replace(old, changed), False


def with_outcome(guard: Guard, kind: OutcomeType, by: str) -> Guard:
    """Return a guard with an outcome that is saved with it."""
    data = {"by": by, "cause": Cause("registration").to_json()}
    return replace(guard, outbox=(*guard.outbox, event_of(guard, Outcome(kind, data))))


async def in_its_subnet(guard: Guard) -> Guard:
    """Return a guard with the subnet in which ARM says its file system is, so that it claims that.

    Where this cannot be told it stays as it is; the reconcile says why.
    """
    intent = guard.statement.intent
    network = network_for(intent, live=True)
    if network is None or intent.file_system_id is None:
        return guard
    try:
        located = locate(await network.file_system(intent.file_system_id))
    except GuardError:
        return guard
    return guard.found_in(located.subnet_id)


async def check_free(name: str, statement: GuardStatement) -> None:
    """Raise `Conflict` where a guard of another NSG has the name, or another holds the NSG or subnet.

    An apply asks before it writes; `register` then has the last word.
    """
    repository = await open_repository()
    old, new = await repository.find(name), await in_its_subnet(new_guard(statement, name))
    check_replaceable(old)
    if isinstance(old, Guard) and not same_id(old.nsg_id, new.nsg_id):
        raise Conflict(
            "guard-name-taken",
            f"The guard {old.name} protects {old.nsg_id}: give this one another name.",
            {"guard": old.name, "resource": old.nsg_id},
        )
    await repository.check_claims(new)


@answered()
async def delete_guard(request: func.HttpRequest) -> func.HttpResponse:
    """Answer `DELETE /api/guards/{name}`: the NSG stays as it is, and is protected no longer."""
    name, by = request.route_params["name"], caller_of(request)
    conditions = Conditions(request.headers.get("if-match"))
    repository = await open_repository()
    for _ in range(ATTEMPTS):
        guard = await repository.find(name)
        if guard is None:
            raise NotFound(f"There is no guard {name}.")
        conditions.check(guard)
        check_replaceable(guard)
        try:
            await remove(repository, read_settings(), guard, by)
            break
        except PreconditionFailed:  # another process has saved it meanwhile
            await pause_briefly()
    else:
        raise PreconditionFailed(f"The guard {name} keeps being changed: ask again.")
    log_write(by, f"DELETE guard {guard.name}", guard.nsg_id)
    return json_response(None, HTTPStatus.NO_CONTENT)


# -- actions --------------------------------------------------------------------------------------


@answered()
async def reconcile_now(request: func.HttpRequest) -> func.HttpResponse:
    """Answer `POST /api/guards/{name}/reconcile`: look now, and restore."""
    repository = await open_repository()
    guard = await repository.get(request.route_params["name"])
    changes = await reconcile(guard.key, Cause("request"))
    log_write(caller_of(request), f"reconcile guard {guard.name}", guard.nsg_id, changes)
    return shown(await repository.get(guard.key))


@answered()
async def suspend_guard(request: func.HttpRequest) -> func.HttpResponse:
    """Answer `POST /api/guards/{name}/suspend`: stop writing, go on looking."""
    asked = read_suspension(request)
    settings, by = read_settings(), caller_of(request)
    repository = await open_repository(settings)
    guard = await repository.get(request.route_params["name"])
    if guard.declared and not settings.declared_may_be_suspended:
        raise Conflict(
            "guard-declared",
            f"The guard {guard.name} is declared with the deployment (AMLFS_GUARDS): set its mode to"
            " audit there, or set AMLFS_DECLARED_MAY_BE_SUSPENDED to true.",
        )
    until, now = asked.until.timestamp() if asked.until else None, time.time()
    outcomes = Outcomes(repository.store, settings)
    saved, _ = await save_decision(
        repository,
        outcomes,
        guard,
        lambda current: suspend(current, by, now, asked.reason, until),
        for_any_statement=True,
    )
    log_write(by, f"suspend guard {guard.name}", guard.nsg_id)
    if until is not None:
        due = min(until, now + LONGEST_MESSAGE_DELAY)
        try:
            await send(settings, GUARDS, GuardMessage(guard.key, Cause("request"), due=due + 1))
        except GuardError:
            return shown(saved)  # the sweep ends it
    return shown(await repository.get(guard.key))


def seconds_of(moment: datetime) -> float:
    """Return a time in seconds since the epoch; infinite for one that is no time on any clock."""
    try:
        return moment.timestamp()
    except (OverflowError, ValueError):
        return float("inf")


def read_suspension(request: func.HttpRequest) -> SuspendRequest:
    """Read the body of a suspension, which may be empty; its end must lie in the future."""
    if not request.get_body().strip():
        return SuspendRequest()
    asked = read_document(SuspendRequest, read_json(request))
    if asked.until is not None and not time.time() < seconds_of(asked.until) < LATEST:
        raise InvalidInput(
            [FieldError("/until", "Give a time in the future, before 2100, as ISO 8601.")]
        )
    return asked


@answered()
async def resume_guard(request: func.HttpRequest) -> func.HttpResponse:
    """Answer `POST /api/guards/{name}/resume`: circuit closed, its count empty, and look at once."""
    settings, by = read_settings(), caller_of(request)
    repository = await open_repository(settings)
    guard = await repository.get(request.route_params["name"])
    outcomes = Outcomes(repository.store, settings)
    await save_decision(
        repository, outcomes, guard, lambda current: resume(current, by), for_any_statement=True
    )
    changes = await reconcile(guard.key, Cause("request"))
    log_write(by, f"resume guard {guard.name}", guard.nsg_id, changes)
    return shown(await repository.get(guard.key))


# -- answers --------------------------------------------------------------------------------------


def shown(guard: AnyGuard, status: HTTPStatus = HTTPStatus.OK) -> func.HttpResponse:
    """Answer with a guard and its version."""
    return json_response(guard_json(guard), status.value, {"ETag": etag_of(guard)})


def etag_of(guard: AnyGuard) -> str:
    """Return a guard's version as an entity tag (RFC 9110)."""
    return guard.version if guard.version.endswith('"') else f'"{guard.version}"'


def page(request: func.HttpRequest, value: list[Any], more: str | None) -> dict[str, Any]:
    """Return a page of a list, with the link to the next one."""
    if more is None:
        return {"value": value}
    path = request.url.partition("?")[0]
    kept = {name: request.params[name] for name in FILTERS if name in request.params}
    query = urlencode({"limit": read_limit(request), **kept}, quote_via=quote)
    return {"value": value, "nextLink": f"{path}?page={quote(more)}&{query}"}


def check_replaceable(guard: AnyGuard | None) -> None:
    """Raise `Conflict` for a guard that the deployment declares, or a newer version has written."""
    if guard is not None and guard.declared:
        raise Conflict(
            "guard-declared",
            f"The guard {guard.name} is declared with the deployment (AMLFS_GUARDS): change it there.",
        )
    if isinstance(guard, UnreadableGuard) and guard.is_newer:
        raise Conflict("guard-newer-schema", guard.reason)
