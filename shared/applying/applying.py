"""Apply: read, plan, write with one guarded call, prove what came of it.

A change is computed in memory and written as one PUT with `If-Match`. Whatever fails when, the NSG has
either its old rules or its new ones. What fails by itself is tried again while there is time; what
does not is said at once.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from shared.applying.live import read_live
from shared.applying.planned import plan_live
from shared.context import pause
from shared.errors import Busy, Conflict, PreconditionFailed, Refused, Transient
from shared.planning.documents import read_documents
from shared.planning.plan import ForeignRules

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shared.amlfs.statement import IntentStatement
    from shared.amlfs.verification import Verification
    from shared.applying.planned import LivePlan
    from shared.cloud.network import Network
    from shared.cloud.resources import NetworkSecurityGroup
    from shared.errors import GuardError
    from shared.planning.rows import Blocked
    from shared.settings import Settings

T = TypeVar("T")

ATTEMPTS = 12
"""So often is the state read and written again before somebody else is said to be in the way."""

BUSY_STATES = ("Updating", "Deleting")


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
        etag: of the NSG as it is now, so far as it is known.
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
        last: GuardError = keeps_changing()
        for attempt in range(ATTEMPTS):
            try:
                return await self._attempt()
            except PreconditionFailed:
                last, delay = keeps_changing(), None
            except Transient as error:
                last, delay = error, error.delay
            await pause(delay or jitter(attempt), last)
        raise last

    async def _attempt(self) -> Applied:
        """Read, plan and write once."""
        live = await read_live(self._statement, self._network)
        planned = plan_live(live, self._terms.foreign_rules)
        self._first = self._first or planned
        refuse(planned, self._terms, self._settings)
        if not planned.changes:
            self._wrote |= self._in_doubt  # the write whose answer was lost was taken
            return self._done(planned, live.nsg)
        if live.nsg is not None and live.nsg.state in BUSY_STATES:
            raise Busy(f"The NSG is {live.nsg.state}: another operation is under way.")
        if self._before_write is not None:
            await self._before_write(planned)
        nsg = live.nsg
        if planned.writes_rules:
            etag = live.nsg.etag if live.nsg else None
            nsg = await self._write(self._network.put_nsg(live.nsg_id, planned.body(), etag))
        if planned.associates and live.subnet is not None:
            nsg_id = nsg.id if nsg else live.nsg_id
            await self._write(self._network.put_subnet(live.subnet, live.subnet.with_nsg(nsg_id)))
        return self._done(planned, nsg)

    async def _write(self, write: Awaitable[T]) -> T:
        """Carry out a write, and remember whether it was taken, or may have been."""
        self._in_doubt = True
        try:
            answer = await write
        except (PreconditionFailed, Busy):
            self._in_doubt = False
            raise
        except Transient as error:
            self._in_doubt = not error.is_throttled
            raise
        self._in_doubt, self._wrote = False, True
        return answer

    def _done(self, planned: LivePlan, nsg: NetworkSecurityGroup | None) -> Applied:
        """Prove what ARM says it has taken, and report it."""
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
            etag=nsg.etag if nsg else None,
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


def keeps_changing() -> Transient:
    """Return that others kept writing in between."""
    return Transient("Others keep changing the same resources. Ask again later.")


def jitter(attempt: int) -> float:
    """Return how long to wait before reading again, in seconds; different for everybody."""
    longest: float = min(0.1 * 2**attempt, 5.0)
    return random.uniform(0.5, 1.0) * longest  # noqa: S311 - no secret
