"""Guards that are declared with the deployment: in `AMLFS_GUARDS`, as JSON or the path of a file.

They are read one by one. A wrong one is saved as a record that cannot be read, with the reason, so
that it shows wherever guards show, and stops no other. A declaration that says what is saved already
changes nothing: suspension, circuit, status, history and unpublished outcomes survive a restart.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.documents import read_document
from shared.errors import Conflict, GuardError, InvalidInput, PreconditionFailed
from shared.guards.actions import restate
from shared.guards.deleting import delete_guard
from shared.guards.guard import (
    NAME,
    ClaimConflict,
    Guard,
    GuardStatement,
    Suspension,
    UnreadableGuard,
)
from shared.guards.messages import GUARDS, GuardMessage, send
from shared.guards.observation import Cause, watched_by
from shared.guards.outcome import Outcome, OutcomeType
from shared.guards.outcomes import event_of, save_once
from shared.guards.record import SCHEMA, WRONGLY_DECLARED
from shared.guards.repository import ATTEMPTS, GUARD, AlreadyExists, pause_briefly

if TYPE_CHECKING:
    from shared.guards.repository import AnyGuard, GuardRepository
    from shared.settings import Settings

log = logging.getLogger(__name__)

SETTING = "AMLFS_GUARDS"
BY = f"the deployment ({SETTING})"

DECLARED = "declared"
"""The kind of the records that name the declared guards, so that a start need not read all guards."""

_done: dict[str, str] = {}
"""What this process has declared in which store: an optimisation. The sweep declares again."""


@dataclass(frozen=True, slots=True)
class WrongDeclaration:
    """A declaration that cannot be used.

    Attributes:
        name: of the guard, or one that says which element of the setting is meant.
        reason: what is wrong and what to do.
    """

    name: str
    reason: str


Declaration = Guard | WrongDeclaration


async def declare_guards(
    repository: GuardRepository, settings: Settings, *, again: bool = False
) -> None:
    """Save the declared guards, once per process or `again`; those no longer declared are deleted."""
    text = settings.guards or "[]"
    if _done.get(settings.store) == text and not again:
        return
    declarations = read_declarations(text)
    if declarations is None:
        wrong = WrongDeclaration(SETTING, f"{SETTING} is neither a JSON list nor a file with one.")
        log.error("%s", wrong.reason)
        await declare(repository, wrong)  # whatever was declared before goes on
    else:
        names = {one.name.lower() for one in declarations}
        if not any(
            is_nameless(one) for one in declarations
        ):  # else a name may be missing by mistake
            await delete_undeclared(repository, settings, names, again=again)
        for declaration in declarations:
            if await declare(repository, declaration):
                await look_soon(settings, declaration.name)
    _done[settings.store] = text


async def look_soon(settings: Settings, name: str) -> None:
    """Have a guard looked at that was declared just now; the sweep does it where no queue is there."""
    try:
        await send(settings, GUARDS, GuardMessage(name.lower(), Cause("registration")))
    except GuardError as error:
        log.warning("the first look at guard %s is left to the sweep: %s", name, error)


def read_declarations(text: str) -> list[Declaration] | None:
    """Read the setting, guard by guard; None where it is no JSON list at all."""
    try:
        is_json = text.lstrip()[:1] in ("[", "{")
        documents = json.loads(text if is_json else Path(text).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return None
    items = documents if isinstance(documents, list) else [documents]
    declarations: list[Declaration] = []
    names: set[str] = set()
    for i, item in enumerate(items):
        declaration = read_declaration(item, i)
        if declaration.name.lower() in names:
            reason = f"{SETTING}, guard {i}: {declaration.name} is declared twice."
            declaration = WrongDeclaration(f"{SETTING}-{i}", reason)
        names.add(declaration.name.lower())
        declarations.append(declaration)
    return declarations


def read_declaration(document: Any, i: int) -> Declaration:
    """Read one guard of the setting."""
    stated = document.get("name") if isinstance(document, dict) else None
    is_name = isinstance(stated, str) and NAME.fullmatch(stated) is not None
    name = str(stated) if is_name else f"{SETTING}-{i}"
    try:
        statement = read_document(GuardStatement, document)
    except InvalidInput as error:
        return WrongDeclaration(name, f"{SETTING}, guard {i}: {error}")
    if not statement.name:
        return WrongDeclaration(name, f"{SETTING}, guard {i}: every guard needs a name.")
    return new_guard(statement, statement.name, declared=True)


async def declared_keys(repository: GuardRepository) -> set[str]:
    """Return the keys of all guards that are declared, by their records alone."""
    keys: set[str] = set()
    after: str | None = ""
    while after is not None:
        records, after = await repository.store.page(GUARD, after, 500)
        keys |= {record.key for record in records if record.body.get("declared") is True}
    return keys


def is_nameless(declaration: Declaration) -> bool:
    """Whether a declaration is wrong in a way that hides which guard it is about."""
    is_wrong = isinstance(declaration, WrongDeclaration)
    return is_wrong and declaration.name.startswith(f"{SETTING}-")


async def delete_undeclared(
    repository: GuardRepository, settings: Settings, names: set[str], *, again: bool
) -> None:
    """Delete guards that were declared and no longer are; the sweep looks at all guards for them.

    A record of a newer schema stays: a newer version of the service has declared it.
    """
    store = repository.store
    records, _ = await store.page(DECLARED, "", 1000)
    gone = {record.key for record in records} - names
    if again:
        gone |= await declared_keys(repository) - names
    for key in gone:
        old = await repository.find(key)
        if isinstance(old, UnreadableGuard) and old.is_newer:
            continue
        if old is not None and old.declared:
            with contextlib.suppress(PreconditionFailed):  # another process does it
                await delete_guard(repository, settings, old, BY)
        await store.delete(DECLARED, key)


async def declare(repository: GuardRepository, declaration: Declaration) -> bool:
    """Save one declaration, whatever other processes save meanwhile; returns whether it is news."""
    await save_once(repository.store, DECLARED, declaration.name.lower(), {})
    for _ in range(ATTEMPTS):
        known = await repository.find(declaration.name)
        try:
            if isinstance(declaration, WrongDeclaration):
                await save_wrong(repository, declaration, known)
                return False
            is_news = await save_declared(repository, declaration, known)
            await assert_declared(repository, declaration.key)
        except (AlreadyExists, PreconditionFailed):
            await pause_briefly()
        else:
            return is_news
    log.error("the declared guard %s keeps being changed by other processes", declaration.name)
    return False


async def save_declared(repository: GuardRepository, guard: Guard, known: AnyGuard | None) -> bool:
    """Save a declared guard where it is new or changed; returns whether it was.

    Raises:
        AlreadyExists, PreconditionFailed: another process was faster.
    """
    if isinstance(known, UnreadableGuard):
        if known.is_newer:
            log.error("the declared guard %s is left alone: %s", guard.name, known.reason)
            return False
        await repository.save(known, registered(guard, OutcomeType.REGISTERED))
    elif known is None:
        await repository.create_unclaimed(registered(guard, OutcomeType.REGISTERED))
    elif not (known.declared and known.statement.is_same_as(guard.statement)):
        changed = restate(known, guard)
        try:
            await repository.check_claims(changed)
        except Conflict as taken:
            changed = replace(changed, conflict=conflict_of(taken))
        await repository.save(known, registered(changed, OutcomeType.CHANGED))
    else:
        if known.declaration_error is not None:  # it is right again
            await repository.save(known, replace(known, declaration_error=None))
        return False
    return True


async def assert_declared(repository: GuardRepository, key: str) -> None:
    """Put a declared guard's claims in place, or note which guard holds them."""
    guard = await repository.find(key)
    if not isinstance(guard, Guard):
        return
    conflict: ClaimConflict | None = None
    try:
        await repository.assert_claims(guard)
    except Conflict as taken:
        conflict = conflict_of(taken)
        log.warning("the declared guard %s writes nothing: %s", guard.name, taken)
    if conflict != guard.conflict:
        with contextlib.suppress(PreconditionFailed):  # the next look finds it, too
            await repository.save(guard, replace(guard, conflict=conflict))


async def save_wrong(
    repository: GuardRepository, wrong: WrongDeclaration, known: AnyGuard | None
) -> None:
    """Save a record that says what is wrong; a guard that was declared rightly before goes on."""
    if isinstance(known, Guard):
        if known.declaration_error != wrong.reason:
            log.error("guard %s goes on as it was declared before: %s", known.name, wrong.reason)
            reason = f"{wrong.reason} The guard goes on as it was declared before."
            data = {"reason": reason, "cause": Cause("registration").to_json()}
            event = event_of(known, Outcome(OutcomeType.FAILED, data))
            wanted = replace(known, declaration_error=wrong.reason, outbox=(*known.outbox, event))
            await repository.save(known, wanted)
        return
    body = {"name": wrong.name, "declared": True, WRONGLY_DECLARED: wrong.reason}
    key, store = wrong.name.lower(), repository.store
    if known is None:
        await store.create(GUARD, key, body, SCHEMA)
    elif not known.is_newer and known.reason != wrong.reason:
        await store.replace(GUARD, key, body, known.version, SCHEMA)


def conflict_of(taken: Conflict) -> ClaimConflict:
    """Return which guard holds what."""
    return ClaimConflict(str(taken.facts.get("guard")), str(taken.facts.get("resource")))


def registered(guard: Guard, kind: OutcomeType) -> Guard:
    """Return a guard with the outcome that the deployment has declared it."""
    outcome = Outcome(kind, {"by": BY, "cause": Cause("registration").to_json()})
    return replace(guard, outbox=(*guard.outbox, event_of(guard, outcome)))


def new_guard(statement: GuardStatement, name: str, *, declared: bool = False) -> Guard:
    """Return a guard that nobody has looked at yet."""
    subnet = statement.intent.file_system_subnet
    return Guard(
        name=name,
        statement=statement,
        id=f"{name.lower()}-{uuid.uuid4().hex}",
        catalogue=statement.intent.catalogue,
        declared=declared,
        suspension=Suspension(time.time()) if statement.suspended else None,
        subnet_id=subnet.id if subnet else None,
        watched=watched_by(statement.intent),
    )
