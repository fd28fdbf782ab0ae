"""The stored form of a guard: read by its schema number, whatever version of the service wrote it.

Every field that came later has a default. A record of an older schema is migrated when it is read; a
record that cannot be read becomes an `UnreadableGuard`, which stops no other guard. A record of a newer
schema is not read, and never overwritten.
"""

from __future__ import annotations

import logging
import time
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from shared.amlfs.catalogue import DEFAULT_REVISION
from shared.amlfs.statement import check_catalogue
from shared.cloud.resources import parse_id
from shared.guards.circuit import Circuit
from shared.guards.guard import (
    STATED,
    ClaimConflict,
    Failure,
    Findings,
    Guard,
    GuardStatement,
    PendingWrite,
    Seconds,
    Status,
    Suspension,
    UnreadableGuard,
)

if TYPE_CHECKING:
    from shared.cloud.store import Body, Record

log = logging.getLogger(__name__)

SCHEMA = 2
"""Of the records that this version writes."""

WRONGLY_DECLARED = "wronglyDeclared"
"""The field of a record that stands for a declaration in `AMLFS_GUARDS` that cannot be read."""


def check_id(value: str) -> str:
    """Accept the id of a resource."""
    try:
        parse_id(value)
    except IndexError:
        raise PydanticCustomError("resource_id", "This is no id of a resource.") from None
    return value


def check_event(value: dict[str, Any]) -> dict[str, Any]:
    """Accept an outcome as a CloudEvent."""
    try:
        datetime.fromisoformat(value["time"])
        is_event = all(isinstance(value[name], str) for name in ("id", "type", "subject"))
    except (KeyError, TypeError, ValueError):
        is_event = False
    if not is_event or not isinstance(value.get("data"), dict):
        raise PydanticCustomError("outcome", "This is no outcome.")
    return value


class GuardRecord(BaseModel):
    """A guard's record, schema 2, without what the caller stated."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)

    name: str
    id: str = ""
    catalogue: Annotated[str, AfterValidator(check_catalogue)] = DEFAULT_REVISION
    declared: bool = False
    suspension: Suspension | None = None
    conflict: ClaimConflict | None = None
    subnet_id: str | None = None
    former_subnets: tuple[str, ...] = ()
    watched: tuple[Annotated[str, AfterValidator(check_id)], ...] = ()
    status: Status = Status()
    findings: Findings = Findings()
    fingerprint: str = ""
    circuit: Circuit = Circuit()
    announced: str | None = None
    failure: Failure | None = None
    reminded_at: Seconds | None = None
    drift_since: Seconds | None = None
    pending: tuple[PendingWrite, ...] = ()
    outbox: tuple[Annotated[dict[str, Any], AfterValidator(check_event)], ...] = ()
    declaration_error: str | None = None


STATED_FIELDS = tuple(map(to_camel, STATED))
NOT_STORED = ("statement", "version")


def load_guard(record: Record) -> Guard | UnreadableGuard:
    """Return a guard as it is stored."""
    try:
        return read_guard(record)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        reason = "; ".join(f"{place(one['loc'])}: {one['msg']}" for one in details[:5])
        return unreadable(record, f"Its record cannot be read: {reason}")
    except UnreadableRecordError as error:
        return unreadable(record, str(error), is_newer=error.is_newer)
    except Exception as error:  # one record stops no other, whatever is in it
        log.exception("the record of guard %s cannot be read", record.key)
        return unreadable(record, f"Its record cannot be read: {type(error).__name__}: {error}.")


class UnreadableRecordError(Exception):
    """A record that cannot be read."""

    def __init__(self, reason: str, *, is_newer: bool = False) -> None:
        super().__init__(reason)
        self.is_newer = is_newer


def read_guard(record: Record) -> Guard:
    """Read a guard's record; raises `UnreadableRecordError` or `ValidationError`."""
    if record.schema > SCHEMA:
        raise UnreadableRecordError(
            f"A newer version of the service wrote its record (schema {record.schema}; this version"
            f" reads up to {SCHEMA}): deploy that version.",
            is_newer=True,
        )
    if record.damage is not None:
        raise UnreadableRecordError(f"Its record cannot be read: {record.damage}")
    body = dict(record.body)
    if WRONGLY_DECLARED in body:
        raise UnreadableRecordError(str(body[WRONGLY_DECLARED]))
    if record.schema < SCHEMA:
        body = from_schema_1(body)
    stated = {name: body.pop(name) for name in STATED_FIELDS if name in body}
    statement = GuardStatement.model_validate(stated)
    if statement.intent.network_security_group_id is None:
        raise UnreadableRecordError("Its record cannot be read: its intent names no NSG.")
    known = GuardRecord.model_validate({"catalogue": statement.intent.catalogue, **body})
    if known.name.lower() != record.key:
        raise UnreadableRecordError(f"Its record names another guard: {known.name}.")
    values = {
        one.name: getattr(known, one.name) for one in fields(Guard) if one.name not in NOT_STORED
    }
    values["id"] = known.id or record.key
    return Guard(statement=statement, version=record.version, **values)


def guard_body(guard: Guard) -> Body:
    """Return the body of a guard's record."""
    known = GuardRecord.model_construct(
        **{
            one.name: getattr(guard, one.name)
            for one in fields(Guard)
            if one.name not in NOT_STORED
        }
    )
    return {**known.model_dump(mode="json", by_alias=True), **guard.statement.to_json()}


def from_schema_1(body: Body) -> Body:
    """Return a body of schema 1 in the shape of schema 2.

    A write that was under way when the service was upgraded has no record of what was sent, so its
    outcome is not published.
    """
    try:
        verdict, since, last_outcome, last_checked = body["status"]
        circuit = dict(body["circuit"])
        newer = {**body["statement"], **body}
        newer["status"] = {
            "verdict": verdict,
            "since": since,
            "lastOutcome": last_outcome,
            "lastChecked": last_checked,
        }
        circuit["changedAt"] = circuit.pop("lastDrift", 0.0)
        newer["circuit"] = circuit
        announced = body["announced"]
        newer["announced"] = None if str(announced).startswith("failed") else announced
        newer["suspension"] = {"since": time.time()} if body["suspended"] else None
        for name in ("statement", "suspended", "pending"):
            newer.pop(name, None)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UnreadableRecordError(f"Its record of schema 1 cannot be read: {reason}.") from error
    return newer


def unreadable(record: Record, reason: str, *, is_newer: bool = False) -> UnreadableGuard:
    """Return what can be told of a record that cannot be read."""
    body = record.body
    stated = body.get("statement", body)
    intent = stated.get("intent") if isinstance(stated, dict) else None
    nsg_id = intent.get("networkSecurityGroupId") if isinstance(intent, dict) else None
    name = body.get("name")
    history = body.get("id")
    return UnreadableGuard(
        key=record.key,
        name=name if isinstance(name, str) and name.lower() == record.key else record.key,
        reason=reason,
        version=record.version,
        id=history if isinstance(history, str) and history else record.key,
        nsg_id=nsg_id if isinstance(nsg_id, str) else "",
        is_newer=is_newer,
        declared=body.get("declared") is True,
        suspended=bool(body.get("suspension") or body.get("suspended")),
    )


def place(location: tuple[int | str, ...]) -> str:
    """Return where in a record something is wrong."""
    return ".".join(map(str, location)) or "the record"
