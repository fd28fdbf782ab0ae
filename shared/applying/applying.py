"""Apply: read, plan, write with one guarded call, prove what ARM accepted.

A change is computed in memory and written as one PUT with `If-Match`. Whatever fails when, the NSG has
either its old rules or its new ones. What goes away by itself is tried again while there is time; what
does not is raised at once.
"""

from __future__ import annotations

import contextlib
import random
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.applying.live import read_live
from shared.applying.planned import plan_live
from shared.applying.refusals import check_scopes, refuse
from shared.applying.writes import (
    NoJournal,
    WriteState,
    is_unchanged,
    new_write,
    was_accepted,
)
from shared.cloud.resources import read_nsg
from shared.context import pause
from shared.errors import (
    Busy,
    GuardError,
    OutcomeUnknown,
    PreconditionFailed,
    StillRunning,
    Transient,
)
from shared.planning.changes import Action
from shared.planning.documents import read_documents
from shared.pools import compute

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from types import TracebackType
    from typing import Self

    from shared.amlfs.statement import IntentStatement
    from shared.amlfs.verification import Verification
    from shared.applying.live import Live
    from shared.applying.planned import LivePlan
    from shared.applying.refusals import ApplyOptions
    from shared.applying.writes import Document, WriteJournal
    from shared.cloud.network import Network, RunningWrite
    from shared.cloud.resources import NetworkSecurityGroup
    from shared.errors import ArmAnswer
    from shared.planning.changes import Change
    from shared.settings import Settings

ATTEMPTS = 12
"""So often may a write be refused because of somebody else's before the run ends."""

PATIENCE = 5
"""So many operations of others, one after the other, are waited for."""

UPDATING, DELETING = "Updating", "Deleting"
BUSY_STATES = (UPDATING, DELETING)


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """What an apply did.

    Attributes:
        planned: the plan that was carried out; an empty one where nothing was left to do.
        changes: what ARM has accepted from this run, as the contract writes changes.
        etag: of the NSG as it is now; None where an association has changed it since.
        after: the proof of the rules that ARM says it has accepted.
        is_associated: whether the NSG filters the subnet now; None where that is not known.
    """

    planned: LivePlan
    changes: tuple[Document, ...]
    etag: str | None
    after: Verification
    is_associated: bool | None

    @property
    def applied(self) -> bool:
        """Whether this run changed something."""
        return bool(self.changes)


class ApplyRun:
    """One intent being applied: an iterator of attempts, which waits before it gives the next one.

    ```
    async for attempt in run:
        with attempt:
            planned = await run.plan()
            return await run.write(planned)
    ```

    An attempt that fails in a way that goes away by itself is followed by another one while there is
    time; anything else is raised.
    """

    def __init__(
        self,
        statement: IntentStatement,
        options: ApplyOptions,
        settings: Settings,
        network: Network,
        journal: WriteJournal | None = None,
    ) -> None:
        """Take the intent.

        Args:
            statement: of the intent.
            options: what may be done.
            settings: the allowed scopes.
            network: how ARM is read and written.
            journal: where writes are recorded; its earlier ones are continued.
        """
        self.id = str(uuid.uuid4())
        self.options = options
        self.statement = statement
        self._settings = settings
        self._network = network
        self._journal = journal or NoJournal()
        earlier = self._journal.earlier
        self._accepted = [one for one in earlier if one.state is WriteState.ACCEPTED]
        self._unanswered = [one for one in earlier if one.state is WriteState.SENT]
        self._last: Attempt | None = None
        self._trouble: Transient | PreconditionFailed | None = None
        self._number = 0
        self._refusals = 0
        self._others: set[str] = set()

    @property
    def has_written(self) -> bool:
        """Whether ARM has accepted a write of this run."""
        return bool(self._accepted)

    @property
    def trouble(self) -> Transient | None:
        """Why the last attempt failed, where ARM was down or throttled; None while others are busy."""
        error = self._trouble
        return error if isinstance(error, Transient) and not isinstance(error, Busy) else None

    @property
    def accepted_ids(self) -> tuple[str, ...]:
        """The ids of the writes that ARM has accepted."""
        return tuple(write.id for write in self._accepted)

    @property
    def changes(self) -> tuple[Document, ...]:
        """What ARM has accepted from this run."""
        return tuple(change for write in self._accepted for change in write.changes)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Attempt:
        if self._last is not None:
            if self._last.error is None:
                raise StopAsyncIteration
            self._trouble = self._last.error
            await self._wait(self._last.error)
        self._last = Attempt()
        return self._last

    async def _wait(self, error: Transient | PreconditionFailed) -> None:
        """Wait before the next attempt; raises the error where there is no time for it."""
        self._number += 1
        if isinstance(error, PreconditionFailed):
            self._refusals += 1
            reason: Transient = keeps_changing(error.arm)
            if self._refusals >= ATTEMPTS:
                raise reason from None
        else:
            reason = error
        if isinstance(error, OutcomeUnknown) and self._unanswered:
            with contextlib.suppress(GuardError):  # the next attempt reads again
                await self._settle(await read_live(self.statement, self._network))
        await pause(reason.delay or jitter(self._number), reason)

    # -- an attempt -------------------------------------------------------------------------------

    async def plan(self) -> LivePlan:
        """Read live state and plan; what was read also shows which lost answers were a yes."""
        live = await read_live(self.statement, self._network)
        await self._settle(live)
        return await compute(plan_live, live, self.options.foreign_rules)

    def check_idle(self, planned: LivePlan) -> None:
        """Raise `Busy` while somebody else's operation on the NSG is under way.

        One that ends is waited for. Where one follows the other without end, the NSG is written all
        the same: what they have changed was read, and `If-Match` guards it.
        """
        nsg = planned.live.nsg
        if nsg is None or nsg.state not in BUSY_STATES:
            return
        if nsg.state == DELETING:
            raise Busy("The NSG is being deleted.")
        self._others.add(nsg.etag)
        if planned.changes and len(self._others) <= PATIENCE:
            raise Busy("Another operation on the NSG is under way.")

    async def write(self, planned: LivePlan) -> ApplyResult:
        """Carry out a plan; an empty one writes nothing.

        Raises:
            Withdrawn: the journal does not permit it (any more).
            PreconditionFailed: somebody else was faster.
            Transient: ARM did not get it done.
            Conflict, ArmRefused: ARM says no.
        """
        live, nsg = planned.live, planned.live.nsg
        if planned.writes_rules:
            rules = [one for one in planned.changes if one.action is not Action.ASSOCIATE_SUBNET]
            etag = nsg.etag if nsg else None
            start = self._network.start_nsg_write(live.nsg_id, planned.body(), etag)
            nsg = read_nsg(await self._send(live.nsg_id, etag, rules, start))
        if planned.associates and live.subnet is not None:
            body = live.subnet.with_nsg(nsg.id if nsg else live.nsg_id)
            changes = [one for one in planned.changes if one.action is Action.ASSOCIATE_SUBNET]
            start = self._network.start_subnet_write(live.subnet, body)
            await self._send(live.subnet.id, live.subnet.etag, changes, start)
        return self._result(planned, nsg)

    async def _send(
        self,
        target: str,
        etag: str | None,
        changes: Sequence[Change],
        start: Awaitable[RunningWrite],
    ) -> Document:
        """Send one write, recorded before and after ARM has accepted it, and wait for its end."""
        write = new_write(target, etag, changes, self.id, time.time())
        try:
            await self._journal.sending(write)
        except BaseException:
            start.close()  # type: ignore[attr-defined] # a coroutine that nobody awaits
            raise
        try:
            running = await start
        except GuardError as error:
            is_refusal = isinstance(error, Busy) or getattr(error, "is_throttled", False)
            if isinstance(error, Transient) and not is_refusal:
                self._unanswered.append(write)
            else:
                await self._journal.refuted(write)
            raise
        self._accepted.append(write.is_now(WriteState.ACCEPTED))
        await self._journal.accepted(write)
        return await running.finish()

    async def _settle(self, live: Live) -> None:
        """Find out whether writes whose answer was lost were accepted."""
        for write in list(self._unanswered):
            if was_accepted(write, live):
                self._unanswered.remove(write)
                self._accepted.append(write.is_now(WriteState.ACCEPTED))
                await self._journal.accepted(write)
            elif is_unchanged(write, live):  # as far as this read shows, which may be stale
                await self._journal.refuted(write)

    def _result(self, planned: LivePlan, nsg: NetworkSecurityGroup | None) -> ApplyResult:
        """Prove what ARM says it has accepted."""
        after = planned.plan.after
        if nsg is not None and planned.writes_rules:
            existing, _ = read_documents(list(nsg.rules))
            after = planned.live.question().verify(existing)
        associated = planned.live.is_associated or planned.associates
        return ApplyResult(
            planned=planned,
            changes=self.changes,
            etag=nsg.etag if nsg and not planned.associates else None,
            after=after,
            is_associated=associated if planned.live.subnet else None,
        )


class Attempt:
    """One attempt of a run.

    Attributes:
        error: why it failed, where another attempt may succeed.
    """

    def __init__(self) -> None:
        self.error: Transient | PreconditionFailed | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> bool:
        is_worth_another = isinstance(error, Transient | PreconditionFailed)
        if is_worth_another and not isinstance(error, StillRunning):
            self.error = error  # type: ignore[assignment]
            return True
        return False


async def apply(run: ApplyRun, settings: Settings) -> ApplyResult:
    """Apply an intent.

    Raises:
        OutsideAllowedScopes: a resource lies outside the allowed scopes.
        Conflict: a person must decide: no place for a row, a shared NSG, another NSG's subnet, a lock.
        Transient: it did not get done in the time; asking again finds out what was done and goes on.
        ArmRefused: ARM refuses the request, and would refuse it again.
    """
    check_scopes(run.statement, settings)
    async for attempt in run:
        with attempt:
            planned = await run.plan()
            refuse(planned, run.options, settings)
            run.check_idle(planned)
            return await run.write(planned)
    raise AssertionError


def keeps_changing(arm: ArmAnswer | None) -> Transient:
    """Return that others kept writing in between."""
    return Transient("Others keep changing the same resources. Ask again later.", arm=arm)


def jitter(attempt: int) -> float:
    """Return how long to wait before reading again, in seconds; different for everybody."""
    longest: float = min(0.1 * 2 ** min(attempt, 6), 3.0)
    return random.uniform(0.5, 1.0) * longest  # noqa: S311 - no secret
