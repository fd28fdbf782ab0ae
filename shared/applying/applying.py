"""Apply: read, plan, write with one guarded call, prove what came of it.

A change is computed in memory and written as one PUT with `If-Match`. Whatever fails when, the NSG has
either its old rules or its new ones. What fails by itself is tried again while there is time; what
does not is said at once.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from shared.applying.live import read_live
from shared.applying.planned import plan_live
from shared.context import pause
from shared.errors import (
    Busy,
    Conflict,
    PreconditionFailed,
    Refused,
    StillRunning,
    Transient,
)
from shared.nsg.limits import RULES_PER_NSG
from shared.planning.documents import read_documents
from shared.planning.plan import ForeignRules

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shared.amlfs.statement import IntentStatement
    from shared.amlfs.verification import Verification
    from shared.applying.planned import LivePlan
    from shared.cloud.network import Network
    from shared.cloud.resources import NetworkSecurityGroup
    from shared.errors import ArmAnswer
    from shared.planning.rows import Blocked
    from shared.settings import Settings

T = TypeVar("T")

ATTEMPTS = 12
"""So often is a write refused because of somebody else's before that is said."""

PATIENCE = 5
"""So many operations of others, one after the other, are waited for."""

UPDATING, DELETING = "Updating", "Deleting"
BUSY_STATES = (UPDATING, DELETING)


@dataclass(frozen=True, slots=True)
class Terms:
    """What an apply may do.

    Attributes:
        foreign_rules: whether foreign rules that block or leak are removed.
        reassociate: whether the subnet may be taken from another NSG.
        allow_shared: whether an NSG that filters others too may be written.
        own_subnets: ids of subnets that the NSG may filter besides, because the file system was there.
        partial: whether what can be placed is written where something else cannot, as a guard does.
    """

    foreign_rules: ForeignRules = ForeignRules.KEEP
    reassociate: bool = False
    allow_shared: bool = False
    own_subnets: tuple[str, ...] = ()
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply came to.

    Attributes:
        planned: the plan that was carried out; an empty one where nothing was to do.
        applied: whether this request changed something.
        etag: of the NSG as it is now; None where an association has changed it since.
        after: the proof of the rules that ARM says it has taken.
        is_associated: whether the NSG filters the subnet now; None where nobody knows.
    """

    planned: LivePlan
    applied: bool
    etag: str | None
    after: Verification
    is_associated: bool | None


class Application:
    """One intent being applied."""

    def __init__(
        self,
        statement: IntentStatement,
        terms: Terms,
        settings: Settings,
        network: Network,
        before_write: Callable[[LivePlan], Awaitable[None]] | None = None,
    ) -> None:
        """Take the intent.

        Args:
            statement: of the intent.
            terms: what may be done.
            settings: the allowed scopes.
            network: how ARM is read and written.
            before_write: called with every plan that is about to be written; what it raises forbids it.
        """
        self._before_write = before_write
        self._statement = statement
        self._terms = terms
        self._settings = settings
        self._network = network
        self._first: LivePlan | None = None
        self._wrote = False
        self._in_doubt = False
        self._refusals = 0
        self._others: set[str] = set()

    @property
    def may_have_written(self) -> bool:
        """Whether a write was taken, or its answer was lost."""
        return self._wrote or self._in_doubt

    async def run(self) -> Applied:
        """Apply the intent.

        Raises:
            Refused: a resource lies outside the allowed scopes.
            Conflict: a person must decide: no place for a row, a shared NSG, another NSG's subnet, a
                lock.
            Transient: it did not work out in the time; asking again finds out and goes on.
            ArmRefused: ARM says no for good.
        """
        check_scope(self._statement.network_security_group_id, self._settings)
        for attempt in itertools.count():
            try:
                return await self._attempt()
            except StillRunning:
                raise
            except PreconditionFailed as error:
                self._refusals += 1
                last, delay = keeps_changing(error.arm), None
                if self._refusals >= ATTEMPTS:
                    raise last from None
            except Transient as error:
                last, delay = error, error.delay
            await pause(delay or jitter(attempt), last)
        raise AssertionError

    async def _attempt(self) -> Applied:
        """Read, plan and write once."""
        live = await read_live(self._statement, self._network)
        planned = await asyncio.to_thread(plan_live, live, self._terms.foreign_rules)
        self._first = self._first or planned
        refuse(planned, self._terms, self._settings)
        self._wait_for_others(live.nsg, idle=not planned.changes)
        if not planned.changes:
            return self._done(planned, live.nsg)
        if self._before_write is not None:
            await self._before_write(planned)
        nsg = live.nsg
        if planned.writes_rules:
            body, etag = planned.body(), live.nsg.etag if live.nsg else None
            nsg = await self._write(self._network.put_nsg(live.nsg_id, body, etag, self._accepted))
        if planned.associates and live.subnet is not None:
            subnet = live.subnet.with_nsg(nsg.id if nsg else live.nsg_id)
            await self._write(self._network.put_subnet(live.subnet, subnet, self._accepted))
        return self._done(planned, nsg)

    def _wait_for_others(self, nsg: NetworkSecurityGroup | None, *, idle: bool) -> None:
        """Raise `Busy` while somebody else's operation is under way.

        One that ends is waited for. Where one follows the other without end, the NSG is written all
        the same: what they have changed was read, and `If-Match` guards it.
        """
        if nsg is None or nsg.state not in BUSY_STATES:
            return
        if nsg.state == DELETING:
            raise Busy("The NSG is being deleted.")
        self._others.add(nsg.etag)
        if not idle and len(self._others) <= PATIENCE:
            raise Busy("Another operation on the NSG is under way.")

    def _accepted(self) -> None:
        """Note that ARM has taken a write."""
        self._wrote = True

    async def _write(self, write: Awaitable[T]) -> T:
        """Carry out a write, and remember whether it may have been taken though no answer came."""
        wrote = self._wrote
        try:
            return await write
        except Transient as error:
            refused = isinstance(error, Busy) or error.is_throttled
            self._in_doubt |= self._wrote == wrote and not refused
            raise

    def _done(self, planned: LivePlan, nsg: NetworkSecurityGroup | None) -> Applied:
        """Prove what ARM says it has taken, and report it."""
        self._wrote |= self._in_doubt and not planned.changes  # the lost answer was a yes
        after = planned.plan.after
        if nsg is not None and planned.writes_rules:
            standing, _ = read_documents(list(nsg.rules))
            after = planned.live.question().verify(standing)
        first = self._first or planned
        shown = first if self._wrote and not planned.changes else planned
        associated = planned.live.is_associated or planned.associates
        return Applied(
            planned=replace(shown, live=planned.live),
            applied=self._wrote,
            etag=nsg.etag if nsg and not planned.associates else None,
            after=after,
            is_associated=associated if planned.live.subnet else None,
        )


def refuse(planned: LivePlan, terms: Terms, settings: Settings) -> None:
    """Raise what forbids carrying out a plan; also where there is nothing to do."""
    live = planned.live
    own = {subnet.lower() for subnet in terms.own_subnets}
    others = [user for user in live.other_users if user.lower() not in own]
    if others and not terms.allow_shared:
        raise Conflict(
            "shared-network-security-group",
            f"{live.nsg_id} also filters {', '.join(others)}: the article's deny rows would"
            " cut off everybody there. Give the file system's subnet an NSG of its own, or set"
            " allowShared.",
            {"otherUsers": others},
        )
    current = live.subnet.nsg_id if live.subnet else None
    if current and planned.associates and not terms.reassociate:
        raise Conflict(
            "subnet-of-another-network-security-group",
            f"{current} filters the subnet. Name that one in the intent, or set reassociate.",
            {"networkSecurityGroupId": current},
        )
    if planned.plan.blocked and not terms.partial:
        raise no_place(planned.plan.blocked)
    if len(planned.plan.rules) > RULES_PER_NSG:
        raise Conflict(
            "network-security-group-full",
            f"It would have {len(planned.plan.rules):,} rules; an NSG holds {RULES_PER_NSG:,}. Merge or"
            " remove foreign rules.",
        )
    check_scope(live.nsg_id, settings)
    if planned.associates and live.subnet is not None:
        check_scope(live.subnet.id, settings)


def no_place(blocked: tuple[Blocked, ...]) -> Conflict:
    """Return that rows cannot be placed, with every rule in their way and a packet for each."""
    names = sorted({one.decided_by.name for row in blocked for one in row.by})
    return Conflict(
        "no-placement",
        f"No priority is left for {', '.join(one.row.name for one in blocked)} before"
        f" {', '.join(names)}, which take their packets. Change those rules, or set foreignRules to"
        " remove.",
        {"blocked": blocked},
    )


def check_scope(resource_id: str | None, settings: Settings) -> None:
    """Raise `Refused` where a resource lies outside the scopes that may be written to."""
    if resource_id is None or settings.may_write(resource_id):
        return
    scopes = "; ".join(settings.allowed_scopes)
    raise Refused(
        f"{resource_id} lies outside the scopes that this service may write to"
        f" ({scopes or 'none'}): have its operator extend AMLFS_ALLOWED_SCOPES."
    )


def keeps_changing(arm: ArmAnswer | None) -> Transient:
    """Return that others kept writing in between."""
    return Transient("Others keep changing the same resources. Ask again later.", arm=arm)


def jitter(attempt: int) -> float:
    """Return how long to wait before reading again, in seconds; different for everybody."""
    longest: float = min(0.1 * 2 ** min(attempt, 6), 3.0)
    return random.uniform(0.5, 1.0) * longest  # noqa: S311 - no secret
