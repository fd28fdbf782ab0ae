"""What a look at a guard's live state found: a value, from which the policy decides."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from shared.amlfs.summary import summarize
from shared.amlfs.verification import Verdict
from shared.applying.planned import plan_live
from shared.applying.refusals import refuse
from shared.applying.writes import is_unchanged, was_accepted
from shared.cloud.resources import parent_id
from shared.errors import Conflict, OutsideAllowedScopes
from shared.guards.guard import Findings, Mode
from shared.nsg.service_tags import shipped_service_tags
from shared.planning.changes import packet_text
from shared.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shared.amlfs.statement import IntentStatement
    from shared.amlfs.verification import Verification
    from shared.applying.applying import ApplyResult
    from shared.applying.live import Live
    from shared.applying.planned import LivePlan
    from shared.errors import GuardError
    from shared.guards.guard import Guard
    from shared.nsg.proofs import Violation
    from shared.planning.rows import Blocked
    from shared.settings import Settings

Document = dict[str, Any]

READ_ONLY = ("id", "etag", "type", "provisioningState")

SHOWN = ("action", "name", "reason")
"""The fields of a change that outcomes and findings have."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a guard is looked at.

    Attributes:
        kind: `event`, `settle`, `sweep`, `request` or `registration`.
        resource: the resource that an event is about.
        event_id: the event's id.
        principal: who made the change, by the event's claims; it is repeated, never trusted.
    """

    kind: str
    resource: str | None = None
    event_id: str | None = None
    principal: str | None = None

    def to_json(self) -> Document:
        """Return it as outcomes have it."""
        known = {
            "kind": self.kind,
            "resource": self.resource,
            "eventId": self.event_id,
            "principal": self.principal,
        }
        return {name: value for name, value in known.items() if value is not None}

    @classmethod
    def from_json(cls, document: Document) -> Cause:
        """Read it back."""
        get = document.get
        return cls(str(get("kind")), get("resource"), get("eventId"), get("principal"))


@dataclass(frozen=True, slots=True)
class Observation:
    """What one look found.

    Attributes:
        verdict: on rules and association.
        summary: the verdict in one or two sentences.
        changes: what a restoration would change, each with `action`, `name`, `after`, `reason`.
        remaining: what stays wrong under the guard's policy, in words with packets.
        notices: what is worth knowing.
        subnet_id: the file system's subnet, by its id.
        watched: ids of the resources whose changes concern the guard.
        is_refused: whether the guard's policy forbids every write.
        fingerprint: a digest of everything that the look depends on.
        state: a digest of what ARM shows; the same while nobody changes anything. Empty where nobody
            needs it: the circuit is closed, and nothing will be written.
        accepted: ids of pending writes that ARM has accepted, as this look shows.
        unchanged: ids of pending writes whose resource is as it was before them.
        run: id of the run that looks.
    """

    verdict: str
    summary: str = ""
    changes: tuple[Document, ...] = ()
    remaining: tuple[Document, ...] = ()
    notices: tuple[Document, ...] = ()
    subnet_id: str | None = None
    watched: tuple[str, ...] = ()
    is_refused: bool = False
    fingerprint: str = ""
    state: str = ""
    accepted: frozenset[str] = frozenset()
    unchanged: frozenset[str] = frozenset()
    run: str = ""

    @property
    def changes_digest(self) -> str:
        """The same for the same set of changes."""
        return digest_of_changes(self.changes)

    @property
    def remaining_digest(self) -> str:
        """The same for the same remaining findings."""
        return digest_of([*self.remaining])

    @property
    def findings(self) -> Findings:
        """What a guard shows of it."""
        return Findings(shown(self.changes), self.remaining, self.notices, self.summary)

    def refused(self, conflict: Conflict | OutsideAllowedScopes) -> Observation:
        """Return it with what forbids every write."""
        return replace(self, remaining=(problem_json(conflict), *self.remaining), is_refused=True)


def observe(guard: Guard, live: Live, settings: Settings) -> Observation:
    """Return what live state means for a guard.

    Raises:
        TooComplex: it cannot be proved in reasonable time.
    """
    return observation_from_plan(guard, plan_live(live, guard.options.foreign_rules), settings)


def observation_from_plan(
    guard: Guard, planned: LivePlan, settings: Settings, run: str = ""
) -> Observation:
    """Return what a plan for live state means for a guard."""
    live, plan = planned.live, planned.plan
    pending = [one.write for one in guard.pending]
    seen = Observation(
        verdict=guard_verdict(plan.before, live, is_associated=live.is_associated),
        summary=summarize(plan.before, is_associated=live.is_associated),
        changes=tuple(stable(change.to_json()) for change in planned.changes),
        remaining=remaining_of(plan.after, plan.blocked),
        notices=tuple(notice.to_json() for notice in planned.notices),
        subnet_id=live.subnet.id if live.subnet else None,
        watched=watched_by(live.statement, live),
        fingerprint=fingerprint_of(guard, live),
        state=state_of(live) if run or guard.circuit.is_open else "",
        accepted=frozenset(one.id for one in pending if was_accepted(one, live)),
        unchanged=frozenset(one.id for one in pending if is_unchanged(one, live)),
        run=run,
    )
    try:
        refuse(planned, guard.options, settings)
    except Conflict as conflict:
        return seen.refused(conflict)
    except OutsideAllowedScopes as outside:  # which matters where something is to be written
        is_wanted = guard.statement.mode is Mode.ENFORCE and planned.changes
        return seen.refused(outside) if is_wanted else seen
    return seen


def observation_from_result(before: Observation, result: ApplyResult) -> Observation:
    """Return what a carried-out plan left, by what ARM says it has accepted."""
    live = result.planned.live
    return replace(
        before,
        verdict=guard_verdict(result.after, live, is_associated=result.is_associated),
        summary=summarize(result.after, is_associated=result.is_associated),
        changes=(),
        remaining=remaining_of(result.after, result.planned.plan.blocked),
        fingerprint="",  # the state that it was worked out for is gone
    )


def guard_verdict(verification: Verification, live: Live, *, is_associated: bool | None) -> str:
    """Return a guard's verdict on rules and association.

    An NSG of which nobody knows whether it filters the file system's subnet protects nothing as far as
    anybody knows: what would be compliant is undecided.
    """
    if is_associated is False:
        return Verdict.NONCOMPLIANT.value
    is_unknown = verification.verdict is Verdict.COMPLIANT and live.subnet is None
    return Verdict.UNDECIDED.value if is_unknown else verification.verdict.value


def fingerprint_of(guard: Guard, live: Live) -> str:
    """Return a digest of everything that a look at a guard depends on.

    What has the same one has the same proof and the same plan: the NSG's rules and users, what is
    known of the virtual network, the intent as resolved, what the guard permits, catalogue and service
    tags, and this version of the service.
    """
    network, subnet, tags = (
        live.network,
        live.subnet,
        shipped_service_tags(live.intent.location.cloud),
    )
    return digest_of(
        [
            VERSION,
            (guard.catalogue, tags.cloud.value, tags.change_number, tags.published),
            repr(guard.options),
            repr(live.intent),
            [without_read_only(rule) for rule in live.nsg.rules] if live.nsg else None,
            (live.nsg.subnets, live.nsg.interfaces) if live.nsg else None,
            repr((network.location, network.space, network.peered, network.has_gateway))
            if network
            else None,
            repr((subnet.id, subnet.prefixes, subnet.nsg_id, subnet.has_routes))
            if subnet
            else None,
            [repr(notice) for notice in live.notices],
        ]
    )


def state_of(live: Live) -> str:
    """Return a digest of what ARM shows of a guard's network, without etags and states."""
    rules = [without_read_only(rule) for rule in live.nsg.rules] if live.nsg else None
    own = live.subnet.nsg_id if live.subnet else None
    return digest_of([rules, (own or "").lower(), repr(live.intent)])


def digest_of(value: object) -> str:
    """Return a digest of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def digest_of_changes(changes: Iterable[Document]) -> str:
    """Return a digest of changes: the same for the same set of them."""
    return digest_of([stable(change) for change in changes])


def stable(change: Document) -> Document:
    """Return a change without what differs each time."""
    return {
        "action": change["action"],
        "name": change["name"],
        "after": without_read_only(change["after"]),
        "reason": change["reason"],
    }


def without_read_only(value: Any) -> Any:
    """Return a document without etags and states."""
    if isinstance(value, dict):
        return {k: without_read_only(v) for k, v in value.items() if k not in READ_ONLY}
    return value


def shown(changes: Iterable[Document]) -> tuple[Document, ...]:
    """Return changes as outcomes and findings have them."""
    return tuple({name: change[name] for name in SHOWN} for change in changes)


def remaining_of(after: Verification, blocked: Sequence[Blocked]) -> tuple[Document, ...]:
    """Return what stays wrong: rows that cannot be placed, and packets that still pass."""
    found: list[Document] = []
    for one in blocked:
        found += [
            {"kind": "requirementBlocked", "requirement": one.row.name, **violation_json(by)}
            for by in one.by
        ]
    found += [{"kind": "excess", **violation_json(one)} for one in after.excess]
    return tuple(found)


def problem_json(conflict: GuardError) -> Document:
    """Return what forbids every write."""
    kind = conflict.kind if isinstance(conflict, Conflict) else "outside-allowed-scopes"
    return {"kind": kind, "message": str(conflict)}


def violation_json(violation: Violation) -> Document:
    """Return a rule and a packet that it decides."""
    rule, witness = violation.decided_by, violation.witness
    return {
        "rule": {
            "name": rule.name,
            "priority": rule.priority,
            "direction": rule.direction.value,
        },
        "packet": packet_text(witness),
        "witness": {
            "protocol": witness.protocol.value,
            "source": witness.source,
            "sourcePort": witness.source_port,
            "destination": witness.destination,
            "destinationPort": witness.destination_port,
        },
    }


def watched_by(statement: IntentStatement, live: Live | None = None) -> tuple[str, ...]:
    """Return the ids, without case, of what concerns an intent: NSG, networks, file system."""
    stated: Iterable[str | None] = (
        statement.network_security_group_id,
        statement.file_system_id,
        *(network_of(subnet.id) for subnet in statement.client_subnets or ()),
        network_of(statement.file_system_subnet.id if statement.file_system_subnet else None),
        network_of(live.subnet.id if live and live.subnet else None),
    )
    return tuple(sorted({one.lower() for one in stated if one}))


def network_of(subnet_id: str | None) -> str | None:
    """Return the virtual network of a subnet."""
    return parent_id(subnet_id) if subnet_id else None
