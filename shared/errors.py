"""What can go wrong, as one small tree; triggers translate it once, nobody catches it to drop it.

`InvalidInput` is the caller's to mend, `Conflict` needs a decision by a person, `NotBuilt` is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with a document.

    Attributes:
        pointer: where, as a JSON pointer (RFC 6901); `""` is the whole document.
        message: what is wrong and what to do about it, in a sentence.
    """

    pointer: str
    message: str


class GuardError(Exception):
    """Any failure that the service foresees."""


class InvalidInput(GuardError):
    """A document that cannot be used, with everything that is wrong with it."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.pointer}: {error.message}" for error in errors))
        self.errors = tuple(errors)


class TooIntricate(GuardError):
    """A question whose answer would take too long."""


class NotBuilt(GuardError):
    """Something that the contract promises and this version does not do yet."""
