"""The service's settings, read from the environment.

`docs/api.md` says what each means for an operator.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from shared.errors import Misconfigured
from shared.nsg.locations import Cloud

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

T = TypeVar("T")

ARM_ENDPOINTS = {
    Cloud.PUBLIC: "https://management.azure.com",
    Cloud.GOVERNMENT: "https://management.usgovcloudapi.net",
    Cloud.CHINA: "https://management.chinacloudapi.cn",
}
"""Source: "Azure Government developer guide" and "Azure China developer guide", Microsoft Learn."""

SIGN_IN_HOSTS = {
    Cloud.PUBLIC: "login.microsoftonline.com",
    Cloud.GOVERNMENT: "login.microsoftonline.us",
    Cloud.CHINA: "login.chinacloudapi.cn",
}

TOPIC_AUDIENCES = {
    Cloud.PUBLIC: "https://eventgrid.azure.net",
    Cloud.GOVERNMENT: "https://eventgrid.azure.us",
    Cloud.CHINA: "https://eventgrid.azure.cn",
}
"""Source: Microsoft's azure-iot-ops-cli-extension, which publishes in all three; the SDK knows the
first."""


@dataclass(frozen=True, slots=True)
class CircuitLimits:
    """How often a guard may restore within a time.

    Attributes:
        same: the same set of changes.
        any: anything.
        window_seconds: the time; it is also how long it must be quiet before the circuit closes.
    """

    same: int
    any: int
    window_seconds: float


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator sets.

    Attributes:
        allowed_scopes: ARM scopes that the service may write to, in lower case.
        read_scopes: ARM scopes that it reads beside those, in lower case; None: what its identity may.
        cloud: the cloud that it runs in.
        arm_endpoint: where ARM is.
        store: where guards and operations are kept: `table`, or `sqlite:PATH`.
        request_seconds: the time for one HTTP request.
        settle_seconds: after an event, a second look follows so much later.
        circuit: when a guard stops writing.
        outcome_topic: where outcomes are sent; None: nowhere.
        guards: those declared with the deployment, as JSON or a path.
        declared_may_be_suspended: whether a declared guard can be suspended over HTTP.
        history_days: outcomes are kept for so long.
        operation_days: operations that ended are kept for so long.
    """

    allowed_scopes: tuple[str, ...]
    cloud: Cloud
    arm_endpoint: str
    store: str
    request_seconds: float
    settle_seconds: float
    circuit: CircuitLimits
    outcome_topic: str | None
    guards: str | None
    declared_may_be_suspended: bool = False
    history_days: float = 90
    operation_days: float = 7
    read_scopes: tuple[str, ...] | None = None

    @property
    def arm_scope(self) -> str:
        """What a token for ARM is asked for."""
        return f"{ARM_ENDPOINTS[self.cloud]}/.default"

    @property
    def topic_scope(self) -> str:
        """What a token for an Event Grid topic is asked for."""
        return f"{TOPIC_AUDIENCES[self.cloud]}/.default"

    def may_write(self, resource_id: str) -> bool:
        """Whether a resource lies in one of the allowed scopes; `/` allows everything."""
        return lies_in(resource_id, self.allowed_scopes)

    def may_read(self, resource_id: str) -> bool:
        """Whether a resource may be read: as far as is set, where it may be written or read."""
        if self.read_scopes is None:
            return True
        return lies_in(resource_id, (*self.read_scopes, *self.allowed_scopes))


def lies_in(resource_id: str, scopes: Iterable[str]) -> bool:
    """Whether a resource is one of the scopes, in lower case, or lies in one."""
    wanted = resource_id.lower()
    if not resource_id.isascii():  # the Kelvin sign in lower case is a k
        return False
    return any(wanted == scope or wanted.startswith(f"{scope.rstrip('/')}/") for scope in scopes)


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; raises `Misconfigured` naming all that are wrong and what to do."""
    get = (os.environ if environment is None else environment).get
    wrong: list[str] = []

    def read(reader: Callable[..., T], *given: Any, default: T) -> T:
        """Read one setting; what is wrong with it is told with all others."""
        try:
            return reader(*given)
        except Misconfigured as error:
            wrong.append(str(error))
            return default

    def number(name: str, default: float) -> float:
        return read(read_number, get(name), name, default, default=default)

    cloud = read(read_cloud, get("AMLFS_CLOUD"), default=Cloud.PUBLIC)
    endpoint = get("AMLFS_ARM_ENDPOINT") or ARM_ENDPOINTS[cloud]
    nowhere: tuple[str, ...] = ()
    settings = Settings(
        allowed_scopes=read(read_scopes_of, get, "AMLFS_ALLOWED_SCOPES", default=nowhere),
        read_scopes=read(read_scopes_of, get, "AMLFS_READ_SCOPES", default=nowhere) or None,
        cloud=cloud,
        arm_endpoint=read(read_endpoint, endpoint, default=endpoint),
        store=get("AMLFS_STORE") or "sqlite::memory:",
        request_seconds=number("AMLFS_REQUEST_SECONDS", 90),
        settle_seconds=number("AMLFS_SETTLE_SECONDS", 5),
        circuit=CircuitLimits(
            same=round(number("AMLFS_CIRCUIT_SAME", 5)),
            any=round(number("AMLFS_CIRCUIT_ANY", 30)),
            window_seconds=number("AMLFS_CIRCUIT_WINDOW_SECONDS", 600),
        ),
        outcome_topic=get("AMLFS_OUTCOME_TOPIC_ENDPOINT") or None,
        guards=get("AMLFS_GUARDS") or None,
        declared_may_be_suspended=read(
            read_flag, get, "AMLFS_DECLARED_MAY_BE_SUSPENDED", default=False
        ),
        history_days=number("AMLFS_HISTORY_DAYS", 90),
        operation_days=number("AMLFS_OPERATION_DAYS", 7),
    )
    if wrong:
        raise Misconfigured(" ".join(wrong))
    return settings


def read_cloud(text: str | None) -> Cloud:
    """Read the name of a cloud; raises `Misconfigured`."""
    name = text or Cloud.PUBLIC.value
    if name not in set(Cloud):
        raise Misconfigured(f"AMLFS_CLOUD: {name!r} is none of {', '.join(Cloud)}.")
    return Cloud(name)


def read_endpoint(text: str) -> str:
    """Read ARM's address; raises `Misconfigured`."""
    endpoint = text.rstrip("/")
    if urlsplit(endpoint).scheme not in ("http", "https") or not urlsplit(endpoint).hostname:
        raise Misconfigured(f"AMLFS_ARM_ENDPOINT: {endpoint!r} is no http or https address.")
    return endpoint


def read_scopes_of(get: Callable[[str], str | None], name: str) -> tuple[str, ...]:
    """Read ARM scopes separated by `;`, in lower case; raises `Misconfigured`."""
    scopes = [scope.strip().lower() for scope in (get(name) or "").split(";")]
    for scope in filter(None, scopes):
        if not scope.startswith("/"):
            raise Misconfigured(
                f"{name}: {scope!r} is no ARM scope; give ids such as"
                " /subscriptions/…/resourceGroups/…, separated by ';'."
            )
    return tuple(filter(None, scopes))


def read_flag(get: Callable[[str], str | None], name: str) -> bool:
    """Read true or false, in any case; raises `Misconfigured`."""
    text = (get(name) or "false").strip().lower()
    if text not in ("true", "false"):
        raise Misconfigured(f"{name}: {text!r} is neither true nor false.")
    return text == "true"


def read_number(text: str | None, name: str, default: float) -> float:
    """Read a positive number; raises `Misconfigured`."""
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise Misconfigured(f"{name}: {text!r} is no positive number.")
    return number
