"""Signing in: a managed identity endpoint, and the metadata that clients ask a cloud for."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

import jwt

TENANT = "11111111-1111-1111-1111-111111111111"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
BOX_PRINCIPAL = "22222222-2222-2222-2222-222222222222"
LIFETIME = 86400
"""Seconds that a token lives; as managed identities' do."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Makes tokens and knows them again."""

    key: str = secrets.token_hex(32)

    def issue(self, resource: str, principal: str = BOX_PRINCIPAL) -> dict[str, Any]:
        """Return what a managed identity endpoint answers (api-version 2019-08-01)."""
        now = int(time.time())
        claims = {
            "aud": resource,
            "iss": f"https://sts.windows.net/{TENANT}/",
            "iat": now,
            "nbf": now,
            "exp": now + LIFETIME,
            "oid": principal,
            "sub": principal,
            "tid": TENANT,
            "appid": principal,
            "idtyp": "app",
        }
        return {
            "access_token": jwt.encode(claims, self.key, algorithm="HS256"),
            "expires_on": str(now + LIFETIME),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": principal,
        }

    def is_ours(self, token: str) -> bool:
        """Whether the box has issued a token and it has not expired."""
        try:
            jwt.decode(token, self.key, algorithms=["HS256"], options={"verify_aud": False})
        except jwt.PyJWTError:
            return False
        return True


def principal_of(token: str) -> str | None:
    """Return the `oid` claim of any token, whoever signed it."""
    return claim(token, "oid")


def audience_of(token: str) -> str | None:
    """Return what any token was asked for, whoever signed it."""
    return claim(token, "aud")


def claim(token: str, name: str) -> str | None:
    """Return a claim of a token, if it is a text."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return None
    found = claims.get(name)
    return found if isinstance(found, str) else None


def metadata(base: str) -> dict[str, Any]:
    """Return the endpoints of this cloud, as `/metadata/endpoints` answers them."""
    return {
        "name": "AzureCloud",
        "portal": base,
        "authentication": {
            "loginEndpoint": base,
            "audiences": [base, "https://management.core.windows.net/"],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "resourceManager": base,
        "graph": base,
        "graphAudience": base,
        "microsoftGraphResourceId": base,
        "activeDirectoryDataLake": base,
        "batch": base,
        "media": base,
        "sqlManagement": base,
        "vmImageAliasDoc": base,
        "suffixes": {
            "storage": "core.windows.net",
            "keyVaultDns": "vault.azure.net",
            "sqlServerHostname": "database.windows.net",
            "acrLoginServer": "azurecr.io",
        },
    }
