"""What can go wrong, as one small tree; triggers translate it once, nobody catches it to drop it.

The caller can correct `InvalidInput` and `OutsideAllowedScopes`. A person must decide about `NotFound`
and `Conflict`. `Transient` goes away by itself, `ArmRefused` does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with a document.

    Attributes:
        pointer: where, as a JSON pointer (RFC 6901); `""` is the whole document.
        message: what is wrong and what to do about it, in a sentence.
    """

    pointer: str
    message: str


@dataclass(frozen=True, slots=True)
class ArmAnswer:
    """What Azure Resource Manager (ARM) answered.

    Attributes:
        status: the HTTP status; None where no answer came.
        code: ARM's word for it.
        request_id: for Microsoft's support.
    """

    status: int | None
    code: str | None
    request_id: str | None


class GuardError(Exception):
    """Any failure that the service foresees.

    Attributes:
        arm: what ARM answered, where it came from there.
    """

    def __init__(self, message: str, arm: ArmAnswer | None = None) -> None:
        super().__init__(message)
        self.arm = arm


class InvalidInput(GuardError):
    """A document that cannot be used, with everything that is wrong with it."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.pointer}: {error.message}" for error in errors))
        self.errors = tuple(errors)


class TooComplex(GuardError):
    """A question whose answer would take too long."""


class Misconfigured(GuardError):
    """A setting that cannot be used."""


class OutsideAllowedScopes(GuardError):
    """A write, or a read, outside the scopes that the service has for it."""


class NotFound(GuardError):
    """Something that a request names and that is not there."""


class Conflict(GuardError):
    """A state that a person must decide about.

    Attributes:
        kind: what kind of conflict, for programs.
        facts: what there is to know about it, for programs.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        facts: Mapping[str, Any] | None = None,
        arm: ArmAnswer | None = None,
    ) -> None:
        super().__init__(message, arm)
        self.kind = kind
        self.facts = dict(facts or {})


class Withdrawn(GuardError):
    """A guard may no longer write: it was suspended, changed or deleted since its write was planned."""


class PreconditionFailed(GuardError):
    """Something changed since it was read: read it again."""


class Transient(GuardError):
    """A failure that goes away by itself.

    Attributes:
        delay: seconds after which trying again makes sense; None where nobody says.
        is_throttled: whether it is a limit of requests, rather than an outage.
    """

    def __init__(
        self,
        message: str,
        delay: float | None = None,
        arm: ArmAnswer | None = None,
        *,
        is_throttled: bool = False,
    ) -> None:
        super().__init__(message, arm)
        self.delay = delay
        self.is_throttled = is_throttled


class Busy(Transient):
    """Another operation is under way on the same resource: wait, and read it again."""


class OutcomeUnknown(Transient):
    """A write whose answer never came: it may have been taken or not."""


class StillRunning(Transient):
    """A write that ARM has taken and is still carrying out."""


class ArmRefused(GuardError):
    """ARM says no, and will say so again: missing rights, a policy, a body that it does not take."""


class UnexpectedAnswer(ArmRefused):
    """ARM answered with a document that the service cannot read."""


class InternalFailure(GuardError):
    """The service failed in a way that nobody foresaw; its log has the details."""
