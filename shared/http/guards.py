"""`/api/guards`: registering, showing, suspending and running guards, and their history."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from shared.applying.applying import check_scope
from shared.applying.live import locate
from shared.cloud.resources import same_id
from shared.documents import read_document
from shared.errors import Conflict, FieldError, GuardError, InvalidInput, PreconditionFailed
from shared.guards.declared import new_guard
from shared.guards.findings import Cause
from shared.guards.guard import NAME, NAME_RULE, GuardStatement
from shared.guards.outcomes import Outcomes, OutcomeType, outcome
from shared.guards.service import open_book, reconcile
from shared.http.answers import answered, json_response
from shared.http.requests import network_for, read_json, read_limit
from shared.settings import read_settings

if TYPE_CHECKING:
    import azure.functions as func

    from shared.guards.guard import Guard


@answered
async def list_guards(request: func.HttpRequest) -> func.HttpResponse:
    """Answer `GET /api/guards`: all guards by name, in pages."""
    book = await open_book()
    guards, more = await book.page(request.params.get("after", ""), read_limit(request))
    return json_response(page(request, [guard_json(guard) for guard in guards], more))


@answered
async def show_guard(request: func.HttpRequest) -> func.HttpResponse:
    """Answer `GET /api/guards/{name}`."""
    book = await open_book()
    return shown(await book.get(request.route_params["name"]))


@answered
async def put_guard(request: func.HttpRequest) -> func.HttpResponse:
    """Answer `PUT /api/guards/{name}`: create or replace a guard, and prove (and restore) at once."""
    name = request.route_params["name"]
    statement = read_document(GuardStatement, read_json(request))
    if not NAME.fullmatch(name):
        raise InvalidInput([FieldError("/name", f"The name in the path: {NAME_RULE}")])
    if (statement.name or name).lower() != name.lower():
        message = f"The path names the guard {name}: leave the name out here, or give that one."
        raise InvalidInput([FieldError("/name", message)])
    wanted = request.headers.get("if-match")
    guard, is_new = await register(name, statement, wanted, request.headers.get("if-none-match"))
    return shown(guard, HTTPStatus.CREATED if is_new else HTTPStatus.OK)


async def register(
    name: str, statement: GuardStatement, if_match: str | None, if_none_match: str | None = None
) -> tuple[Guard, bool]:
    """Keep a guard and reconcile it.

    Returns:
        The guard as it is then, and whether it is new.

    Raises:
        Refused: its NSG lies outside the allowed scopes.
        Conflict: another guard has its NSG or subnet, or the deployment declares it.
        PreconditionFailed: it is not as `if_match` says.
    """
    check_scope(statement.intent.network_security_group_id, read_settings())
    book = await open_book()
    old = await book.find(name)
    check_version(old, if_match)
    if old is not None and if_none_match == "*":
        raise PreconditionFailed(f"There is a guard {name} already.")
    check_declared(old)
    new = await in_its_subnet(new_guard(statement, old.name if old else name))
    if old is None:
        await book.create(new)
    else:
        kept = replace(
            new,
            status=old.status,
            circuit=old.circuit,
            former_subnets=old.former_subnets,
            version=old.version,
        )
        await book.replace(old, kept)
    guard = await reconcile(name, Cause("registration"))
    return guard or new, old is None


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
    """Raise `Conflict` where a guard of another NSG has the name, or another has the NSG or subnet.

    An apply asks before it writes; `register` then has the last word.
    """
    book = await open_book()
    old, new = await book.find(name), await in_its_subnet(new_guard(statement, name))
    check_declared(old)
    if old is not None and not same_id(old.nsg_id, new.nsg_id):
        raise Conflict(
            "guard-name-taken",
            f"The guard {old.name} keeps {old.nsg_id}: give this one another name.",
            {"guard": old.name, "resource": old.nsg_id},
        )
    await book.check_claims(new)


@answered
async def delete_guard(request: func.HttpRequest) -> func.HttpResponse:
    """Answer `DELETE /api/guards/{name}`: the NSG stays as it is, nobody looks after it any more."""
    book = await open_book()
    guard = await book.get(request.route_params["name"])
    check_version(guard, request.headers.get("if-match"))
    check_declared(guard)
    await book.delete(guard)
    return json_response(None, HTTPStatus.NO_CONTENT)


@answered
async def reconcile_now(request: func.HttpRequest) -> func.HttpResponse:
    """Answer `POST /api/guards/{name}/reconcile`: look now, and restore."""
    book = await open_book()
    guard = await book.get(request.route_params["name"])
    return shown(await reconcile(guard.key, Cause("request")) or guard)


@answered
async def suspend_guard(request: func.HttpRequest) -> func.HttpResponse:
    """Answer `POST /api/guards/{name}/suspend`: stop writing, go on looking."""
    book = await open_book()
    guard = await book.get(request.route_params["name"])
    if not guard.suspended:
        await tell(guard, OutcomeType.SUSPENDED, "Suspended by request.")
    return shown(
        await book.change(
            guard.key, lambda g: with_outcome(replace(g, suspended=True), "suspended")
        )
    )


@answered
async def resume_guard(request: func.HttpRequest) -> func.HttpResponse:
    """Answer `POST /api/guards/{name}/resume`: circuit closed, its count empty, and look at once."""
    book = await open_book()
    guard = await book.get(request.route_params["name"])
    if guard.suspended or guard.circuit.is_open:
        await tell(guard, OutcomeType.RESUMED, "Resumed by request.")

    def change(old: Guard) -> Guard:
        resumed = replace(old, suspended=False, circuit=type(old.circuit)(), announced=None)
        return with_outcome(resumed, "resumed")

    guard = await book.change(guard.key, change)
    return shown(await reconcile(guard.key, Cause("request")) or guard)


@answered
async def show_history(request: func.HttpRequest) -> func.HttpResponse:
    """Answer `GET /api/guards/{name}/history`: outcomes, newest first, in pages."""
    book = await open_book()
    guard = await book.get(request.route_params["name"])
    outcomes = Outcomes(book.store, read_settings())
    after = request.params.get("after", "")
    events, more = await outcomes.history(guard.key, after, read_limit(request))
    return json_response(page(request, events, more))


# -- the contract's guard -------------------------------------------------------------------------


def guard_json(guard: Guard) -> dict[str, Any]:
    """Spell a guard as the contract does."""
    statement, status = guard.statement, guard.status
    return {
        "name": guard.name,
        "intent": statement.to_json()["intent"],
        "mode": statement.mode.value,
        "foreignRules": statement.foreign_rules.value,
        "reassociate": statement.reassociate,
        "allowShared": statement.allow_shared,
        "suspended": guard.suspended,
        "status": {
            "verdict": status.verdict,
            "circuit": "open" if guard.circuit.is_open else "closed",
            "since": status.since,
            "lastOutcome": status.last_outcome,
            "lastChecked": status.last_checked,
        },
    }


def shown(guard: Guard, status: HTTPStatus = HTTPStatus.OK) -> func.HttpResponse:
    """Answer with a guard and its version."""
    return json_response(guard_json(guard), status.value, {"ETag": etag_of(guard)})


def etag_of(guard: Guard) -> str:
    """Return a guard's version as an entity tag (RFC 9110)."""
    return guard.version if guard.version.endswith('"') else f'"{guard.version}"'


def page(request: func.HttpRequest, value: list[Any], more: str | None) -> dict[str, Any]:
    """Spell a page of a list."""
    if more is None:
        return {"value": value}
    path = request.url.partition("?")[0]
    return {
        "value": value,
        "nextLink": f"{path}?after={quote(more)}&limit={read_limit(request)}",
    }


def check_version(guard: Guard | None, wanted: str | None) -> None:
    """Raise `PreconditionFailed` where a guard is not as the caller read it."""
    if wanted is None or (guard is not None and wanted in ("*", etag_of(guard))):
        return
    raise PreconditionFailed("The guard is not as If-Match says: read it again.")


def check_declared(guard: Guard | None) -> None:
    """Raise `Conflict` for a guard that the deployment declares."""
    if guard is not None and guard.declared:
        raise Conflict(
            "guard-declared",
            f"The guard {guard.name} is declared with the deployment (AMLFS_GUARDS): change it there.",
        )


def with_outcome(guard: Guard, kind: str) -> Guard:
    """Return a guard whose last outcome is of this type."""
    return replace(guard, status=replace(guard.status, last_outcome=kind))


async def tell(guard: Guard, kind: OutcomeType, reason: str) -> None:
    """Keep and send an outcome of a request."""
    book = await open_book()
    data = {"reason": reason, "cause": Cause("request").to_json()}
    await Outcomes(book.store, read_settings()).tell(guard, outcome(guard, kind, data))
