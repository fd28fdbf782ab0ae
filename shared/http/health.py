"""`GET /api/health`: whether the service can answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.amlfs.catalogue import load_catalogue, revisions
from shared.http.answers import answered, json_response
from shared.nsg.locations import locations

if TYPE_CHECKING:
    import azure.functions as func


@answered
async def report_health(_: func.HttpRequest) -> func.HttpResponse:
    """Answer `GET /api/health`: up where the data that every answer needs can be read."""
    ready = bool(locations()) and all(load_catalogue(revision).rows for revision in revisions())
    return json_response({"status": "up" if ready else "down"}, 200 if ready else 503)
