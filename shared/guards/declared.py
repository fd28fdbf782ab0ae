"""Guards that are declared with the deployment: in `AMLFS_GUARDS`, as JSON or the path of a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from shared.documents import read_document
from shared.errors import Conflict, InvalidInput, Misconfigured
from shared.guards.findings import watched_by
from shared.guards.guard import Guard, GuardStatement

if TYPE_CHECKING:
    from shared.guards.book import GuardBook
    from shared.settings import Settings

_done: set[tuple[int, str]] = set()


async def declare_guards(book: GuardBook, settings: Settings) -> None:
    """Keep the declared guards in the book, once per process; those no longer declared go.

    Raises:
        Misconfigured: the setting cannot be read, or two guards want the same NSG or subnet.
    """
    if settings.guards is None or (id(book.store), settings.guards) in _done:
        return
    wanted = {guard.key: guard for guard in read_guards(settings.guards)}
    async for old in book.all():
        if old.declared and old.key not in wanted:
            await book.delete(old)
    try:
        for guard in wanted.values():
            known = await book.find(guard.key)
            if known is None:
                await book.create(guard)
            elif known.statement != guard.statement or not known.declared:
                await book.replace(known, guard)
    except Conflict as conflict:
        raise Misconfigured(f"AMLFS_GUARDS: {conflict}") from conflict
    _done.add((id(book.store), settings.guards))


def read_guards(text: str) -> list[Guard]:
    """Read the setting; raises `Misconfigured`."""
    try:
        raw = text if text.lstrip().startswith("[") else Path(text).read_text(encoding="utf-8")
        documents = json.loads(raw)
    except (OSError, ValueError) as error:
        raise Misconfigured(
            f"AMLFS_GUARDS is neither a JSON list nor the path of a file with one: {error}"
        ) from error
    guards = []
    for i, document in enumerate(documents if isinstance(documents, list) else [documents]):
        try:
            statement = read_document(GuardStatement, document)
        except InvalidInput as error:
            raise Misconfigured(f"AMLFS_GUARDS, guard {i}: {error}") from error
        guards.append(new_guard(statement, statement.name, declared=True))
    return guards


def new_guard(statement: GuardStatement, name: str | None, *, declared: bool = False) -> Guard:
    """Return a guard that nobody has looked at yet; raises `Misconfigured` without a name."""
    if not name:
        raise Misconfigured("AMLFS_GUARDS: every guard needs a name.")
    subnet = statement.intent.file_system_subnet
    return Guard(
        name=name,
        statement=statement,
        suspended=statement.suspended,
        declared=declared,
        subnet_id=subnet.id if subnet else None,
        watched=watched_by(statement.intent),
    )
