"""A guard: what a caller states, and what the service knows of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StrictBool
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from shared.amlfs.statement import IntentStatement
from shared.applying.refusals import ApplyOptions
from shared.applying.writes import Write, WriteState
from shared.documents import Document
from shared.errors import FieldError
from shared.guards.circuit import Circuit
from shared.planning.plan import ForeignRules

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_])?")
NAME_RULE = (
    "Begin with a letter or digit, end with one or '_', and use letters, digits, '.', '-' and '_'"
    " between, 64 characters at most."
)

Seconds = Annotated[float, Field(ge=0, le=253_402_300_799)]
"""A time as it is stored, in seconds since the epoch: of the years 1970 to 9999."""

STORED = ConfigDict(extra="forbid", alias_generator=to_camel, validate_by_name=True)
"""How the parts of a guard are written in its record."""


class Mode(StrEnum):
    """What a guard does about drift."""

    ENFORCE = "enforce"
    AUDIT = "audit"


def read_mode(value: object) -> Mode:
    """Read a mode."""
    if isinstance(value, str) and value in set(Mode):
        return Mode(value)
    raise PydanticCustomError("mode", "Give enforce or audit.")


def read_foreign_rules(value: object) -> ForeignRules:
    """Read what becomes of foreign rules."""
    if isinstance(value, str) and value in set(ForeignRules):
        return ForeignRules(value)
    raise PydanticCustomError("foreign_rules", "Give keep or remove.")


def check_name(value: str) -> str:
    """Accept a guard's name."""
    if NAME.fullmatch(value):
        return value
    raise PydanticCustomError("guard_name", NAME_RULE)


ModeField = Annotated[Mode, BeforeValidator(read_mode)]
ForeignRulesField = Annotated[ForeignRules, BeforeValidator(read_foreign_rules)]
GuardName = Annotated[str, AfterValidator(check_name)]

STATED = ("intent", "mode", "foreign_rules", "reassociate", "allow_shared")


class GuardStatement(Document):
    """A guard as a caller states it.

    What `GET` shows can be sent back: the fields that the service adds are not read.
    """

    name: GuardName | None = None
    intent: IntentStatement
    mode: ModeField = Mode.ENFORCE
    foreign_rules: ForeignRulesField = ForeignRules.KEEP
    reassociate: StrictBool = False
    allow_shared: StrictBool = False
    suspended: StrictBool = False
    declared: Any = None
    declaration_error: Any = None
    catalogue: Any = None
    suspension: Any = None
    conflict: Any = None
    findings: Any = None
    summary: Any = None
    status: Any = None

    def contradictions(self, at: str) -> Iterator[FieldError]:
        """Everything that is wrong between the fields."""
        yield from self.intent.contradictions(f"{at}/intent")
        if self.intent.network_security_group_id is None:
            yield FieldError(
                f"{at}/intent/networkSecurityGroupId", "Name the NSG that the guard protects."
            )

    def to_json(self) -> dict[str, Any]:
        """Return what was stated, without what the service knows."""
        stated: dict[str, Any] = self.model_dump(
            mode="json", by_alias=True, exclude_unset=True, include=set(STATED)
        )
        return stated

    def is_same_as(self, other: GuardStatement) -> bool:
        """Whether two statements ask for the same, defaults included."""
        return all(getattr(self, name) == getattr(other, name) for name in STATED[1:]) and (
            self.intent.model_dump(mode="json") == other.intent.model_dump(mode="json")
        )


@dataclass(frozen=True, slots=True)
class Status:
    """How a guard is doing. Times are ISO 8601.

    Attributes:
        verdict: on the NSG and its association, when last looked at; None: not yet.
        since: when the verdict last changed.
        last_outcome: the type of the last outcome, without its prefix.
        last_checked: when the state was last read.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    verdict: str | None = None
    since: str | None = None
    last_outcome: str | None = None
    last_checked: str | None = None


@dataclass(frozen=True, slots=True)
class Suspension:
    """Why and until when a guard does not write. Times are seconds since the epoch.

    Attributes:
        since: when it began.
        reason: as the caller stated it.
        until: when it ends by itself; None: by `resume` only.
        by: who asked for it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    since: Seconds = 0.0
    reason: str | None = None
    until: Seconds | None = None
    by: str | None = None

    def holds(self, now: float) -> bool:
        """Whether it has not ended by itself."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the last look or write did not succeed.

    Attributes:
        kind: the same while it fails for the same reason.
        reason: in words.
        since: when it began, in seconds since the epoch.
        announced: whether a `failed` outcome was published.
        arm: what ARM answered last.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    kind: str
    reason: str
    since: Seconds
    announced: bool = False
    arm: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ClaimConflict:
    """Another guard holds the NSG or the subnet of this one."""

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    guard: str
    resource: str


@dataclass(frozen=True, slots=True)
class PendingWrite:
    """A write whose `restored` outcome is not published yet.

    Attributes:
        write: what was sent, and whether ARM accepted it.
        run: id of the run that sent it.
        cause: of the look, as in outcomes.
        correlation_id: of the run.
        verdict_before: as it was found.
        nsg_id: the NSG that the guard protected then.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    write: Write
    run: str
    cause: dict[str, Any]
    correlation_id: str
    verdict_before: str
    nsg_id: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the last look found, as the contract shows it."""

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    changes: tuple[dict[str, Any], ...] = ()
    remaining: tuple[dict[str, Any], ...] = ()
    notices: tuple[dict[str, Any], ...] = ()
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Guard:
    """A guard as it is saved.

    Attributes:
        name: as it was first spelled; compared without case.
        statement: what the caller stated.
        id: different from that of an earlier guard of the same name.
        catalogue: the revision of the article, fixed at registration.
        declared: whether the deployment declares it, so that it is read-only over HTTP.
        suspension: why it only looks; None where it is not suspended.
        conflict: which other guard holds its NSG or subnet; it writes nothing then.
        subnet_id: the file system's subnet, where its id is known.
        former_subnets: where the file system was before; the NSG may filter them still.
        watched: ids, without case, of the resources whose changes concern it.
        status: how it is doing.
        findings: of the last look.
        fingerprint: of everything that the last look depended on.
        circuit: its circuit breaker.
        announced: a digest of the drift that was announced and not restored, so that it is said once.
        failure: why the last look or write did not succeed; None where it did.
        reminded_at: when a reminder was last published, in seconds since the epoch.
        drift_since: since when a guard that does not write has seen drift.
        pending: writes that were sent and whose outcome is not published.
        outbox: outcomes that are decided and not yet in the history.
        declaration_error: why its declaration in `AMLFS_GUARDS` is wrong by now; it goes on as before.
        version: of the record in the store.
    """

    name: str
    statement: GuardStatement
    id: str = ""
    catalogue: str = ""
    declared: bool = False
    suspension: Suspension | None = None
    conflict: ClaimConflict | None = None
    subnet_id: str | None = None
    former_subnets: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()
    status: Status = field(default_factory=Status)
    findings: Findings = field(default_factory=Findings)
    fingerprint: str = ""
    circuit: Circuit = field(default_factory=Circuit)
    announced: str | None = None
    failure: Failure | None = None
    reminded_at: float | None = None
    drift_since: float | None = None
    pending: tuple[PendingWrite, ...] = ()
    outbox: tuple[dict[str, Any], ...] = ()
    declaration_error: str | None = None
    version: str = ""

    @property
    def key(self) -> str:
        """The name without case."""
        return self.name.lower()

    @property
    def nsg_id(self) -> str:
        """The NSG that it protects."""
        return self.statement.intent.network_security_group_id or ""

    @property
    def intent(self) -> IntentStatement:
        """The stated intent, with the revision that was fixed at registration."""
        return self.statement.intent.model_copy(update={"catalogue": self.catalogue})

    def is_suspended(self, now: float) -> bool:
        """Whether it only looks because somebody asked for it."""
        return self.suspension is not None and self.suspension.holds(now)

    def may_write(self, now: float) -> bool:
        """Whether it restores what it finds broken."""
        is_stopped = self.is_suspended(now) or self.circuit.is_open or self.conflict is not None
        return self.statement.mode is Mode.ENFORCE and not is_stopped

    @property
    def options(self) -> ApplyOptions:
        """What it may do: everything possible of what is needed."""
        stated = self.statement
        own = (*self.former_subnets, *([self.subnet_id] if self.subnet_id else []))
        return ApplyOptions(
            stated.foreign_rules, stated.reassociate, stated.allow_shared, own, partial=True
        )

    @property
    def writes(self) -> frozenset[tuple[float, str]]:
        """The restorations that ARM has accepted, published or not: it changes with each of them."""
        accepted = (one.write for one in self.pending if one.write.state is WriteState.ACCEPTED)
        return frozenset((*self.circuit.writes, *((one.at, one.id) for one in accepted)))

    def found_in(self, subnet_id: str | None) -> Guard:
        """Return it after its file system was found in a subnet."""
        old = self.subnet_id
        if subnet_id is None or (old or "").lower() == subnet_id.lower():
            return self
        former = dict.fromkeys((*self.former_subnets, *([old] if old else [])))
        former.pop(subnet_id, None)
        return replace(self, subnet_id=subnet_id, former_subnets=tuple(former))

    def with_verdict(self, verdict: str, now: float) -> Guard:
        """Return it after its state was looked at."""
        is_same = verdict == self.status.verdict
        since = self.status.since if is_same else iso(now)
        status = replace(self.status, verdict=verdict, since=since, last_checked=iso(now))
        return replace(self, status=status)

    def with_last_outcome(self, kind: str) -> Guard:
        """Return it after an outcome."""
        return replace(self, status=replace(self.status, last_outcome=kind))

    def with_pending(self, entry: PendingWrite) -> Guard:
        """Return it with a pending write.

        An entry of the same id, which is not refuted, stays: another process sends the same write, and
        ARM accepts one of them.
        """
        same = [one for one in self.pending if one.write.id == entry.write.id]
        if same and same[0].write.state is not WriteState.REFUTED:
            return self
        return replace(self, pending=(*(one for one in self.pending if one not in same), entry))

    def with_write_state(self, write_id: str, state: WriteState) -> Guard:
        """Return it after something became known of a pending write."""
        return replace(
            self,
            pending=tuple(
                replace(one, write=one.write.is_now(state)) if one.write.id == write_id else one
                for one in self.pending
            ),
        )


@dataclass(frozen=True, slots=True)
class UnreadableGuard:
    """A guard whose record cannot be read, or whose declaration is wrong. It stops no other.

    Attributes:
        key: of the record.
        name: as far as it can be told.
        reason: why it cannot be read.
        version: of the record in the store.
        id: of its history.
        nsg_id: as far as it can be told.
        is_newer: whether a newer version of the service wrote it; it is never overwritten then.
        declared: whether the deployment declares it.
        suspended: whether its record says that it is suspended.
    """

    key: str
    name: str
    reason: str
    version: str
    id: str
    nsg_id: str = ""
    is_newer: bool = False
    declared: bool = False
    suspended: bool = False


def iso(seconds: float) -> str:
    """Return a time in ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
