"""Reading what ARM answered: each field by its type, and nothing believed that has another one.

A body that does not have the shape of its resource is no empty resource: `{"error": …}` with status 200
is no NSG without rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from shared.errors import ArmAnswer, UnexpectedAnswer

T = TypeVar("T")
Document = dict[str, Any]

KINDS: dict[type, str] = {str: "a text", dict: "an object", list: "a list"}


@dataclass(frozen=True, slots=True)
class ArmBody:
    """A JSON object of ARM, or one inside it.

    Attributes:
        document: the object.
        what: the kind of resource, in words.
        resource_id: its id, as far as it is known.
        at: the JSON pointer of this object.
    """

    document: Document
    what: str
    resource_id: str = ""
    at: str = ""

    @classmethod
    def of(cls, document: object, what: str, wanted: str | None = None) -> ArmBody:
        """Take an answer; raises `UnexpectedAnswer` for what is no such resource.

        Args:
            document: the answer.
            what: the kind of resource, in words.
            wanted: the id that was asked for; None where it was not.
        """
        if not isinstance(document, dict):
            raise cls({}, what).unexpected("it is no object")
        given = document.get("id")
        if not isinstance(given, str) or given.count("/") < 8 or not given.startswith("/"):
            raise cls({}, what, wanted or "").unexpected("it has no id")
        if wanted is not None and given.lower().rstrip("/") != wanted.lower().rstrip("/"):
            raise cls({}, what, wanted).unexpected(f"it is another resource, {given[:200]}")
        return cls(document, what, given)

    def unexpected(self, why: str) -> UnexpectedAnswer:
        """Return that this cannot be read."""
        place = f" at {self.at}" if self.at else ""
        name = self.resource_id or "(without an id)"
        return UnexpectedAnswer(
            f"ARM shows the {self.what} {name} in a way that cannot be read: {why}{place}.",
            ArmAnswer(None, "UnexpectedAnswer", None),
        )

    def _value(self, name: str, kind: type[T]) -> T | None:
        value = self.document.get(name)
        if value is not None and not isinstance(value, kind):
            raise self._inside(name).unexpected(f"{KINDS[kind]} is expected")
        return value

    def _inside(self, name: str | int, document: Document | None = None) -> ArmBody:
        return ArmBody(document or {}, self.what, self.resource_id, f"{self.at}/{name}")

    def text(self, name: str) -> str:
        """Return a text; empty where there is none."""
        return self._value(name, str) or ""

    def has(self, name: str) -> bool:
        """Whether there is an object with something in it."""
        return bool(self._value(name, dict))

    def body(self, name: str) -> ArmBody:
        """Return an object that must be there."""
        value = self._value(name, dict)
        if value is None:
            raise self._inside(name).unexpected("an object is missing")
        return self._inside(name, value)

    def maybe_body(self, name: str) -> ArmBody:
        """Return an object, an empty one where there is none."""
        return self._inside(name, self._value(name, dict) or {})

    def bodies(self, name: str, *, required: bool = False) -> list[ArmBody]:
        """Return the objects of a list, which is empty where it may be missing."""
        values = self._value(name, list)
        if values is None and required:
            raise self._inside(name).unexpected("a list is missing")
        place = self._inside(name)
        found = []
        for i, value in enumerate(values or ()):
            if not isinstance(value, dict):
                raise place._inside(i).unexpected("an object is expected")
            found.append(place._inside(i, value))
        return found

    def texts(self, name: str) -> list[str]:
        """Return the texts of a list, which is empty where it is missing."""
        values = self._value(name, list) or []
        if not all(isinstance(value, str) for value in values):
            raise self._inside(name).unexpected("a list of texts is expected")
        return values

    def id(self, name: str = "id") -> str:
        """Return the id of a resource that this refers to."""
        found = self.text(name)
        if found.count("/") < 8 or not found.startswith("/"):
            raise self._inside(name).unexpected("an id is expected")
        return found
