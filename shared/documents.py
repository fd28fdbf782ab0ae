"""Reading JSON documents with pydantic, so that a caller hears of every mistake at once.

pydantic reports the mistakes of the single fields. Contradictions *between* fields are found by the
document itself, and pydantic would not ask it while a field is wrong. So the wrong parts are taken
out, and what is left is read again and asked.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, WrapValidator
from pydantic.alias_generators import to_camel

from shared.errors import FieldError, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import ValidatorFunctionWrapHandler
    from pydantic_core import ErrorDetails

D = TypeVar("D", bound="Document")


class Document(BaseModel):
    """A JSON object with camelCase fields and no others."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, arbitrary_types_allowed=True
    )

    def contradictions(self, at: str) -> Iterable[FieldError]:
        """Yield what is wrong between the fields; `at` is this document's own pointer."""
        del at
        return ()


class Hole:
    """Stands in a list for an item that was wrong, so that the others keep their index."""


def keep_hole(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Let a hole through and have everything else validated."""
    return value if isinstance(value, Hole) else handler(value)


T = TypeVar("T")
Item = Annotated[T, WrapValidator(keep_hole)]
"""An item of a list, which a hole may stand in for."""


def items(values: Sequence[T] | None) -> list[tuple[int, T]]:
    """Return the items of a list with their index, without holes."""
    return [(i, value) for i, value in enumerate(values or ()) if not isinstance(value, Hole)]


def read_document(model: type[D], value: object) -> D:
    """Read a JSON value as a document; raises `InvalidInput` with everything that is wrong."""
    errors: list[FieldError] = []
    document: D | None = None
    try:
        document = model.model_validate(value)
    except ValidationError as invalid:
        details = invalid.errors(include_url=False, include_context=False)
        errors = [FieldError(pointer(d["loc"]), sentence(d, model)) for d in details]
        document = read_again(model, value, [detail["loc"] for detail in details])
    if document is not None:
        explained = {place for error in errors for place in ancestors(error.pointer)}
        errors += [e for e in document.contradictions("") if e.pointer not in explained]
    if errors or document is None:
        raise InvalidInput(errors)
    return document


def read_again(model: type[D], value: object, wrong: list[tuple[int | str, ...]]) -> D | None:
    """Read what is left of a value without its wrong parts, or None where that is no document."""
    if () in wrong:
        return None
    rest = copy.deepcopy(value)
    for location in wrong:
        take_out(rest, location)
    try:
        return model.model_validate(rest)
    except ValidationError:
        return None


def take_out(value: Any, location: tuple[int | str, ...]) -> None:
    """Drop a field, or put a hole where an item of a list stands."""
    *way, last = location
    for step in way:
        value = value[step]
        if isinstance(value, Hole):
            return
    if isinstance(last, int):
        value[last] = Hole()
    else:
        value.pop(last, None)


def pointer(location: Iterable[int | str]) -> str:
    """Spell a location as a JSON pointer (RFC 6901)."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in location)


def ancestors(place: str) -> Iterable[str]:
    """Yield a pointer and those of everything that it lies in."""
    while place:
        yield place
        place = place.rpartition("/")[0]


SENTENCES = {
    "missing": "This field is required.",
    "string_type": "Give a string.",
    "bool_type": "Give true or false.",
    "list_type": "Give a list.",
    **dict.fromkeys(
        ("datetime_type", "datetime_parsing", "datetime_from_date_parsing", "timezone_aware"),
        "Give a date and a time with its zone (ISO 8601), such as 2026-12-01T08:00:00Z.",
    ),
}


def sentence(detail: ErrorDetails, model: type[BaseModel]) -> str:
    """Say what is wrong and what to do, in place of pydantic's words."""
    if detail["type"] == "extra_forbidden":
        fields = ", ".join(fields_at(model, detail["loc"][:-1]))
        return f"There is no such field; the fields here are {fields}."
    if detail["type"] == "model_type":
        return f"Give a JSON object with the fields {', '.join(fields_at(model, detail['loc']))}."
    if detail["type"] == "too_short":
        return "The list is empty: give at least one item."
    return SENTENCES.get(detail["type"], detail["msg"])


def fields_at(model: type[BaseModel], location: Iterable[int | str]) -> list[str]:
    """Return the names of the fields of the document at this place."""
    for step in location:
        for name, field in model.model_fields.items():
            if step in (name, field.alias):
                model = next(iter(documents_in(field.annotation)), model)
    return [field.alias or name for name, field in model.model_fields.items()]


def documents_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the document types that an annotation such as `list[Item[Subnet]] | None` names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for part in getattr(annotation, "__args__", ()) for m in documents_in(part)]
