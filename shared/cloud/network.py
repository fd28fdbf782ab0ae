"""ARM's network resources over the SDK: read, and replaced with a guard on what was read.

Documents pass as ARM sent them: the SDK's models are not used, so that unknown fields survive.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError
from azure.core.rest import HttpRequest
from azure.mgmt.core.polling.arm_polling import AzureAsyncOperationPolling, BodyContentPolling
from azure.mgmt.core.polling.async_arm_polling import AsyncARMPolling

from shared.cloud.arm_body import ArmBody
from shared.cloud.clients import POLL_SECONDS, clients
from shared.cloud.failures import translate
from shared.cloud.resources import (
    NetworkSecurityGroup,
    VirtualNetwork,
    parse_id,
    read_network,
    read_nsg,
)
from shared.cloud.transport import Distrusted
from shared.context import seconds_left
from shared.errors import (
    ArmAnswer,
    GuardError,
    OutcomeUnknown,
    OutsideAllowedScopes,
    StillRunning,
    UnexpectedAnswer,
)
from shared.nsg.api_versions import API_VERSIONS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from azure.mgmt.network.aio import NetworkManagementClient

    from shared.cloud.arm_body import Document
    from shared.cloud.resources import ResourceId, Subnet
    from shared.settings import Settings

log = logging.getLogger(__name__)

OPERATION_ENDED = 200
"""The status of a poll that says that an operation has failed or was canceled."""

MOST_PAGES = 2_000
"""Of one list; a subscription has far fewer NSGs than fit on them."""

NSGS = "Microsoft.Network/networkSecurityGroups"
NETWORKS = "Microsoft.Network/virtualNetworks"
FILE_SYSTEMS = "Microsoft.StorageCache/amlFilesystems"


class WithoutClosingRead(AzureAsyncOperationPolling[Any, Any]):
    """Ends with the last poll; a subnet alone is never read, so the service needs no right to it."""

    def get_final_get_url(self, pipeline_response: Any) -> None:
        """Say that nothing is left to read."""


class FirstAnswer(AsyncARMPolling):
    """Polls as the SDK does, while there is time; keeps the body that the PUT was answered with.

    Attributes:
        accepted: whether ARM has accepted the write.
        body: what the PUT was answered with.
    """

    def __init__(self, *, reads: bool = True) -> None:
        """Read the resource at the end, or not."""
        algorithms = None if reads else [WithoutClosingRead(), BodyContentPolling[Any, Any]()]
        super().__init__(POLL_SECONDS, lro_algorithms=algorithms)
        self.accepted = False
        self.body: Document = {}

    def initialize(self, client: Any, initial_response: Any, deserialization_callback: Any) -> None:
        """Begin to poll."""
        self.accepted = True
        body = initial_response.http_response.json()
        self.body = body if isinstance(body, dict) else {}
        super().initialize(client, initial_response, deserialization_callback)

    async def update_status(self) -> None:
        """Poll once; raises `Distrusted` where the answer is none to a poll."""
        try:
            await super().update_status()
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise Distrusted(
                f"The poll's answer cannot be read ({type(error).__name__})."
            ) from error

    async def _delay(self) -> None:
        """Wait for the next poll, if it can come in time."""
        seconds = self._extract_delay()
        if seconds >= seconds_left():
            raise StillRunning(
                "ARM has accepted the write and is still carrying it out. Ask again: it is not done"
                " twice.",
                seconds,
                ArmAnswer(None, "InProgress", None),
            )
        await super()._delay()


class RunningWrite:
    """A write that ARM has accepted, and may still be carrying out."""

    def __init__(
        self, what: str, polling: FirstAnswer, poller: Any, failure: GuardError | None
    ) -> None:
        self._what = what
        self._polling = polling
        self._poller = poller
        self._failure = failure

    async def finish(self) -> Document:
        """Wait until it is carried out.

        The body that the PUT itself was answered with counts: a poll or a closing read that fails takes
        nothing back. An operation that fails, or is superseded, does.

        Returns:
            That body, with the etag that the resource has afterwards where it is known.

        Raises:
            Busy: another operation has superseded this one.
            StillRunning: it takes longer than there is time.
        """
        if self._failure is not None:
            raise self._failure
        last: object = {}
        try:
            with translated(self._what):
                last = await self._poller.result()
        except StillRunning:
            raise
        except GuardError as error:
            if error.arm is None or error.arm.status == OPERATION_ENDED:
                raise
        etag = last.get("etag") if isinstance(last, dict) else None
        return self._polling.body | {"etag": etag if isinstance(etag, str) else ""}


class Network:
    """Network resources, by their ids."""

    def __init__(self, settings: Settings) -> None:
        """Use the running event loop's clients."""
        self._settings = settings
        self._clients = clients(settings)
        self._api = API_VERSIONS[settings.cloud]
        self._version: Any = {
            "api_version": self._api.network
        }  # the SDK takes it with each call alone

    def _of(self, where: ResourceId) -> NetworkManagementClient:
        return self._clients.of(where.subscription)

    def check_readable(self, *resource_ids: str) -> None:
        """Raise `OutsideAllowedScopes` where a resource lies outside the scopes that may be read."""
        for resource_id in resource_ids:
            if not self._settings.may_read(resource_id):
                scopes = "; ".join(self._settings.read_scopes or ())
                raise OutsideAllowedScopes(
                    f"{resource_id} lies outside the scopes that this service reads ({scopes}): have its"
                    " operator extend AMLFS_READ_SCOPES."
                )

    async def reach(self) -> dict[str, int]:
        """Ask ARM for the subscriptions that the identity can see; returns how many."""
        request = HttpRequest(
            "GET", "/subscriptions", params={"api-version": self._api.subscriptions}
        )
        with translated("Reaching Azure"):
            response = await self._clients.of("none").send_request(request)
            response.raise_for_status()
            found = response.json()
        value = found.get("value") if isinstance(found, dict) else None
        if not isinstance(value, list):
            raise unexpected("ARM's list of subscriptions is none.")
        return {"subscriptions": len(value)}

    async def nsg(self, nsg_id: str) -> NetworkSecurityGroup:
        """Read an NSG; raises `NotFound`."""
        self.check_readable(nsg_id)
        where = parse_id(nsg_id)
        with translated(f"Reading the network security group {where}"):
            document: Any = await self._of(where).network_security_groups.get(
                where.group, where.name, cls=raw, **self._version
            )
        return read_nsg(document, nsg_id)

    async def virtual_network(self, network_id: str) -> VirtualNetwork:
        """Read a virtual network with its subnets; raises `NotFound`."""
        self.check_readable(network_id)
        where = parse_id(network_id)
        with translated(f"Reading the virtual network {where}"):
            document: Any = await self._of(where).virtual_networks.get(
                where.group, where.name, cls=raw, **self._version
            )
        return read_network(document, network_id)

    async def file_system(self, file_system_id: str) -> Document:
        """Read an AMLFS file system; raises `NotFound`."""
        self.check_readable(file_system_id)
        where = parse_id(file_system_id)
        request = HttpRequest("GET", file_system_id, params={"api-version": self._api.file_systems})
        with translated(f"Reading the file system {where}"):
            response = await self._of(where).send_request(request)
            response.raise_for_status()
            document = response.json()
        return ArmBody.of(document, "file system", file_system_id).document

    async def pages(self, subscription: str, kind: str) -> AsyncIterator[list[Document]]:
        """Yield all resources of a type in a subscription, page by page, as ARM sends them.

        An element that is no resource (no object, or without an id) is passed over: the guard that it
        may belong to then finds nothing in the list, and is read by itself.
        """
        api = self._api.file_systems if kind == FILE_SYSTEMS else self._api.network
        link = f"/subscriptions/{subscription}/providers/{kind}?api-version={api}"
        client = self._clients.of(subscription)
        seen: set[str] = set()
        while link:
            if link in seen or len(seen) == MOST_PAGES:
                raise unexpected(f"ARM's list of {kind} in subscription {subscription} has no end.")
            seen.add(link)
            with translated(f"Listing {kind} of subscription {subscription}"):
                response = await client.send_request(HttpRequest("GET", link))
                response.raise_for_status()
                page = response.json()
            value = page.get("value") if isinstance(page, dict) else None
            if not isinstance(value, list):
                raise unexpected(f"ARM's list of {kind} in subscription {subscription} is none.")
            yield [one for one in value if is_resource(one)]
            link = page.get("nextLink") or ""
            if not isinstance(link, str):
                raise unexpected(
                    f"ARM's list of {kind} in subscription {subscription} goes on oddly."
                )

    async def start_nsg_write(self, nsg_id: str, body: Any, etag: str | None) -> RunningWrite:
        """Replace an NSG that is as it was read, or create one that is not there.

        Args:
            nsg_id: of the NSG.
            body: all of it.
            etag: of the state that the body was made from; None where there was none.

        Raises:
            PreconditionFailed: it was changed, or made, meanwhile.
            OutcomeUnknown: the connection broke before an answer came.
            Busy: another operation is under way.
        """
        where = parse_id(nsg_id)
        guard = {"If-Match": etag} if etag else {"If-None-Match": "*"}
        begin = self._of(where).network_security_groups.begin_create_or_update
        return await started(
            f"Writing the network security group {where}",
            FirstAnswer(),
            lambda polling: begin(
                where.group,
                where.name,
                body,
                headers=guard,
                polling=polling,
                cls=raw,
                **self._version,
            ),
            lambda answer: read_nsg(answer, nsg_id),
        )

    async def start_subnet_write(self, subnet: Subnet, body: Any) -> RunningWrite:
        """Replace a subnet that is as it was read; raises as `start_nsg_write`."""
        where = parse_id(subnet.id)
        guard = {"If-Match": subnet.etag}
        begin = self._of(where).subnets.begin_create_or_update
        return await started(
            f"Writing the subnet {where}",
            FirstAnswer(reads=False),
            lambda polling: begin(
                where.group,
                where.name,
                where.child,
                body,
                headers=guard,
                polling=polling,
                cls=raw,
                **self._version,
            ),
            lambda answer: ArmBody.of(answer, "subnet", subnet.id).body("properties"),
        )


def unexpected(what: str) -> UnexpectedAnswer:
    """Return that an answer of ARM cannot be what was asked for."""
    return UnexpectedAnswer(what, ArmAnswer(None, "UnexpectedAnswer", None))


def unknown_outcome(what: str, error: GuardError) -> OutcomeUnknown:
    """Return that ARM may have taken a write, because its answer cannot be believed."""
    text = f"{what}: ARM's answer cannot be read, so that it is not known what it took ({error})."
    return OutcomeUnknown(text, arm=error.arm or ArmAnswer(None, None, None))


def is_resource(element: object) -> bool:
    """Whether an element of a list is an object with an id; logs what is not."""
    if isinstance(element, dict) and isinstance(element.get("id"), str):
        return True
    log.warning("ARM lists something without an id: %.200s", element)
    return False


async def started(
    what: str,
    polling: FirstAnswer,
    begin: Callable[[FirstAnswer], Awaitable[Any]],
    read: Callable[[object], object],
) -> RunningWrite:
    """Send a write; what goes wrong once ARM has accepted it is kept for `finish`.

    Args:
        what: is written, in words.
        polling: notes what ARM answers first.
        begin: sends it.
        read: reads the resource that ARM answers with; raises `UnexpectedAnswer`.

    Raises:
        OutcomeUnknown: the connection broke, or the answer is not the resource that was written.
    """
    failure: GuardError | None = None
    poller = None
    try:
        with translated(what):
            poller = await begin(polling)
    except UnexpectedAnswer as error:
        raise unknown_outcome(what, error) from error
    except GuardError as error:
        if not polling.accepted:
            raise
        failure = error
    try:
        read(polling.body)
    except UnexpectedAnswer as error:
        raise unknown_outcome(what, error) from error
    return RunningWrite(what, polling, poller, failure)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what the SDK raises into the service's own errors."""
    try:
        yield
    except AzureError as error:
        raise translate(error, what) from error
    except (ValueError, RecursionError) as error:  # a body that is no JSON, or nested too deep
        raise unexpected(f"{what}: ARM's answer is no JSON ({str(error)[:100]}).") from error


def raw(response: Any, _: Any, __: Any) -> Any:
    """Return a body as ARM sent it; the SDK's hook for what a call returns."""
    return response.http_response.json()
