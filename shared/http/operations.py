"""The HTTP operations of the contract, one function each; `answered` turns failures to problems."""

from __future__ import annotations

import functools
import json
import logging
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import azure.functions as func

from shared.amlfs.catalogue import load_catalogue, revisions
from shared.amlfs.statement import IntentStatement
from shared.documents import Document, read_document
from shared.errors import FieldError, GuardError, NotBuilt
from shared.http.problems import Problem, internal_error, problem_of
from shared.http.requests import read_json, wanted_form
from shared.nsg.locations import locations
from shared.planning.generation import generate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Operation = Callable[[func.HttpRequest], func.HttpResponse]

log = logging.getLogger(__name__)


def answered(operation: Operation) -> Operation:
    """Have every failure of an operation answered with a problem document."""

    @functools.wraps(operation)
    def answer(request: func.HttpRequest) -> func.HttpResponse:
        try:
            return operation(request)
        except Problem as problem:
            failure = problem
        except GuardError as error:
            failure = problem_of(error)
        except Exception:
            log.exception("%s failed in an unforeseen way", operation.__name__)
            failure = internal_error()
        return failure.to_response(urlsplit(request.url).path)

    return answer


class RulesRequest(Document):
    """The body of `POST /api/rules`."""

    intent: IntentStatement

    def contradictions(self, at: str) -> Iterable[FieldError]:
        """Everything that is wrong between the intent's fields."""
        return self.intent.contradictions(f"{at}/intent")


@answered
def generate_rules(request: func.HttpRequest) -> func.HttpResponse:
    """Answer `POST /api/rules`: the rules of an intent, in the form asked for."""
    form = wanted_form(request)
    statement = read_document(RulesRequest, read_json(request)).intent
    if ids := statement.ids():
        fields = ", ".join(f"/intent{field}" for field, _ in ids)
        raise NotBuilt(
            f"{fields}: reading subnets and file systems from Azure by their id is planned."
            " Give addressPrefixes, and location in place of fileSystemId."
        )
    generated = generate(statement.resolve(), statement.catalogue)
    return func.HttpResponse(form.render(generated), mimetype=form.media_type)


@answered
def report_health(_: func.HttpRequest) -> func.HttpResponse:
    """Answer `GET /api/health`: up where the data that every answer needs can be read."""
    ready = bool(locations()) and all(load_catalogue(revision).rows for revision in revisions())
    return func.HttpResponse(
        json.dumps({"status": "up" if ready else "down"}),
        status_code=200 if ready else 503,
        mimetype="application/json",
    )
