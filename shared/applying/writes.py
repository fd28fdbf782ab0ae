"""Writes: what was sent to ARM, and whether ARM accepted it.

A write is recorded before it is sent and again when ARM has accepted it, so that a process that dies in
between does not take the knowledge with it. Where the answer was lost, the state that is read next shows
whether the write was accepted.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from shared.cloud.resources import same_id
from shared.planning.changes import Action

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.applying.live import Live
    from shared.planning.changes import Change

Document = dict[str, Any]

NAMESPACE = uuid.UUID("6f1d0a5e-4b0c-5d5b-9a8e-0c6c6f2f6a11")

READ_ONLY = ("id", "etag", "type", "provisioningState")

OUR_TAG = {"amlfs-network-guard": "managed"}
"""The tag of an NSG that the service has made."""


class WriteState(StrEnum):
    """What is known of a write.

    `SENT`: it was sent, or was about to be; nobody knows whether ARM accepted it. `REFUTED`: a later
    read showed the state from before, or ARM refused it.
    """

    SENT = "sent"
    ACCEPTED = "accepted"
    REFUTED = "refuted"


@dataclass(frozen=True, slots=True)
class Write:
    """One PUT of an NSG or of a subnet.

    Attributes:
        id: the same for everybody who would replace the same state: ARM accepts one of them.
        target: id of the resource.
        etag: of the state that it replaces; None where it creates.
        changes: what it changes, as the contract writes changes.
        state: what is known of it.
        at: when it was sent, in seconds since the epoch.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", alias_generator=to_camel, validate_by_name=True
    )

    id: str
    target: str
    etag: str | None
    changes: tuple[Document, ...]
    state: WriteState = WriteState.SENT
    at: float = 0.0

    def is_now(self, state: WriteState) -> Write:
        """Return it with what is known now; a write that was accepted stays so."""
        return self if self.state is WriteState.ACCEPTED else replace(self, state=state)


class WriteJournal(Protocol):
    """Where writes are recorded."""

    @property
    def earlier(self) -> Sequence[Write]:
        """The writes of a run that did not end, which a new run continues."""

    async def sending(self, write: Write) -> None:
        """Record a write that is about to be sent; raises `Withdrawn` where it must not be."""

    async def accepted(self, write: Write) -> None:
        """Record that ARM has accepted a write."""

    async def refuted(self, write: Write) -> None:
        """Record that ARM has not accepted a write."""


class NoJournal:
    """Records nothing: for a request whose caller waits for the answer."""

    earlier: Sequence[Write] = ()

    async def sending(self, write: Write) -> None:
        """Do nothing."""

    async def accepted(self, write: Write) -> None:
        """Do nothing."""

    async def refuted(self, write: Write) -> None:
        """Do nothing."""


def new_write(
    target: str, etag: str | None, changes: Sequence[Change], run: str, now: float
) -> Write:
    """Return a write that is about to be sent; one that creates has an id of its own in every run."""
    write_id = str(uuid.uuid5(NAMESPACE, f"{target.lower()} {etag or run}"))
    return Write(write_id, target, etag, tuple(change.to_json() for change in changes), at=now)


def is_unchanged(write: Write, live: Live) -> bool:
    """Whether the resource is as it was before a write: ARM has not accepted it."""
    if same_id(write.target, live.nsg_id):
        return write.etag == (live.nsg.etag if live.nsg else None)
    is_subnet = live.subnet is not None and same_id(write.target, live.subnet.id)
    return is_subnet and live.subnet is not None and write.etag == live.subnet.etag


def was_accepted(write: Write, live: Live) -> bool:
    """Whether live state shows at least one of a write's changes, as this service would write it.

    Every change of a write differs from the state that it replaced, so one that is there was made
    since. That somebody else made exactly the same change in that moment cannot be excluded.
    """
    subnet_id = live.subnet.id if live.subnet else None
    is_about = same_id(write.target, live.nsg_id) or same_id(write.target, subnet_id)
    if not is_about or is_unchanged(write, live):
        return False
    return any(is_visible(one, live) for one in write.changes)


def is_visible(change: Document, live: Live) -> bool:
    """Whether live state shows a change."""
    if change["action"] == Action.ASSOCIATE_SUBNET:
        return live.is_associated is True
    if live.nsg is None:
        return False
    if change["action"] == Action.CREATE_NSG:
        tags = live.nsg.document.get("tags")
        return isinstance(tags, dict) and OUR_TAG.items() <= tags.items()
    name = str(change["name"]).lower()
    found = [rule for rule in live.nsg.rules if str(rule.get("name", "")).lower() == name]
    if change["action"] == Action.DELETE:
        return not found
    return any(is_as_written(rule, change["after"]) for rule in found)


def is_as_written(rule: Document, written: Document) -> bool:
    """Whether a rule has every field as it was written; ARM adds some of its own."""
    shown, sent = rule.get("properties", rule), written.get("properties", written)
    return isinstance(shown, dict) and all(
        (shown.get(name) or None) == (value or None)
        for name, value in sent.items()
        if name not in READ_ONLY
    )
