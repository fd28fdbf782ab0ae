"""The book of guards: how they are kept, found by what they watch, and changed without losing a change.

Beside a guard's own record stand

- its *claims*, on the NSG and the subnet that it keeps right: no two guards can have the same;
- its *watches*, one for each resource whose change concerns it, so that an event finds its guards by
  reading one partition.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from shared.errors import Conflict, NotFound, PreconditionFailed
from shared.guards.guard import Guard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from shared.cloud.store import Record, Store

GUARD, CLAIM = "guard", "claim"
ATTEMPTS = 20


class GuardBook:
    """Guards in a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def find(self, name: str) -> Guard | None:
        """Return a guard by its name in any case, or None."""
        record = await self.store.get(GUARD, name.lower())
        return Guard.from_json(record.body, record.version) if record else None

    async def get(self, name: str) -> Guard:
        """Return a guard; raises `NotFound`."""
        guard = await self.find(name)
        if guard is None:
            raise NotFound(f"There is no guard {name}.")
        return guard

    async def page(self, after: str = "", limit: int = 100) -> tuple[list[Guard], str | None]:
        """Return guards by name, and the name to go on after, if there are more."""
        records, more = await self.store.page(GUARD, after, limit)
        return [Guard.from_json(record.body, record.version) for record in records], more

    async def all(self) -> AsyncIterator[Guard]:
        """Yield every guard."""
        after: str | None = ""
        while after is not None:
            guards, after = await self.page(after, 500)
            for guard in guards:
                yield guard

    async def watching(self, resource_id: str) -> list[str]:
        """Return the names of the guards that watch a resource."""
        names: list[str] = []
        after: str | None = ""
        while after is not None:
            records, after = await self.store.page(watch(resource_id), after, 500)
            names += [str(record.body["guard"]) for record in records]
        return names

    # -- changing ---------------------------------------------------------------------------------

    async def create(self, guard: Guard) -> Guard:
        """Keep a new guard.

        Raises:
            Conflict: another guard has its name, its NSG or its subnet.
        """
        await self._claim(guard)
        try:
            record = await self.store.create(GUARD, guard.key, guard.to_json())
        except PreconditionFailed:
            await self._release(guard)
            raise Conflict("guard-name-taken", f"There is a guard {guard.name} already.") from None
        await self._watch(guard, ())
        return guard_with(guard, record.version)

    async def replace(self, old: Guard, new: Guard) -> Guard:
        """Keep another guard in the place of one that is as it was read.

        Raises:
            PreconditionFailed: it was changed meanwhile.
            Conflict: another guard has the new one's NSG or subnet.
        """
        gained = claims(new) - claims(old)
        if gained:
            await self._claim(new)
        record = await self.store.replace(GUARD, old.key, new.to_json(), old.version)
        for claimed in claims(old) - claims(new):
            await self.store.delete(CLAIM, digest(claimed))
        await self._watch(new, old.watched)
        return guard_with(new, record.version)

    async def change(self, name: str, change: Callable[[Guard], Guard]) -> Guard:
        """Change a guard, whatever others change meanwhile; raises `NotFound` and `Conflict`."""
        for _ in range(ATTEMPTS):
            old = await self.get(name)
            new = change(old)
            if new == old:
                return old
            try:
                return await self.replace(old, new)
            except PreconditionFailed:
                await asyncio.sleep(0.01)
        raise PreconditionFailed(f"The guard {name} keeps being changed.")

    async def delete(self, guard: Guard) -> None:
        """Forget a guard that is as it was read; raises `PreconditionFailed`."""
        await self.store.delete(GUARD, guard.key, guard.version)
        await self._release(guard)
        for watched in guard.watched:
            await self.store.delete(watch(watched), guard.key)

    async def check_claims(self, guard: Guard) -> None:
        """Raise `Conflict` where another guard has this one's NSG or subnet."""
        for claimed in sorted(claims(guard)):
            await self._check_claim(guard, claimed)

    async def _check_claim(self, guard: Guard, claimed: str) -> Record | None:
        """Return the record of a claim that a guard has or may take over; raises `Conflict`."""
        record = await self.store.get(CLAIM, digest(claimed))
        other = await self.find(str(record.body["guard"])) if record else None
        if other is not None and other.key != guard.key and claimed in claims(other):
            raise Conflict(
                "guarded-already",
                f"The guard {other.name} has {claimed} already.",
                {"guard": other.name, "resource": claimed},
            )
        return record

    async def _claim(self, guard: Guard) -> None:
        """Claim a guard's NSG and subnet; a claim of a guard that is gone is taken over."""
        for claimed in sorted(claims(guard)):
            body = {"guard": guard.key, "resource": claimed}
            try:
                await self.store.create(CLAIM, digest(claimed), body)
            except PreconditionFailed:
                record = await self._check_claim(guard, claimed)
                if record is not None and record.body != body:
                    await self.store.replace(CLAIM, digest(claimed), body, record.version)

    async def _release(self, guard: Guard) -> None:
        for claimed in claims(guard):
            record = await self.store.get(CLAIM, digest(claimed))
            if record is not None and record.body["guard"] == guard.key:
                await self.store.delete(CLAIM, digest(claimed))

    async def _watch(self, guard: Guard, before: tuple[str, ...]) -> None:
        """Have events on what a guard watches find it."""
        for watched in set(guard.watched) - set(before):
            try:
                await self.store.create(watch(watched), guard.key, {"guard": guard.key})
            except PreconditionFailed:
                continue  # it is there already
        for gone in set(before) - set(guard.watched):
            await self.store.delete(watch(gone), guard.key)


def claims(guard: Guard) -> set[str]:
    """Return the ids, without case, that no other guard may have."""
    return {one.lower() for one in (guard.nsg_id, guard.subnet_id) if one}


def digest(resource_id: str) -> str:
    """Return a key for a resource id, which may hold what no key can."""
    return hashlib.sha256(resource_id.lower().encode()).hexdigest()


def watch(resource_id: str) -> str:
    """Return the kind of the records that name the guards of a resource."""
    return f"watch-{digest(resource_id)}"


def guard_with(guard: Guard, version: str) -> Guard:
    """Return a guard as it stands in the store."""
    return Guard.from_json(guard.to_json(), version)
