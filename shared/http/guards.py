"""`/api/guards`: registering, showing, suspending and running guards, and their history."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlencode

from pydantic import AwareDatetime, Field

from shared.documents import Document, read_document
from shared.errors import (
    Conflict,
    FieldError,
    GuardError,
    InvalidInput,
    NotFound,
    PreconditionFailed,
)
from shared.guards.actions import resume, suspend
from shared.guards.deleting import delete_guard as remove
from shared.guards.guard import NAME, NAME_RULE, GuardStatement
from shared.guards.messages import GUARDS, GuardMessage, send
from shared.guards.observation import Cause
from shared.guards.outcomes import Outcomes
from shared.guards.repository import ATTEMPTS, pause_briefly
from shared.guards.saving import save_decision
from shared.guards.services import open_repository, reconcile
from shared.http.answers import answered, json_response
from shared.http.callers import caller_of, log_write
from shared.http.guard_answers import GuardFilter, guard_json
from shared.http.registration import Conditions, check_replaceable, etag_of, is_among, register
from shared.http.requests import LONGEST_PAGE, read_json, read_limit
from shared.pools import compute
from shared.settings import read_settings

if TYPE_CHECKING:
    import azure.functions as func

    from shared.guards.repository import AnyGuard

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
    known = request.headers.get("if-none-match")
    if known is not None and is_among(guard, known):
        return json_response(None, HTTPStatus.NOT_MODIFIED, {"ETag": etag_of(guard)})
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
    statement = await compute(lambda: read_document(GuardStatement, read_json(request)))
    if not NAME.fullmatch(name):
        raise InvalidInput([FieldError("/name", f"The name in the path: {NAME_RULE}")])
    if (statement.name or name).lower() != name.lower():
        message = f"The path names the guard {name}: leave the name out here, or give that one."
        raise InvalidInput([FieldError("/name", message)])
    conditions = Conditions(request.headers.get("if-match"), request.headers.get("if-none-match"))
    guard, is_new = await register(name, statement, caller_of(request), conditions)
    return shown(guard, HTTPStatus.CREATED if is_new else HTTPStatus.OK)


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


def page(request: func.HttpRequest, value: list[Any], more: str | None) -> dict[str, Any]:
    """Return a page of a list, with the link to the next one."""
    if more is None:
        return {"value": value}
    path = request.url.partition("?")[0]
    kept = {name: request.params[name] for name in FILTERS if name in request.params}
    query = urlencode({"limit": read_limit(request), **kept}, quote_via=quote)
    return {"value": value, "nextLink": f"{path}?page={quote(more)}&{query}"}
