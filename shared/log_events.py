"""Structured log lines: one JSON object behind a fixed word, which alerts and the workbook read.

The Python worker of Azure Functions hands only a message's text to the host and drops what `extra` adds
(azure-functions-python-worker issues 694, 1327 and 1681), so the fields stand in the text. `extra` has
them too, for handlers that keep it, such as OpenTelemetry's.

A line is one line, whatever the fields hold: JSON escapes control characters. Nothing that a caller or
an event says can look like a line of its own, because the word stands at the beginning alone.
"""

from __future__ import annotations

import json
import logging
import re
from typing import Any

PREFIX = "amlfs-event "
"""What such a message begins with. `infra/modules/alerts.bicep` has the same word."""

LONGEST = 1_000
"""Characters of one text; the rest is cut off."""


def log_event(log: logging.Logger, event: str, level: int = logging.INFO, **fields: Any) -> None:
    """Log an event with its fields; a field that is None is left out.

    Args:
        log: of the module.
        event: what happened: `outcome`, `states`, `reconcile`, `part`, `sweep`, `write`.
        level: of the line.
        fields: JSON values.
    """
    known = {name: bounded(value) for name, value in fields.items() if value is not None}
    line = {"event": event, **known}
    log.log(level, "%s%s", PREFIX, json.dumps(line), extra={"custom_dimensions": line})


def bounded(value: Any) -> Any:
    """Return a value with its long texts cut off."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST else f"{value[:LONGEST]}…"
    if isinstance(value, dict):
        return {key: bounded(inner) for key, inner in value.items()}
    return value


CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
LONGEST_LINE = 16_000
"""Characters of a whole line; Application Insights keeps 32,768 of a message."""


class OneLine(logging.LogRecord):
    """A record whose message is one line: what others say cannot begin another one."""

    def getMessage(self) -> str:  # noqa: N802 - the standard library's name
        """Return the message with its control characters escaped, cut off where it is too long."""
        text = super().getMessage()[:LONGEST_LINE]
        return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def keep_to_one_line() -> None:
    """Have every logger of this process write one line for each message."""
    logging.setLogRecordFactory(OneLine)
