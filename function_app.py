"""AMLFS Network Guard: every function of the service, with what triggers it.

Each function is two or three lines; the module that it names does the work and is imported on its
first call, so that a cold start pays for nothing that it does not use. In Azure the callers of HTTP
functions bring a function key, but for `health`.
"""

from __future__ import annotations

import logging
import os

import azure.functions as func

from shared.keys import auth_level
from shared.log_events import keep_to_one_line

keep_to_one_line()
# The worker logs everything from INFO on, and the Azure SDKs two long lines for every call.
logging.getLogger("azure").setLevel(logging.WARNING)
logging.getLogger("azure.functions").setLevel(logging.INFO)

app = func.FunctionApp(http_auth_level=auth_level())

STORAGE = "AzureWebJobsStorage"
OPERATIONS = "amlfs-operations"
LOOKS, GUARDS, SWEEPS = "amlfs-looks", "amlfs-guards", "amlfs-sweeps"
SWEEP_SCHEDULE = os.environ.get("AMLFS_SWEEP_SCHEDULE") or "0 */15 * * * *"


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
    """How an operation is going, then its result."""
    from shared.http.operations import report_operation

    return await report_operation(req, queue=queue)


@app.queue_trigger(arg_name="message", queue_name=OPERATIONS, connection=STORAGE)
async def run_operation(message: func.QueueMessage) -> None:
    """Carries out the operation that a message names."""
    from shared.http.worker import run_operation as run

    await run(message.get_body().decode())


# -- guards ---------------------------------------------------------------------------------------


@app.route("guards", methods=["GET"])
async def guards(req: func.HttpRequest) -> func.HttpResponse:
    """All guards."""
    from shared.http.guards import list_guards

    return await list_guards(req)


@app.route("guards/{name}", methods=["GET"])
async def guard(req: func.HttpRequest) -> func.HttpResponse:
    """One guard with its status."""
    from shared.http.guards import show_guard

    return await show_guard(req)


@app.route("guards/{name}", methods=["PUT"])
async def register_guard(req: func.HttpRequest) -> func.HttpResponse:
    """Creates or replaces a guard; proves at once, and restores where it enforces."""
    from shared.http.guards import put_guard

    return await put_guard(req)


@app.route("guards/{name}", methods=["DELETE"])
async def remove_guard(req: func.HttpRequest) -> func.HttpResponse:
    """Deletes a guard; its NSG stays as it is."""
    from shared.http.guards import delete_guard

    return await delete_guard(req)


@app.route("guards/{name}/reconcile", methods=["POST"])
async def reconcile_now(req: func.HttpRequest) -> func.HttpResponse:
    """Looks at a guard now, and restores."""
    from shared.http.guards import reconcile_now as run

    return await run(req)


@app.route("guards/{name}/suspend", methods=["POST"])
async def suspend_guard(req: func.HttpRequest) -> func.HttpResponse:
    """Stops a guard's writes; it goes on looking."""
    from shared.http.guards import suspend_guard as run

    return await run(req)


@app.route("guards/{name}/resume", methods=["POST"])
async def resume_guard(req: func.HttpRequest) -> func.HttpResponse:
    """Lets a guard write again, its circuit closed."""
    from shared.http.guards import resume_guard as run

    return await run(req)


@app.route("guards/{name}/history", methods=["GET"])
async def guard_history(req: func.HttpRequest) -> func.HttpResponse:
    """What a guard has done, newest first."""
    from shared.http.guards import show_history

    return await show_history(req)


@app.event_grid_trigger(arg_name="event")
async def on_network_change(event: func.EventGridEvent) -> None:
    """Azure says that an NSG, a network or a file system changed: re-validate, and restore."""
    from shared.guards.triggers import on_event

    await on_event(event)


@app.queue_trigger(arg_name="message", queue_name=LOOKS, connection=STORAGE)
async def look_again(message: func.QueueMessage) -> None:
    """The second look at a guard, some seconds after the last event: a first read may be stale."""
    from shared.guards.triggers import on_look

    await on_look(message.get_body().decode())


@app.timer_trigger(arg_name="timer", schedule=SWEEP_SCHEDULE)
async def sweep(timer: func.TimerRequest) -> None:
    """Finds what events missed: divides the guards into parts, and queues a message for each."""
    from shared.guards.triggers import on_timer

    await on_timer(timer.past_due)


@app.queue_trigger(arg_name="message", queue_name=SWEEPS, connection=STORAGE)
async def sweep_subscription(message: func.QueueMessage) -> None:
    """Looks at one part of the guards in pages of ARM's lists, and queues those that need work."""
    from shared.guards.triggers import on_part

    await on_part(message.get_body().decode())


@app.queue_trigger(arg_name="message", queue_name=GUARDS, connection=STORAGE)
async def reconcile_guard(message: func.QueueMessage) -> None:
    """Reconciles the guard that a message names."""
    from shared.guards.triggers import on_drifted

    await on_drifted(message.get_body().decode())


@app.queue_trigger(arg_name="message", queue_name=f"{GUARDS}-poison", connection=STORAGE)
async def report_poison(message: func.QueueMessage) -> None:
    """Announces a guard that could not be reconciled, however often it was tried."""
    from shared.guards.triggers import on_poison

    await on_poison(message.get_body().decode())


@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """Whether the service can answer."""
    from shared.http.health import report_health

    return await report_health(req)


@app.route("health/details", methods=["GET"])
async def health_details(req: func.HttpRequest) -> func.HttpResponse:
    """What of the service can answer: store, sign-in, ARM, and what could not be reconciled."""
    from shared.http.health import report_details

    return await report_details(req)
