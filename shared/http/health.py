"""`GET /api/health`: whether the service can answer."""

from __future__ import annotations

import json

import azure.functions as func

from shared.amlfs.catalogue import load_catalogue, revisions
from shared.http.answers import answered
from shared.nsg.locations import locations


@answered
def report_health(_: func.HttpRequest) -> func.HttpResponse:
    """Answer `GET /api/health`: up where the data that every answer needs can be read."""
    ready = bool(locations()) and all(load_catalogue(revision).rows for revision in revisions())
    return func.HttpResponse(
        json.dumps({"status": "up" if ready else "down"}),
        status_code=200 if ready else 503,
        mimetype="application/json",
    )
