"""The api-versions of ARM that the service speaks: one for each provider and cloud.

A list, a read, a write and the templates that the service generates name the same one. A read with a
newer version than the write would show properties that the write drops.

New versions of Microsoft.Network reach the sovereign clouds late (terraform-provider-azurerm issues
31620 and 13018), so they have an older one, which that provider used there for all of its version 4.
Nobody has tried this service there.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.nsg.locations import Cloud


@dataclass(frozen=True, slots=True)
class ApiVersions:
    """The api-versions for one cloud.

    Attributes:
        network: of Microsoft.Network.
        file_systems: of Microsoft.StorageCache.
        subscriptions: of ARM's own list of subscriptions.
    """

    network: str
    file_systems: str
    subscriptions: str


API_VERSIONS = {
    Cloud.PUBLIC: ApiVersions("2024-07-01", "2024-03-01", "2022-12-01"),
    Cloud.GOVERNMENT: ApiVersions("2024-05-01", "2024-03-01", "2022-12-01"),
    Cloud.CHINA: ApiVersions("2024-05-01", "2024-03-01", "2022-12-01"),
}
