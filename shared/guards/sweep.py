"""The sweep: finds what events missed. It reads lists in pages, and queues the guards that need work.

The timer divides the guards into parts: one for each subscription, and one for each 5,000 guards of
it. A part is a record in the store and a message in the queue, so that the platform spreads parts over
as many instances as there are. A part lists the NSGs and virtual networks of its subscription, a page
a call, instead of reading each guard's own; asks the policy about every guard; and queues what needs
work as it finds it: a run that is cut off has done a part of its work. It writes nothing to ARM itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
import uuid
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from shared.applying.live import Located, assemble, locate, stated_subnet
from shared.cloud.network import FILE_SYSTEMS, NETWORKS, NSGS
from shared.cloud.resources import parse_id, read_network, read_nsg
from shared.cloud.store import Record
from shared.context import calls_made, calls_throttled
from shared.errors import Conflict, GuardError, NotFound, Transient
from shared.guards.guard import Guard, UnreadableGuard
from shared.guards.housekeeping import is_due, prune_history
from shared.guards.messages import GUARDS, SWEEPS, GuardMessage, send
from shared.guards.observation import Cause, fingerprint_of, observe
from shared.guards.policy import decide, is_settled, needs_work
from shared.guards.record import load_guard
from shared.guards.repository import CLAIM_MISSING, GUARD
from shared.guards.states import log_states, states_of
from shared.guards.unreadable import announce_unreadable
from shared.log_events import log_event
from shared.packets.budget import budget
from shared.pools import compute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from shared.applying.live import Live
    from shared.cloud.arm_body import Document
    from shared.cloud.resources import VirtualNetwork
    from shared.cloud.store import Store
    from shared.guards.reconcile import GuardServices

log = logging.getLogger(__name__)

PART = "sweep-part"
"""The kind of the records that say which guards a part has."""

PART_SIZE = 5_000
READ_TOGETHER = 32
PART_SECONDS = 3_600.0
"""A part that nobody finished is deleted after so long: a later sweep has seen its guards since."""

SWEEP = Cause("sweep")


@dataclass(slots=True)
class SweepResult:
    """What a part of a sweep found.

    Attributes:
        guards: how many guards it has.
        queued: keys of the guards that need work.
        verdicts: how many guards have each verdict, as they were saved; `unreadable` is one of them.
    """

    guards: int = 0
    queued: list[str] = field(default_factory=list)
    verdicts: Counter[str] = field(default_factory=Counter)


# -- dividing -------------------------------------------------------------------------------------


async def divide(store: Store) -> AsyncIterator[str]:
    """Divide all guards into parts, save each as soon as it is full, and yield its key."""
    full: dict[str, list[str]] = defaultdict(list)
    after: str | None = ""
    while after is not None:
        records, after = await store.page(GUARD, after, 500)
        for record in records:
            subscription = subscription_of(record)
            full[subscription].append(record.key)
            if len(full[subscription]) == PART_SIZE:
                yield await save_part(store, subscription, full.pop(subscription))
    for subscription, keys in full.items():
        yield await save_part(store, subscription, keys)


def subscription_of(record: Record) -> str:
    """Return the subscription of a guard's NSG; empty where its record does not say."""
    stated = record.body.get("statement", record.body)
    intent = stated.get("intent") if isinstance(stated, dict) else None
    nsg_id = intent.get("networkSecurityGroupId") if isinstance(intent, dict) else None
    return subscription_in(str(nsg_id))


async def save_part(store: Store, subscription: str, keys: list[str]) -> str:
    """Save a part; its key begins with the time, so that old ones are found."""
    key = f"{round(1000 * time.time()):013}-{uuid.uuid4().hex}"
    await store.create(PART, key, {"subscription": subscription, "guards": keys})
    return key


async def delete_old_parts(store: Store) -> None:
    """Delete the parts that nobody finished."""
    before = f"{round(1000 * (time.time() - PART_SECONDS)):013}"
    records, _ = await store.page(PART, "", 500)
    for record in records:
        if record.key < before:
            await store.delete(PART, record.key)


async def queue_parts(services: GuardServices) -> int:
    """Divide the guards, and send a message for each part; returns how many parts there are.

    Raises:
        GuardError: store or queue cannot be reached.
    """
    from shared.cloud.queues import send_message  # noqa: PLC0415 - it imports an Azure SDK

    store = services.repository.store
    await delete_old_parts(store)
    count = 0
    async for key in divide(store):
        await send_message(services.settings, SWEEPS, json.dumps({"part": key}))
        count += 1
    return count


# -- one part -------------------------------------------------------------------------------------


class PartSweep:
    """The sweep of one part."""

    def __init__(self, services: GuardServices, keys: list[str]) -> None:
        self._services = services
        self._keys = keys
        self._result = SweepResult()
        self._by_nsg: dict[str, list[bytes]] = defaultdict(list)
        self._watched: set[str] = set()
        self._networks: dict[str, VirtualNetwork] = {}
        self._located: dict[str, Located] = {}
        self._broken: dict[str, GuardError] = {}
        self._unread: dict[tuple[str, str], GuardError] = {}

    async def run(self) -> SweepResult:
        """Look at every guard of the part.

        A list that cannot be read concerns the guards that need it, and no others.

        Raises:
            Transient: ARM did not answer; the message is given out again.
        """
        await self._read_guards()
        for kind, take in ((NETWORKS, self._take_network), (FILE_SYSTEMS, self._take_file_system)):
            for subscription in self._subscriptions(kind):
                await self._read_list(kind, subscription, take)
        for subscription in sorted({subscription_in(nsg_id) for nsg_id in self._by_nsg}):
            await self._read_list(NSGS, subscription, self._take_nsg)
        for nsg_id, several in list(self._by_nsg.items()):  # their NSG is in no list
            problem = self._unread.get((NSGS, subscription_in(nsg_id)))
            for packed in several:
                await self._look(packed, problem)
        log_event(
            log,
            "part",
            guards=self._result.guards,
            queued=len(self._result.queued),
            verdicts=dict(self._result.verdicts),
            armCalls=calls_made(),
            throttled=calls_throttled(),
        )
        for error in self._unread.values():
            if isinstance(error, Transient):
                raise error
        return self._result

    async def _read_list(
        self, kind: str, subscription: str, take: Callable[[Document], Awaitable[None]]
    ) -> None:
        """Hand each element of a list on; notes that it could not be read to its end."""
        try:
            async for page in self._services.network.pages(subscription, kind):
                for document in page:
                    await take(document)
        except GuardError as error:
            log.warning("a list of %s in %s is not read: %s", kind, subscription, error)
            self._unread[kind, subscription] = error

    async def _read_guards(self) -> None:
        """Read the part's guards, some of them together."""
        for first in range(0, len(self._keys), READ_TOGETHER):
            together = self._keys[first : first + READ_TOGETHER]
            await asyncio.gather(*map(self._read_guard, together))

    async def _read_guard(self, key: str) -> None:
        """Keep a guard packed: thousands of them take little memory so."""
        services, now = self._services, time.time()
        store = services.repository.store
        record = await store.get(GUARD, key)
        if record is None:
            return
        self._result.guards += 1
        guard = load_guard(record)
        if states_of(guard, now):
            log_states(guard, now)
        if isinstance(guard, UnreadableGuard):
            self._result.verdicts["unreadable"] += 1
            await announce_unreadable(store, services.outcomes, guard, SWEEP)
            return
        self._result.verdicts[guard.status.verdict or "unknown"] += 1
        if is_due(guard.key, now):
            await prune_history(store, services.settings, guard.id, now)
        if await self._lacks_claims(guard):
            await self._queue(guard.key)
            return
        self._watched.update(guard.watched)
        self._by_nsg[guard.nsg_id.lower()].append(pack(record))

    async def _lacks_claims(self, guard: Guard) -> bool:
        """Whether a reconcile must put claims in place, or note or end a conflict."""
        try:
            await self._services.repository.check_held(guard)
            await self._services.repository.check_watched(guard)
        except Conflict as conflict:
            return conflict.kind == CLAIM_MISSING or guard.conflict is None
        return guard.conflict is not None

    def _subscriptions(self, kind: str) -> list[str]:
        word = f"/{kind}/".lower()
        return sorted({subscription_in(one) for one in self._watched if word in one})

    async def _take_network(self, document: Document) -> None:
        key = document["id"].lower()
        if key in self._watched:
            try:
                self._networks[key] = read_network(document, slim=True)
            except GuardError as error:
                self._broken[key] = error

    async def _take_file_system(self, document: Document) -> None:
        key = document["id"].lower()
        if key in self._watched:
            try:
                self._located[key] = locate(document)
            except GuardError as error:
                self._broken[key] = error

    async def _take_nsg(self, document: Document) -> None:
        for packed in self._by_nsg.pop(document["id"].lower(), ()):
            await self._look(packed, document)

    async def _look(self, packed: bytes, nsg: Document | GuardError | None) -> None:
        """Queue a guard if a reconcile would write, publish or save anything."""
        guard = load_guard(unpack(packed))
        if isinstance(guard, Guard) and await self._has_work(guard, nsg):
            await self._queue(guard.key)

    async def _queue(self, key: str) -> None:
        self._result.queued.append(key)
        await send(self._services.settings, GUARDS, GuardMessage(key, SWEEP))

    async def _has_work(self, guard: Guard, nsg: Document | GuardError | None) -> bool:
        """Whether the policy decides to write, publish or save anything.

        A guard that was right, and whose look depends on nothing that has changed, is right.
        """
        now, settings = time.time(), self._services.settings
        try:
            live = self._live(guard, nsg)
            if is_settled(guard) and guard.fingerprint == fingerprint_of(guard, live):
                return False
            with budget():
                seen = await compute(observe, guard, live, settings)
            if needs_work(guard, decide(guard, seen, SWEEP, now, settings.circuit)):
                return True
        except Transient:
            return False  # the part is swept again
        except GuardError:  # the reconcile finds out why; a failure that was announced is known
            is_known = guard.failure is not None and guard.failure.announced
            return not is_known or bool(guard.pending or guard.outbox)
        except Exception:  # one guard stops no other
            log.exception("guard %s: the sweep failed in an unforeseen way", guard.name)
            return True
        if is_settled(guard):  # the next sweep need not prove it again
            with contextlib.suppress(GuardError):
                fresh = replace(guard, fingerprint=seen.fingerprint)
                await self._services.repository.save(guard, fresh)
        return False

    def _live(self, guard: Guard, nsg: Document | GuardError | None) -> Live:
        """Put a guard's live state together from the lists; raises `GuardError`."""
        intent = guard.intent
        self._services.network.check_readable(guard.nsg_id, *(one for _, one in intent.ids()))
        problems = [nsg, *(self._broken.get(one) for one in guard.watched)]
        for watched in guard.watched:
            problems += [
                error
                for (kind, subscription), error in self._unread.items()
                if f"/{kind}/".lower() in watched
                and subscription == subscription_in(watched)
                and watched not in self._networks
                and watched not in self._located
                and kind != NSGS
            ]
        for problem in problems:
            if isinstance(problem, GuardError):
                raise problem
        located = Located(stated_subnet(intent))
        if intent.file_system_id:
            found = self._located.get(intent.file_system_id.lower())
            if found is None:
                raise NotFound(f"The file system {intent.file_system_id} is in no list.")
            located = found
        document = nsg if isinstance(nsg, dict) else None
        return assemble(intent, located, read_nsg(document) if document else None, self._networks)


def subscription_in(resource_id: str) -> str:
    """Return the subscription of a resource, without case; empty for what is no id of one."""
    try:
        return parse_id(resource_id).subscription.lower()
    except IndexError:
        return ""


def pack(record: Record) -> bytes:
    """Return a record in few bytes."""
    document = [record.key, record.body, record.version, record.schema]
    return zlib.compress(json.dumps(document).encode(), 1)


def unpack(packed: bytes) -> Record:
    """Return a record that was packed."""
    key, body, version, schema = json.loads(zlib.decompress(packed))
    return Record(key, body, version, schema)


async def sweep_part(services: GuardServices, part: str) -> SweepResult:
    """Sweep the part that a message names; one that is gone was finished by another process.

    Raises:
        Transient: ARM did not answer; the message is given out again.
    """
    store = services.repository.store
    record = await store.get(PART, part)
    if record is None:
        return SweepResult()
    guards = record.body.get("guards")
    keys = [key for key in guards if isinstance(key, str)] if isinstance(guards, list) else []
    result = await PartSweep(services, keys).run()
    with contextlib.suppress(GuardError):
        await store.delete(PART, part)
    return result
