"""Event subscriptions: where events go, and which.

Source: "Understand event filtering for Event Grid subscriptions", Microsoft Learn: texts are compared
without case, of several filters every one must hold, at most 25 filters' values in all.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from local.azure.controls import Control

DATA = "data."
MOST_VALUES = 25


class StringIn(Control):
    """The one kind of advanced filter that the box knows: a field of `data` is one of some texts."""

    operator_type: Literal["StringIn"]
    key: Annotated[str, StringConstraints(pattern=r"^data\.\w+$")]
    values: list[str]

    def holds(self, event: dict[str, Any]) -> bool:
        """Whether an event has one of the values."""
        found = (event.get("data") or {}).get(self.key.removeprefix(DATA), "")
        return str(found).lower() in map(str.lower, self.values)


class EventFilter(Control):
    """Which events are wanted, as ARM spells it; without anything: all."""

    included_event_types: list[str] = Field(default_factory=list)
    advanced_filters: list[StringIn] = Field(default_factory=list)

    @model_validator(mode="after")
    def _few_values(self) -> EventFilter:
        if sum(len(one.values) for one in self.advanced_filters) > MOST_VALUES:
            raise ValueError(f"advanced filters have at most {MOST_VALUES} values")
        return self

    def passes(self, event: dict[str, Any]) -> bool:
        """Whether an event is wanted; it may be of either schema."""
        kind = str(event.get("eventType") or event.get("type", "")).lower()
        wanted = self.included_event_types
        if wanted and kind not in map(str.lower, wanted):
            return False
        return all(one.holds(event) for one in self.advanced_filters)


class Subscription(Control):
    """An event subscription: a webhook, and which events it wants.

    A second one of the same name replaces the first; without a name, the endpoint is one.
    """

    name: str = ""
    endpoint: Annotated[str, StringConstraints(pattern="^https?://")]
    filter: EventFilter = Field(default_factory=EventFilter)
