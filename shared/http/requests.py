"""Reading requests: JSON bodies, and the form in which an answer is wanted."""

from __future__ import annotations

import codecs
from http import HTTPStatus
from typing import TYPE_CHECKING

from pydantic_core import from_json
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header, parse_options_header

from shared.errors import InvalidInput
from shared.http.problems import Problem
from shared.limits import breaches
from shared.planning.renderings import FORMS, LATER_FORMS
from shared.settings import read_settings

if TYPE_CHECKING:
    import azure.functions as func

    from shared.amlfs.statement import IntentStatement
    from shared.cloud.network import Network
    from shared.planning.renderings import Form

PAGE, LONGEST_PAGE = 100, 500
BODY_LIMIT = 1 << 20
"""Bytes; the contract's 1 MiB."""


def read_json(request: func.HttpRequest) -> object:
    """Return the body's JSON value, if it is no larger than it may be.

    UTF-8 with or without a byte order mark and UTF-16 are read: Windows PowerShell writes all of them.

    Raises:
        Problem: 413, 415 or 400.
        InvalidInput: it has more, or longer, parts than are read.
    """
    body = request.get_body()
    if len(body) > BODY_LIMIT:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "body-too-large",
            "Body too large",
            f"The body has {len(body):,} bytes; at most {BODY_LIMIT:,} are read.",
        )
    media_type, _ = parse_options_header(request.headers.get("content-type", "").lower())
    if media_type and media_type != "application/json" and not media_type.endswith("+json"):
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "Unsupported media type",
            f"The body is said to be {media_type}: send JSON with the header"
            " 'Content-Type: application/json'.",
        )
    try:
        document = from_json(as_utf8(body), allow_inf_nan=False)
    except ValueError as error:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "not-json",
            "Not JSON",
            f"The body is not JSON: {error}." if body.strip() else "The body is empty: send JSON.",
        ) from None
    if errors := breaches(document):
        raise InvalidInput(errors)
    return document


def as_utf8(body: bytes) -> bytes:
    """Return a text without its byte order mark, from UTF-16 where that says so."""
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding).encode()
    return body.removeprefix(codecs.BOM_UTF8)


def network_for(statement: IntentStatement, *, live: bool) -> Network | None:
    """Return how ARM is read, where a request needs it; else no SDK is even imported.

    Raises:
        OutsideAllowedScopes: the statement names something outside the scopes that may be read.
    """
    if not live and not statement.ids():
        return None
    from shared.cloud.network import Network  # noqa: PLC0415 - a cold start pays for it

    network = Network(read_settings())
    named = [resource_id for _, resource_id in statement.ids()]
    if live and statement.network_security_group_id:
        named.append(statement.network_security_group_id)
    network.check_readable(*named)
    return network


def read_flag(request: func.HttpRequest, name: str) -> bool:
    """Return a query parameter that is true or false; raises `Problem` 400 for another word."""
    value = request.params.get(name, "false").lower()
    if value not in ("true", "false"):
        raise Problem(
            HTTPStatus.BAD_REQUEST, "wrong-query", "Wrong query", f"?{name}= is true or false."
        )
    return bool(value == "true")


def read_limit(request: func.HttpRequest) -> int:
    """Return how many items a page shall have; raises `Problem` 400 for no number from 1 to 500."""
    value = request.params.get("limit", str(PAGE))
    if not (value.isdecimal() and value.isascii() and len(value) < 5) or not (
        1 <= int(value) <= LONGEST_PAGE
    ):
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "wrong-query",
            "Wrong query",
            f"?limit= is a number from 1 to {LONGEST_PAGE}.",
        )
    return int(value)


def wanted_form(request: func.HttpRequest) -> Form:
    """Choose the form that `?format=` names, or else the best that `Accept` takes.

    Raises:
        Problem: 400 for an unknown format, 406 where `Accept` takes none, 501 for one to come.
    """
    name = request.params.get("format")
    if name is None:
        return accepted_form(request.headers.get("accept") or "*/*")
    form = FORMS.get(name.lower())
    if form is not None:
        return form
    if name.lower() in LATER_FORMS:
        raise Problem(
            HTTPStatus.NOT_IMPLEMENTED,
            "not-built",
            "Not built yet",
            f"The form {name.lower()} is planned; today there is {', '.join(FORMS)}.",
        )
    raise Problem(
        HTTPStatus.BAD_REQUEST,
        "unknown-format",
        "Unknown format",
        f"There is no such format; there is {', '.join(FORMS)}.",
    )


def accepted_form(accept: str) -> Form:
    """Choose by content negotiation (RFC 9110, section 12.5.1)."""
    by_media_type = {form.media_type: form for form in FORMS.values()}
    wanted = parse_accept_header(accept, MIMEAccept)
    bare = MIMEAccept((parse_options_header(value)[0], quality) for value, quality in wanted)
    best = bare.best_match(by_media_type)
    if best is None:
        raise Problem(
            HTTPStatus.NOT_ACCEPTABLE,
            "not-acceptable",
            "Not acceptable",
            f"None of the media types that you accept can be written; these can:"
            f" {', '.join(by_media_type)}.",
        )
    return by_media_type[best]
