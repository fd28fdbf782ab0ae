"""A guard: what a caller states, and what the service knows of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, StrictBool
from pydantic_core import PydanticCustomError

from shared.amlfs.statement import IntentStatement
from shared.applying.applying import Terms
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


class GuardStatement(Document):
    """A guard as a caller states it. What `GET` shows can be sent back: its status is not read."""

    name: GuardName | None = None
    intent: IntentStatement
    mode: ModeField = Mode.ENFORCE
    foreign_rules: ForeignRulesField = ForeignRules.KEEP
    reassociate: StrictBool = False
    allow_shared: StrictBool = False
    suspended: StrictBool = False
    status: Any = None

    def contradictions(self, at: str) -> Iterator[FieldError]:
        """Everything that is wrong between the fields."""
        yield from self.intent.contradictions(f"{at}/intent")
        if self.intent.network_security_group_id is None:
            yield FieldError(
                f"{at}/intent/networkSecurityGroupId", "Name the NSG that the guard keeps right."
            )

    def to_json(self) -> dict[str, Any]:
        """Spell it as it was stated, without what the service knows."""
        kept: dict[str, Any] = self.model_dump(
            mode="json", by_alias=True, exclude_unset=True, exclude={"status", "suspended", "name"}
        )
        return kept


@dataclass(frozen=True, slots=True)
class Status:
    """How a guard is doing. Times are ISO 8601.

    Attributes:
        verdict: on the NSG and its association, when last looked at; None: not yet.
        since: when the verdict last changed.
        last_outcome: the type of the last outcome, without its prefix.
        last_checked: when the state was last read.
    """

    verdict: str | None = None
    since: str | None = None
    last_outcome: str | None = None
    last_checked: str | None = None


@dataclass(frozen=True, slots=True)
class Guard:
    """A guard as it is kept.

    Attributes:
        name: as it was first spelled; compared without case.
        statement: what the caller stated.
        suspended: whether it only looks.
        declared: whether the deployment declares it, so that it is read-only over HTTP.
        subnet_id: the file system's subnet, so far as it is known by its id.
        former_subnets: where the file system was before; the NSG may filter them still.
        watched: ids, without case, of the resources whose changes concern it.
        status: how it is doing.
        circuit: its circuit breaker.
        announced: a digest of the drift that was announced and not restored, so that it is once.
        pending: the outcome of a write that is under way, in case nobody lives to tell of it.
        version: of the record in the store.
    """

    name: str
    statement: GuardStatement
    suspended: bool = False
    declared: bool = False
    subnet_id: str | None = None
    former_subnets: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()
    status: Status = field(default_factory=Status)
    circuit: Circuit = field(default_factory=Circuit)
    announced: str | None = None
    pending: dict[str, Any] | None = None
    version: str = ""

    @property
    def key(self) -> str:
        """The name without case."""
        return self.name.lower()

    @property
    def nsg_id(self) -> str:
        """The NSG that it keeps right."""
        return self.statement.intent.network_security_group_id or ""

    @property
    def may_write(self) -> bool:
        """Whether it restores what it finds broken."""
        enforcing = self.statement.mode is Mode.ENFORCE
        return enforcing and not self.suspended and not self.circuit.is_open

    @property
    def terms(self) -> Terms:
        """What it may do: all that can be done of what is needed."""
        stated = self.statement
        own = (*self.former_subnets, *([self.subnet_id] if self.subnet_id else []))
        return Terms(
            stated.foreign_rules, stated.reassociate, stated.allow_shared, own, partial=True
        )

    def found_in(self, subnet_id: str | None) -> Guard:
        """Return it after its file system was found in a subnet."""
        old = self.subnet_id
        if subnet_id is None or (old or "").lower() == subnet_id.lower():
            return self
        former = dict.fromkeys((*self.former_subnets, *([old] if old else [])))
        former.pop(subnet_id, None)
        return replace(self, subnet_id=subnet_id, former_subnets=tuple(former))

    def checked(self, verdict: str, now: float) -> Guard:
        """Return it after its state was looked at."""
        same = verdict == self.status.verdict
        since = self.status.since if same else iso(now)
        return replace(
            self,
            status=replace(self.status, verdict=verdict, since=since, last_checked=iso(now)),
        )

    def to_json(self) -> dict[str, Any]:
        """Spell it for the store."""
        status = self.status
        return {
            "name": self.name,
            "statement": self.statement.to_json(),
            "suspended": self.suspended,
            "declared": self.declared,
            "subnetId": self.subnet_id,
            "formerSubnets": list(self.former_subnets),
            "watched": list(self.watched),
            "status": [status.verdict, status.since, status.last_outcome, status.last_checked],
            "circuit": self.circuit.to_json(),
            "announced": self.announced,
            "pending": self.pending,
        }

    @classmethod
    def from_json(cls, document: dict[str, Any], version: str) -> Guard:
        """Read it from the store."""
        return cls(
            name=document["name"],
            statement=GuardStatement.model_validate(document["statement"]),
            suspended=document["suspended"],
            declared=document["declared"],
            subnet_id=document["subnetId"],
            former_subnets=tuple(document["formerSubnets"]),
            watched=tuple(document["watched"]),
            status=Status(*document["status"]),
            circuit=Circuit.from_json(document["circuit"]),
            announced=document["announced"],
            pending=document["pending"],
            version=version,
        )


def iso(seconds: float) -> str:
    """Spell a time."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
