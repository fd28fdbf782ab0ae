"""The repository of guards: how they are stored, found by what they watch, and changed without a loss.

Beside a guard's own record stand

- *claims* on the NSG and the subnet that it protects: who holds them. An NSG has one guard, unless all
  its guards have `allowShared` and different prefixes; a subnet has one guard, always;
- *watches*, one for each resource whose change concerns it, so that an event finds its guards by reading
  one partition.

The record comes first, then claims and watches: a guard whose claims are not in place writes nothing,
and the sweep puts them in place again where a process died in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.errors import Conflict, NotFound, PreconditionFailed, Transient
from shared.guards.guard import Guard, UnreadableGuard
from shared.guards.record import SCHEMA, guard_body, load_guard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from shared.cloud.store import Record, Store

GUARD, CLAIM = "guard", "claim"
CLAIM_MISSING = "claim-missing"
ATTEMPTS = 20

NEW_SECONDS = 30.0
"""A claim counts for so long without a guard that names its resource."""

AnyGuard = Guard | UnreadableGuard


class AlreadyExists(Conflict):
    """There is a guard of that name already."""

    def __init__(self, name: str) -> None:
        super().__init__("guard-name-taken", f"There is a guard {name} already.")


class GuardRepository:
    """Guards in a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def find(self, name: str) -> AnyGuard | None:
        """Return a guard by its name in any case, or None."""
        record = await self.store.get(GUARD, name.lower())
        return load_guard(record) if record else None

    async def get(self, name: str) -> Guard:
        """Return a guard; raises `NotFound`, or `Conflict` for one that cannot be read."""
        guard = await self.find(name)
        if guard is None:
            raise NotFound(f"There is no guard {name}.")
        if isinstance(guard, UnreadableGuard):
            raise Conflict(
                "guard-unreadable",
                f"The guard {guard.name} cannot be read: {guard.reason} PUT it anew, or DELETE it.",
                {"guard": guard.name},
            )
        return guard

    async def page(self, after: str = "", limit: int = 100) -> tuple[list[AnyGuard], str | None]:
        """Return guards by name, and the name to go on after, if there are more."""
        records, more = await self.store.page(GUARD, after, limit)
        return [load_guard(record) for record in records], more

    async def all(self) -> AsyncIterator[AnyGuard]:
        """Yield every guard."""
        after: str | None = ""
        while after is not None:
            guards, after = await self.page(after, 500)
            for guard in guards:
                yield guard

    async def watching(self, resource_id: str) -> list[str]:
        """Return the keys of the guards that watch a resource."""
        keys: list[str] = []
        after: str | None = ""
        while after is not None:
            records, after = await self.store.page(watch_kind(resource_id), after, 500)
            keys += [record.key for record in records]
        return keys

    # -- changing ---------------------------------------------------------------------------------

    async def create(self, guard: Guard) -> Guard:
        """Save a new guard.

        Raises:
            AlreadyExists: another process was faster.
            Conflict: another guard holds its NSG or its subnet.
        """
        await self.check_claims(guard)
        try:
            record = await self.store.create(GUARD, guard.key, guard_body(guard), SCHEMA)
        except PreconditionFailed:
            raise AlreadyExists(guard.name) from None
        saved = replace(guard, version=record.version)
        try:
            await self.assert_claims(saved)
        except Conflict:
            await self._take_back(saved)
            raise
        return saved

    async def create_unclaimed(self, guard: Guard) -> Guard:
        """Save a new guard that does not hold its NSG and subnet (yet); raises `AlreadyExists`."""
        try:
            record = await self.store.create(GUARD, guard.key, guard_body(guard), SCHEMA)
        except PreconditionFailed:
            raise AlreadyExists(guard.name) from None
        saved = replace(guard, version=record.version)
        await self._watch(saved, ())
        return saved

    async def replace(self, old: AnyGuard, new: Guard) -> Guard:
        """Save another statement in the place of a guard that is as it was read.

        Raises:
            PreconditionFailed: it was changed meanwhile.
            Conflict: another guard holds the new one's NSG or subnet.
        """
        await self.check_claims(new)
        saved = await self.save(old, new)
        await self.assert_claims(saved)
        return saved

    async def save(self, old: AnyGuard, new: Guard) -> Guard:
        """Save a guard that is as it was read.

        Raises:
            PreconditionFailed: it was changed, or deleted, meanwhile.
            Conflict: another guard holds a subnet that is new to this one.
        """
        known = claims(old) if isinstance(old, Guard) else claims(new)
        gained = claims(new) - known
        if gained and new.conflict is None:
            await self.assert_claims(new)
        record = await self.store.replace(GUARD, old.key, guard_body(new), old.version, SCHEMA)
        if isinstance(old, Guard):
            await self._release(old.key, claims(old) - claims(new))
            if old.watched != new.watched:
                await self._watch(new, old.watched)
        else:
            await self._watch(new, ())
        return replace(new, version=record.version)

    async def change(self, name: str, change: Callable[[Guard], Guard]) -> Guard:
        """Change a guard, whatever others change meanwhile; raises `NotFound` and `Conflict`."""
        for _ in range(ATTEMPTS):
            old = await self.get(name)
            new = change(old)
            if new == old:
                return old
            with contextlib.suppress(PreconditionFailed):
                return await self.save(old, new)
            await pause_briefly()
        raise Transient(f"The guard {name} keeps being changed.")

    async def delete(self, guard: AnyGuard) -> None:
        """Delete a guard that is as it was read; raises `PreconditionFailed`."""
        await self.store.delete(GUARD, guard.key, guard.version)
        if await self.find(guard.key) is not None:
            return  # somebody has registered the name anew: claims and watches are that guard's now
        if isinstance(guard, Guard):  # of another, claims and watches end when they are next met
            await self._release(guard.key, claims(guard))
            await self._unwatch(guard.key, guard.watched)

    async def _take_back(self, guard: Guard) -> None:
        """Delete a guard that was just created, however often others have saved it meanwhile."""
        for _ in range(ATTEMPTS):
            current = await self.find(guard.key)
            if not isinstance(current, Guard) or current.id != guard.id:
                return
            with contextlib.suppress(PreconditionFailed):
                await self.delete(current)
                return

    # -- claims -----------------------------------------------------------------------------------

    async def check_claims(self, guard: Guard) -> None:
        """Raise `Conflict` where another guard holds this one's NSG or subnet."""
        for resource in sorted(claims(guard)):
            await self._holders(await self.store.get(CLAIM, digest(resource)), guard, resource)

    async def check_held(self, guard: Guard) -> None:
        """Raise `Conflict` where this guard does not hold its NSG and subnet."""
        for resource in sorted(claims(guard)):
            record = await self.store.get(CLAIM, digest(resource))
            await self._holders(record, guard, resource)
            if guard.key not in holders_in(record):
                raise Conflict(CLAIM_MISSING, f"The guard {guard.name} does not hold {resource}.")

    async def check_watched(self, guard: Guard) -> None:
        """Raise `Conflict` where an event on what a guard watches does not find it."""
        for watched in guard.watched:
            if await self.store.get(watch_kind(watched), guard.key) is None:
                raise Conflict(CLAIM_MISSING, f"Events on {watched} do not find {guard.name}.")

    async def assert_claims(self, guard: Guard) -> None:
        """Put a guard's claims and watches in place; raises `Conflict` as `check_claims` does."""
        await self._watch(guard, ())
        for resource in sorted(claims(guard)):
            await self._claim(guard, resource)

    async def _claim(self, guard: Guard, resource: str) -> None:
        for _ in range(ATTEMPTS):
            record = await self.store.get(CLAIM, digest(resource))
            others = await self._holders(record, guard, resource)
            names = sorted({*others, guard.key})
            if record is not None and holders_in(record) == names:
                return
            body = {"resource": resource, "guards": names, "at": time.time()}
            with contextlib.suppress(PreconditionFailed):
                if record is None:
                    await self.store.create(CLAIM, digest(resource), body)
                else:
                    await self.store.replace(CLAIM, digest(resource), body, record.version)
                return
            await pause_briefly()
        raise Transient(f"The claim on {resource} keeps being changed.")

    async def _holders(self, record: Record | None, guard: Guard, resource: str) -> list[str]:
        """Return the other guards that hold a resource; raises `Conflict` where that excludes this one.

        A claim of a guard that is gone, or that names another resource by now, does not count. A new
        one does: its guard is about to be saved.
        """
        others = []
        for key in holders_in(record):
            other = await self.find(key) if key != guard.key else None
            if other is None:
                continue
            names_it = not isinstance(other, Guard) or resource in claims(other)
            if not names_it and not is_new(record):
                continue
            if not may_share(guard, other, resource):
                raise Conflict(
                    "guarded-already",
                    f"The guard {other.name} has {resource} already.",
                    {"guard": other.name, "resource": resource},
                )
            others.append(key)
        return others

    async def _release(self, key: str, resources: Iterable[str]) -> None:
        for resource in resources:
            for _ in range(ATTEMPTS):
                record = await self.store.get(CLAIM, digest(resource))
                others = [other for other in holders_in(record) if other != key]
                if record is None or len(others) == len(holders_in(record)):
                    break
                with contextlib.suppress(PreconditionFailed):
                    if others:
                        body = {"resource": resource, "guards": others}
                        await self.store.replace(CLAIM, record.key, body, record.version)
                    else:
                        await self.store.delete(CLAIM, record.key, record.version)
                    break

    # -- watches ----------------------------------------------------------------------------------

    async def _watch(self, guard: Guard, before: tuple[str, ...]) -> None:
        """Have events on what a guard watches find it."""
        for watched in set(guard.watched) - set(before):
            if await self.store.get(watch_kind(watched), guard.key) is None:
                with contextlib.suppress(PreconditionFailed):  # another process was faster
                    await self.store.create(watch_kind(watched), guard.key, {"guard": guard.key})
        await self._unwatch(guard.key, set(before) - set(guard.watched))

    async def _unwatch(self, key: str, resources: Iterable[str]) -> None:
        for resource in resources:
            await self.store.delete(watch_kind(resource), key)


def claims(guard: Guard) -> set[str]:
    """Return the ids, without case, of the NSG and the subnet that a guard protects."""
    return {one.lower() for one in (guard.nsg_id, guard.subnet_id) if one}


def may_share(guard: Guard, other: AnyGuard, resource: str) -> bool:
    """Whether two guards may hold a resource together."""
    if isinstance(other, UnreadableGuard) or resource != guard.nsg_id.lower():
        return False
    prefixes = {one.statement.intent.name_prefix.lower() for one in (guard, other)}
    both_allow = guard.statement.allow_shared and other.statement.allow_shared
    return both_allow and len(prefixes) == 2 and other.nsg_id.lower() == resource


def holders_in(record: Record | None) -> list[str]:
    """Return the keys of the guards in a claim; an old one names a single guard."""
    if record is None:
        return []
    found = record.body.get("guards", [record.body.get("guard")])
    return [key for key in found if isinstance(key, str)] if isinstance(found, list) else []


def is_new(record: Record | None) -> bool:
    """Whether a claim was made just now, so that its guard may not be saved yet."""
    made = record.body.get("at") if record is not None else None
    return isinstance(made, int | float) and abs(time.time() - made) < NEW_SECONDS


def digest(resource_id: str) -> str:
    """Return a key for a resource id, which may have characters that no key can have."""
    return hashlib.sha256(resource_id.lower().encode()).hexdigest()


def watch_kind(resource_id: str) -> str:
    """Return the kind of the records that name the guards of a resource."""
    return f"watch-{digest(resource_id)}"


async def pause_briefly() -> None:
    """Let another process finish what it is doing to the same record."""
    await asyncio.sleep(random.uniform(0.005, 0.02))  # noqa: S311 - no secret
