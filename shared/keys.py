"""What callers of HTTP functions bring: a function key, unless the platform has them sign in instead."""

from __future__ import annotations

import os

import azure.functions as func

SIGN_IN = "WEBSITE_AUTH_ENABLED"
"""Set by the platform where sign-in stands in front of the app.

Source: "Environment variables and app settings in Azure App Service", Microsoft Learn. That Flex
Consumption sets it is an assumption; without it callers bring keys, and nobody gets in who should not.
"""

INSTEAD = "AMLFS_SIGN_IN_INSTEAD_OF_KEYS"


def is_signed_in() -> bool:
    """Whether the platform lets nobody through who has not signed in."""
    return os.environ.get(SIGN_IN, "").lower() in ("true", "1")


def auth_level() -> func.AuthLevel:
    """Return the level of the HTTP functions: no key only where sign-in is asked for and is on."""
    is_wanted = os.environ.get(INSTEAD, "").lower() == "true"
    return func.AuthLevel.ANONYMOUS if is_wanted and is_signed_in() else func.AuthLevel.FUNCTION
