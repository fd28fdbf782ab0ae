"""ARM's network resources over the SDK: read, and replaced with a guard on what was read.

Documents pass as ARM sent them: the SDK's models are not used, so that unknown fields survive.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError
from azure.core.rest import HttpRequest
from azure.mgmt.core.polling.arm_polling import AzureAsyncOperationPolling, BodyContentPolling
from azure.mgmt.core.polling.async_arm_polling import AsyncARMPolling

from shared.cloud.clients import POLL_SECONDS, clients
from shared.cloud.failures import translate
from shared.cloud.resources import (
    NetworkSecurityGroup,
    VirtualNetwork,
    parse_id,
    read_network,
    read_nsg,
    read_subnet,
)
from shared.context import seconds_left
from shared.errors import (
    ArmAnswer,
    ArmRefused,
    GuardError,
    OutcomeUnknown,
    StillRunning,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from azure.mgmt.network.aio import NetworkManagementClient

    from shared.cloud.resources import Document, ResourceId, Subnet
    from shared.settings import Settings

OPERATION_ENDED = 200
"""The status of a poll that says that an operation has failed or was canceled."""

LUSTRE_API, NETWORK_API = "2024-03-01", "2024-07-01"
NSGS = "Microsoft.Network/networkSecurityGroups"
NETWORKS = "Microsoft.Network/virtualNetworks"
FILE_SYSTEMS = "Microsoft.StorageCache/amlFilesystems"


class WithoutClosingRead(AzureAsyncOperationPolling[Any, Any]):
    """Ends with the last poll; a subnet alone is never read, so the service needs no right to it."""

    def get_final_get_url(self, pipeline_response: Any) -> None:
        """Say that nothing is left to read."""


class FirstAnswer(AsyncARMPolling):
    """Polls as the SDK does, while there is time; keeps the body that the PUT was answered with."""

    def __init__(self, accepted: Callable[[], None], *, reads: bool = True) -> None:
        """Call `accepted` as soon as ARM has taken the write; read the resource at the end, or not."""
        algorithms = None if reads else [WithoutClosingRead(), BodyContentPolling[Any, Any]()]
        super().__init__(POLL_SECONDS, lro_algorithms=algorithms)
        self._accepted = accepted
        self.body: Document = {}

    def initialize(self, client: Any, initial_response: Any, deserialization_callback: Any) -> None:
        """Begin to poll."""
        self._accepted()
        self.body = initial_response.http_response.json()
        super().initialize(client, initial_response, deserialization_callback)

    async def _delay(self) -> None:
        """Wait for the next poll, if it can come in time."""
        seconds = self._extract_delay()
        if seconds >= seconds_left():
            raise StillRunning(
                "ARM has taken the write and is still carrying it out. Ask again: it is not done twice.",
                seconds,
            )
        await super()._delay()


class Network:
    """Network resources, by their ids."""

    def __init__(self, settings: Settings) -> None:
        """Use the running event loop's clients."""
        self._clients = clients(settings)

    def _of(self, where: ResourceId) -> NetworkManagementClient:
        return self._clients.of(where.subscription)

    async def reach(self) -> dict[str, int]:
        """Ask ARM for the subscriptions that the identity can see; returns how many."""
        request = HttpRequest("GET", "/subscriptions", params={"api-version": "2022-12-01"})
        with translated("Reaching Azure"):
            response = await self._clients.of("none").send_request(request)
            response.raise_for_status()
            return {"subscriptions": len(response.json().get("value") or ())}

    async def nsg(self, nsg_id: str) -> NetworkSecurityGroup:
        """Read an NSG; raises `NotFound`."""
        where = parse_id(nsg_id)
        with translated(f"Reading the network security group {where}"):
            document: Any = await self._of(where).network_security_groups.get(
                where.group, where.name, cls=raw
            )
        return read_nsg(document)

    async def virtual_network(self, network_id: str) -> VirtualNetwork:
        """Read a virtual network with its subnets; raises `NotFound`."""
        where = parse_id(network_id)
        with translated(f"Reading the virtual network {where}"):
            document: Any = await self._of(where).virtual_networks.get(
                where.group, where.name, cls=raw
            )
        return read_network(document)

    async def file_system(self, file_system_id: str) -> Document:
        """Read an AMLFS file system; raises `NotFound`."""
        where = parse_id(file_system_id)
        request = HttpRequest("GET", file_system_id, params={"api-version": LUSTRE_API})
        with translated(f"Reading the file system {where}"):
            response = await self._of(where).send_request(request)
            response.raise_for_status()
        document: Document = response.json()
        return document

    async def pages(self, subscription: str, kind: str) -> AsyncIterator[list[Document]]:
        """Yield all resources of a type in a subscription, page by page, as ARM sends them."""
        api = LUSTRE_API if kind == FILE_SYSTEMS else NETWORK_API
        link = f"/subscriptions/{subscription}/providers/{kind}?api-version={api}"
        client = self._clients.of(subscription)
        while link:
            with translated(f"Listing {kind} of subscription {subscription}"):
                response = await client.send_request(HttpRequest("GET", link))
                response.raise_for_status()
                page = response.json()
            yield page.get("value") or []
            link = self._clients.same_host(page.get("nextLink"))

    async def put_nsg(
        self, nsg_id: str, body: Any, etag: str | None, accepted: Callable[[], None]
    ) -> NetworkSecurityGroup:
        """Replace an NSG that is as it was read, or create one that is not there.

        Args:
            nsg_id: of the NSG.
            body: all of it.
            etag: of the state that the body was made from; None where there was none.
            accepted: called as soon as ARM has taken the write.

        Returns:
            What the PUT itself was answered with, with the etag that the NSG has afterwards.

        Raises:
            PreconditionFailed: it was changed, or made, meanwhile.
            OutcomeUnknown: the connection broke, or the answer proves nothing.
            Busy: another operation is under way, or has superseded this one.
            StillRunning: it takes longer than there is time.
        """
        where = parse_id(nsg_id)
        guard = {"If-Match": etag} if etag else {"If-None-Match": "*"}
        polling = FirstAnswer(accepted)
        what = f"Writing the network security group {where}"
        with translated(what):
            poller = await self._of(where).network_security_groups.begin_create_or_update(
                where.group, where.name, body, headers=guard, polling=polling, cls=raw
            )
        last = await finished(poller, what)
        return read_nsg(proving(polling.body, what) | {"etag": last.get("etag", "")})

    async def put_subnet(self, subnet: Subnet, body: Any, accepted: Callable[[], None]) -> Subnet:
        """Replace a subnet that is as it was read; raises as `put_nsg`."""
        where = parse_id(subnet.id)
        polling = FirstAnswer(accepted, reads=False)
        what = f"Writing the subnet {where}"
        with translated(what):
            poller = await self._of(where).subnets.begin_create_or_update(
                where.group,
                where.name,
                where.child,
                body,
                headers={"If-Match": subnet.etag},
                polling=polling,
                cls=raw,
            )
        await finished(poller, what)
        return read_subnet(proving(polling.body, what))


async def finished(poller: Any, what: str) -> Document:
    """Wait until a write that ARM has taken is carried out; returns the resource as it is then.

    What the PUT itself was answered with counts: a poll or a closing read that fails takes nothing
    back. An operation that fails, or is superseded, does.
    """
    try:
        with translated(what):
            document: Document = await poller.result()
    except StillRunning:
        raise
    except GuardError as error:
        if error.arm is None or error.arm.status == OPERATION_ENDED:
            raise
        return {}
    return document


def proving(body: Document, what: str) -> Document:
    """Return the body of a PUT's answer; raises `OutcomeUnknown` where it shows no resource."""
    if isinstance(body.get("properties"), dict):
        return body
    raise OutcomeUnknown(f"{what}: ARM's answer does not show what it has taken.")


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what the SDK raises into the service's own errors."""
    try:
        yield
    except AzureError as error:
        raise translate(error, what) from error
    except ValueError as error:  # a body that is no JSON
        raise ArmRefused(f"{what}: {error}", ArmAnswer(None, None, None)) from error


def raw(response: Any, _: Any, __: Any) -> Any:
    """Return a body as ARM sent it; the SDK's hook for what a call returns."""
    return response.http_response.json()
