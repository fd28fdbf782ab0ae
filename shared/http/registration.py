"""Registering guards over HTTP: by PUT, and with an apply."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from werkzeug.http import parse_etags, unquote_etag

from shared.applying.live import locate
from shared.applying.refusals import check_scope
from shared.cloud.resources import same_id
from shared.errors import Conflict, GuardError, PreconditionFailed, Transient
from shared.guards.actions import restate, suspend, weakenings
from shared.guards.declared import look_soon, new_guard
from shared.guards.guard import Guard, UnreadableGuard
from shared.guards.observation import Cause
from shared.guards.outcome import Outcome, OutcomeType
from shared.guards.outcomes import event_of
from shared.guards.repository import ATTEMPTS, AlreadyExists, pause_briefly
from shared.guards.services import open_repository, reconcile
from shared.guards.states import log_states, states_of
from shared.guards.unreadable import forget_unreadable
from shared.http.callers import log_write
from shared.http.requests import network_for
from shared.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.guards.guard import GuardStatement
    from shared.guards.repository import AnyGuard, GuardRepository


class Conditions:
    """What a request says of the version that it replaces (RFC 9110, section 13)."""

    def __init__(self, if_match: str | None = None, if_none_match: str | None = None) -> None:
        self.if_match = if_match
        self.if_none_match = if_none_match

    def check(self, guard: AnyGuard | None) -> None:
        """Raise `PreconditionFailed` where a guard is not as the caller says."""
        if self.if_match is not None and not (guard and is_among(guard, self.if_match)):
            raise PreconditionFailed("The guard is not as If-Match says: read it again.")
        if self.if_none_match is not None and guard and is_among(guard, self.if_none_match):
            raise PreconditionFailed(
                f"There is a guard {guard.name} already, as If-None-Match names it."
            )


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
        less = weakenings(old, new)
        changed = with_outcome(restate(old, new), OutcomeType.CHANGED, by, less)
    if wants_stop and not changed.is_suspended(now):
        decision = suspend(changed, by, now)
        events = tuple(event_of(decision.guard, one) for one in decision.outcomes)
        changed = replace(decision.guard, outbox=(*decision.guard.outbox, *events))
    if old is None:
        return await repository.create(changed), True
    saved = await repository.replace(old, changed)
    if states_of(old, now) != states_of(saved, now):
        log_states(saved, now)
    return saved, False


def with_outcome(guard: Guard, kind: OutcomeType, by: str, less: Sequence[str] = ()) -> Guard:
    """Return a guard with an outcome that is saved with it; it says how the guard protects less."""
    data: dict[str, Any] = {"by": by, "cause": Cause("registration").to_json()}
    if less:
        data["weakened"] = list(less)
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


def is_among(guard: AnyGuard, header: str) -> bool:
    """Whether a header lists a guard's entity tag, or `*`; weak ones count (RFC 9110, section 8.8.3)."""
    tags, (tag, _) = parse_etags(header), unquote_etag(etag_of(guard))
    return tags.star_tag or tags.contains_weak(tag or "")


def etag_of(guard: AnyGuard) -> str:
    """Return a guard's version as an entity tag (RFC 9110)."""
    return guard.version if guard.version.endswith('"') else f'"{guard.version}"'


def check_replaceable(guard: AnyGuard | None) -> None:
    """Raise `Conflict` for a guard that the deployment declares, or a newer version has written."""
    if guard is not None and guard.declared:
        raise Conflict(
            "guard-declared",
            f"The guard {guard.name} is declared with the deployment (AMLFS_GUARDS): change it there.",
        )
    if isinstance(guard, UnreadableGuard) and guard.is_newer:
        raise Conflict("guard-newer-schema", guard.reason)
