"""`POST /api/rules`: the rules of an intent, in the form asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import azure.functions as func

from shared.amlfs.statement import IntentStatement
from shared.applying.live import read_live
from shared.documents import Document, read_document
from shared.http.answers import answered
from shared.http.requests import network_for, read_json, wanted_form
from shared.planning.generation import generate
from shared.pools import compute

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.errors import FieldError


class RulesRequest(Document):
    """The body of `POST /api/rules`."""

    intent: IntentStatement

    def contradictions(self, at: str) -> Iterable[FieldError]:
        """Everything that is wrong between the intent's fields."""
        return self.intent.contradictions(f"{at}/intent")


@answered("format")
async def generate_rules(request: func.HttpRequest) -> func.HttpResponse:
    """Answer `POST /api/rules`: the rules of an intent, in the form asked for."""
    form = wanted_form(request)
    statement = await compute(read_statement, request)
    live = await read_live(statement, network_for(statement, live=False), with_nsg=False)

    def rendered() -> str | bytes:
        return form.render(generate(live.intent, statement.catalogue))

    headers = {"Vary": "Accept"}
    return func.HttpResponse(await compute(rendered), mimetype=form.media_type, headers=headers)


def read_statement(request: func.HttpRequest) -> IntentStatement:
    """Read the body's intent; raises `Problem` or `InvalidInput`."""
    return read_document(RulesRequest, read_json(request)).intent
