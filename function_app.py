"""AMLFS Network Guard: every function of the service, with what triggers it.

Each function is two or three lines; the module that it names does the work and is imported on its
first call, so that a cold start pays for nothing that it does not use. In Azure the callers of HTTP
functions bring a function key, but for `health`.
"""

from __future__ import annotations

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

STORAGE = "AzureWebJobsStorage"
OPERATIONS = "amlfs-operations"


@app.route("rules", methods=["POST"])
async def rules(req: func.HttpRequest) -> func.HttpResponse:
    """The NSG rules of an intent, as JSON, ARM, Bicep, CSV or Markdown."""
    from shared.http.rules import generate_rules

    return await generate_rules(req)


@app.route("verify", methods=["POST"])
async def verify(req: func.HttpRequest) -> func.HttpResponse:
    """Whether rules, given or live, honour an intent: each requirement proved, or broken by a packet."""
    from shared.http.verify import verify_rules

    return await verify_rules(req)


@app.route("plan", methods=["POST"])
async def plan(req: func.HttpRequest) -> func.HttpResponse:
    """The changes that would make an NSG honour an intent, and the proof of the state after them."""
    from shared.http.plans import plan_rules

    return await plan_rules(req)


@app.route("apply", methods=["POST"])
@app.queue_output(arg_name="queue", queue_name=OPERATIONS, connection=STORAGE)
async def apply(req: func.HttpRequest, queue: func.Out[str]) -> func.HttpResponse:
    """The plan, carried out with one guarded write; at once, or as an operation of its own."""
    from shared.http.plans import apply_rules

    return await apply_rules(req, queue=queue)


@app.route("operations/{id}", methods=["GET"])
@app.queue_output(arg_name="queue", queue_name=OPERATIONS, connection=STORAGE)
async def operation(req: func.HttpRequest, queue: func.Out[str]) -> func.HttpResponse:
    """How an operation is going, then what it came to."""
    from shared.http.operations import report_operation

    return await report_operation(req, queue=queue)


@app.queue_trigger(arg_name="message", queue_name=OPERATIONS, connection=STORAGE)
async def run_operation(message: func.QueueMessage) -> None:
    """Carries out the operation that a message names."""
    from shared.http.worker import run_operation as run

    await run(message.get_body().decode())


@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """Whether the service can answer."""
    from shared.http.health import report_health

    return await report_health(req)
