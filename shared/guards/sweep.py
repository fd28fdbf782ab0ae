"""The sweep: the net under the events. Reads everything in pages, and queues the guards that drifted.

It lists NSGs and virtual networks, a page a call, instead of reading each guard's own; proves every
guard against what the lists show; and finds the guards whose NSG or subnet has vanished. It changes
nothing itself but what was left over: outcomes that could not be sent.
"""

from __future__ import annotations

import json
import logging
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.applying.live import Located, assemble, locate, stated_subnet
from shared.cloud.network import FILE_SYSTEMS, NETWORKS, NSGS
from shared.cloud.resources import parse_id, read_network, read_nsg
from shared.errors import GuardError, Transient
from shared.guards.guard import Guard
from shared.guards.reconcile import look, needs_work

if TYPE_CHECKING:
    from shared.cloud.resources import NetworkSecurityGroup, VirtualNetwork
    from shared.guards.reconcile import Desk

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Swept:
    """What a sweep came to.

    Attributes:
        drifted: keys of the guards that a reconcile must look at.
        guards: how many there are.
        sent: how many outcomes were sent late.
    """

    drifted: list[str] = field(default_factory=list)
    guards: int = 0
    sent: int = 0


class Sweep:
    """One sweep."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._swept = Swept()
        self._by_nsg: dict[str, list[str]] = defaultdict(list)
        self._watched: set[str] = set()
        self._networks: dict[str, VirtualNetwork] = {}
        self._located: dict[str, Located] = {}

    async def run(self) -> Swept:
        """Look at every guard.

        Raises:
            Transient: ARM did not answer; the next sweep comes soon.
        """
        await self._send_late()
        await self._read_guards()
        for subscription in self._subscriptions("microsoft.network/virtualnetworks"):
            await self._read_networks(subscription)
        for subscription in self._subscriptions("microsoft.storagecache/amlfilesystems"):
            await self._read_file_systems(subscription)
        for subscription in sorted({parse_id(nsg_id).subscription for nsg_id in self._by_nsg}):
            await self._read_nsgs(subscription)
        for left in list(self._by_nsg.values()):  # their NSG was in no list
            for text in left:
                self._judge(text, None)
        log.info("swept %d guards, %d drifted", self._swept.guards, len(self._swept.drifted))
        return self._swept

    async def _send_late(self) -> None:
        try:
            self._swept.sent = await self._desk.outcomes.send_unsent()
        except GuardError as error:
            log.warning("outcomes still wait: %s", error)

    async def _read_guards(self) -> None:
        """Keep each guard as text: thousands of them take little room so."""
        async for guard in self._desk.book.all():
            self._swept.guards += 1
            self._watched.update(guard.watched)
            self._by_nsg[guard.nsg_id.lower()].append(json.dumps(guard.to_json()))

    def _subscriptions(self, kind: str) -> list[str]:
        return sorted({parse_id(one).subscription for one in self._watched if f"/{kind}/" in one})

    async def _read_networks(self, subscription: str) -> None:
        async for page in self._desk.network.pages(subscription, NETWORKS):
            for document in page:
                key = str(document["id"]).lower()
                if key in self._watched:
                    self._networks[key] = read_network(document, slim=True)

    async def _read_file_systems(self, subscription: str) -> None:
        async for page in self._desk.network.pages(subscription, FILE_SYSTEMS):
            for document in page:
                self._located[str(document["id"]).lower()] = locate(document)

    async def _read_nsgs(self, subscription: str) -> None:
        async for page in self._desk.network.pages(subscription, NSGS):
            for document in page:
                for text in self._by_nsg.pop(str(document["id"]).lower(), ()):
                    self._judge(text, document)

    def _judge(self, text: str, document: dict[str, Any] | None) -> None:
        """Queue a guard if a reconcile would do or say something about it."""
        guard = Guard.from_json(json.loads(text), "")
        nsg = read_nsg(document) if document is not None else None
        if self._has_work(guard, nsg):
            self._swept.drifted.append(guard.key)

    def _has_work(self, guard: Guard, nsg: NetworkSecurityGroup | None) -> bool:
        statement = guard.statement.intent
        located = Located(stated_subnet(statement))
        if statement.file_system_id:
            known = self._located.get(statement.file_system_id.lower())
            if known is None:
                return True
            located = known
        settings = self._desk.settings
        try:
            live = assemble(statement, located, nsg, self._networks)
            finding = look(live, guard, settings)
        except Transient:
            raise
        except GuardError:  # it has vanished, or cannot be: the reconcile says what
            return not (guard.announced or "").startswith("failed")
        return needs_work(guard, finding, time.time(), settings.circuit)
