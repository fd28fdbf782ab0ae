"""`answered` turns whatever goes wrong in an operation into a problem document."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shared.errors import GuardError
from shared.http.problems import Problem, internal_error, problem_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import azure.functions as func

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
