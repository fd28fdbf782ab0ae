"""Signing in: the managed identity in Azure, a developer's own sign-in elsewhere; never a secret."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

from shared.settings import SIGN_IN_HOSTS

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.core.credentials_async import AsyncTokenCredential

    from shared.settings import Settings


def make_credential(settings: Settings) -> AsyncTokenCredential:
    """Return the credential of this environment.

    Functions in Azure sets `IDENTITY_ENDPOINT`; then the managed identity counts and nothing else.
    `AZURE_CLIENT_ID` names a user-assigned one. Elsewhere a developer's `az` or `azd` sign-in does.

    Source: "How to use managed identities for App Service and Azure Functions", Microsoft Learn.
    """
    client_id = os.environ.get("AZURE_CLIENT_ID")
    if os.environ.get("IDENTITY_ENDPOINT"):
        return ManagedIdentityCredential(client_id=client_id)
    return DefaultAzureCredential(
        authority=SIGN_IN_HOSTS[settings.cloud],
        exclude_environment_credential=True,
        exclude_workload_identity_credential=True,
        exclude_managed_identity_credential=True,
        exclude_shared_token_cache_credential=True,
        exclude_visual_studio_code_credential=True,
        exclude_powershell_credential=True,
    )


class OneScope:
    """A credential that asks for one scope, whatever its client asks for.

    The client of Event Grid topics asks for the public cloud's audience in every cloud (azure-eventgrid
    4.22, `_legacy/_helpers.py`).
    """

    def __init__(self, credential: AsyncTokenCredential, scope: str) -> None:
        """Ask another credential for a scope."""
        self._credential = credential
        self._scope = scope

    async def get_token(self, *_: str, **options: Any) -> AccessToken:
        """Return a token for the one scope."""
        return await self._credential.get_token(self._scope, **options)

    async def close(self) -> None:
        """Leave the other credential open: its maker closes it."""

    async def __aenter__(self) -> OneScope:
        """Begin nothing."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End nothing."""
