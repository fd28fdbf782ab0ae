"""AMLFS Network Guard: every function of the service, with what triggers it.

Each function is two or three lines; the module that it names does the work and is imported on its
first call, so that a cold start pays for nothing that it does not use. In Azure the callers of HTTP
functions bring a function key, but for `health`.
"""

from __future__ import annotations

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route("rules", methods=["POST"])
def rules(req: func.HttpRequest) -> func.HttpResponse:
    """The NSG rules of an intent, as JSON, ARM, Bicep, CSV or Markdown."""
    from shared.http.rules import generate_rules

    return generate_rules(req)


@app.route("verify", methods=["POST"])
def verify(req: func.HttpRequest) -> func.HttpResponse:
    """Whether given rules honour an intent: each requirement proved, or broken by a packet."""
    from shared.http.verify import verify_rules

    return verify_rules(req)


@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def health(req: func.HttpRequest) -> func.HttpResponse:
    """Whether the service can answer."""
    from shared.http.health import report_health

    return report_health(req)
