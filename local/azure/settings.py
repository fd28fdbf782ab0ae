"""What can be set over `/_box/settings`; everything is back to its default at a reset."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

SCHEMAS = ("EventGridSchema", "CloudEventSchemaV1_0")
AUDIENCES = (
    "https://eventgrid.azure.net",
    "https://eventgrid.azure.us",
    "https://eventgrid.azure.cn",
)
CHOICES = {"eventSchema": SCHEMAS, "topicAudience": AUDIENCES}
OPTIONAL = ("retryAfterSeconds",)


@dataclass(frozen=True)
class Settings:
    """The names are the contract's.

    Attributes:
        latencySeconds: every call takes so much longer.
        operationSeconds: an asynchronous operation takes so long.
        retryAfterSeconds: sent with operations and their polls; null: not sent.
        staleReadSeconds: for so long after a completed write, reads show the state before it.
        eventDelaySeconds: an event is delivered so long after it was raised.
        eventLossRate: so many of the deliveries are lost, 0 to 1.
        eventDuplicateRate: so many of the deliveries come twice, 0 to 1.
        eventReorder: deliveries come in any order.
        eventBatchSize: so many events at most are delivered together.
        eventSchema: the schema of the events.
        topicAudience: what a token for the topic must have been asked for, which depends on the cloud.
        retryScale: the delays of redelivery are multiplied by it.
        throttling: ARM's token buckets count.
        strictAuth: only tokens that the box has issued are taken.
        checkReferences: a subnet cannot name an NSG or route table that is not there.
        pageSize: so many resources stand on a page of a list.
    """

    latencySeconds: float = 0.0
    operationSeconds: float = 0.2
    retryAfterSeconds: float | None = None
    staleReadSeconds: float = 0.0
    eventDelaySeconds: float = 0.05
    eventLossRate: float = 0.0
    eventDuplicateRate: float = 0.0
    eventReorder: bool = False
    eventBatchSize: int = 1
    eventSchema: str = "EventGridSchema"
    topicAudience: str = AUDIENCES[0]
    retryScale: float = 0.001
    throttling: bool = False
    strictAuth: bool = False
    checkReferences: bool = False
    pageSize: int = 250

    def changed(self, values: dict[str, Any]) -> Settings:
        """Return settings with some values changed; raises `ValueError` for what cannot be set."""
        known = {field.name for field in fields(self)}
        if unknown := sorted(values.keys() - known):
            raise ValueError(f"No setting is called {', '.join(unknown)}.")
        for name, value in values.items():
            check(name, value, getattr(Settings, name))
        return replace(self, **values)

    def to_json(self) -> dict[str, Any]:
        """Spell all settings."""
        return asdict(self)


def check(name: str, value: Any, default: Any) -> None:
    """Raise `ValueError` where a value is none that a setting can have."""
    if value is None and name in OPTIONAL:
        return
    if isinstance(default, bool):
        wanted, fine = "true or false", isinstance(value, bool)
    elif isinstance(default, str):
        wanted, fine = f"one of {', '.join(CHOICES[name])}", value in CHOICES[name]
    else:
        most = 1 if name.endswith("Rate") else float("inf")
        least = 1 if name in ("pageSize", "eventBatchSize") else 0
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        wanted, fine = f"a number from {least} to {most}", is_number and least <= value <= most
    if not fine:
        raise ValueError(f"{name} is {wanted}.")
