"""Event subscriptions: where events go, and which.

Source: "Understand event filtering for Event Grid subscriptions", Microsoft Learn: texts are compared
without case, of several filters every one must hold, at most 25 filters' values in all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]

MOST_VALUES = 25
DATA = "data."
LISTS = ("includedEventTypes", "advancedFilters")


@dataclass(frozen=True, slots=True)
class Subscription:
    """An event subscription.

    Attributes:
        endpoint: a webhook.
        event_types: in lower case; empty for any.
        values: by field of `data`, the values that are wanted, in lower case.
    """

    endpoint: str
    event_types: frozenset[str] = frozenset()
    values: dict[str, frozenset[str]] = field(default_factory=dict)

    def wants(self, event: Document) -> bool:
        """Whether an event passes the filters; it may be of either schema."""
        kind = str(event.get("eventType") or event.get("type", "")).lower()
        if self.event_types and kind not in self.event_types:
            return False
        data = event.get("data") or {}
        return all(str(data.get(key, "")).lower() in wanted for key, wanted in self.values.items())

    def to_json(self) -> Document:
        """Spell the subscription."""
        return {
            "endpoint": self.endpoint,
            "filter": {
                "includedEventTypes": sorted(self.event_types),
                "advancedFilters": [
                    {"operatorType": "StringIn", "key": DATA + key, "values": sorted(wanted)}
                    for key, wanted in self.values.items()
                ],
            },
        }


def read_subscription(document: object) -> Subscription:
    """Read `{"endpoint", "filter"?}`, the filter as ARM spells it; raises `ValueError`."""
    asked = document if isinstance(document, dict) else {}
    endpoint = str(asked.get("endpoint", ""))
    if not endpoint.startswith("http"):
        raise ValueError('Give {"endpoint": "http…"}.')
    given = asked.get("filter") or {}
    if not isinstance(given, dict):
        raise ValueError("filter is an object.")  # noqa: TRY004 - it is the caller's value
    event_types, advanced = (given.get(name) or [] for name in LISTS)
    if not isinstance(event_types, list) or not isinstance(advanced, list):
        raise ValueError(f"{' and '.join(LISTS)} are lists.")  # noqa: TRY004 - as above
    values = dict(map(read_filter, advanced))
    if sum(map(len, values.values())) > MOST_VALUES:
        raise ValueError(f"Advanced filters have at most {MOST_VALUES} values.")
    return Subscription(endpoint, frozenset(str(kind).lower() for kind in event_types), values)


def read_filter(document: object) -> tuple[str, frozenset[str]]:
    """Read an advanced filter: the field of `data`, and its values; raises `ValueError`."""
    asked = document if isinstance(document, dict) else {}
    key, values = str(asked.get("key", "")), asked.get("values")
    if asked.get("operatorType") != "StringIn" or not key.startswith(DATA):
        raise ValueError("Of advanced filters the box knows StringIn on a field of data.")
    if not isinstance(values, list):
        raise ValueError("values is a list.")  # noqa: TRY004 - it is the caller's value
    return key.removeprefix(DATA), frozenset(str(value).lower() for value in values)
