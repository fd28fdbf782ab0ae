"""Signing in: the managed identity in Azure, a developer's own sign-in elsewhere; never a secret."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

from shared.settings import SIGN_IN_HOSTS

if TYPE_CHECKING:
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
