"""AMLFS Network Guard: every function of the service, with what triggers it.

Each function is two or three lines; the package that it calls does the work. In Azure the callers
of HTTP functions bring a function key, but for `health`.
"""

from __future__ import annotations

import azure.functions as func

from shared.http import operations

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route("rules", methods=["POST"])
def generate_rules(req: func.HttpRequest) -> func.HttpResponse:
    """The NSG rules of an intent, as JSON, ARM, Bicep, CSV or Markdown."""
    return operations.generate_rules(req)


@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def health(req: func.HttpRequest) -> func.HttpResponse:
    """Whether the service can answer."""
    return operations.report_health(req)
