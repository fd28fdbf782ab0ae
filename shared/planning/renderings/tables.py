"""The generated rules as tables with the article's own columns: Markdown and CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from shared.nsg.rules import Direction, Protocol

if TYPE_CHECKING:
    from shared.nsg.rules import SecurityRule
    from shared.planning.generation import GeneratedRules

COLUMNS = ("Priority", "Name", "Ports", "Protocol", "Source", "Destination", "Action", "Why")


def render_markdown(generated: GeneratedRules) -> str:
    """Write the article's two tables, then the notices."""
    lines = [f"# NSG rules of an AMLFS file system in {generated.intent.location.display_name}"]
    lines += ["", f"Microsoft's article, revision {generated.catalogue}."]
    for direction in Direction:
        lines += ["", f"## {direction}", "", row(COLUMNS), row(["---"] * len(COLUMNS))]
        lines += [row(cells(rule)) for rule in generated.rules if rule.direction is direction]
    if generated.notices:
        lines += ["", "## Notices", ""]
        lines += [f"- `{n.code}`: {n.message}" for n in generated.notices]
    return "\n".join(lines) + "\n"


def row(values: tuple[str, ...] | list[str]) -> str:
    """Spell one row; a bar inside a cell is escaped."""
    return "| " + " | ".join(value.replace("|", r"\|") for value in values) + " |"


def render_csv(generated: GeneratedRules) -> str:
    """Write one table with the direction as its first column (RFC 4180)."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("Direction", *COLUMNS))
    writer.writerows((rule.direction.value, *cells(rule)) for rule in generated.rules)
    return text.getvalue()


def cells(rule: SecurityRule) -> tuple[str, ...]:
    """Return a rule in the article's words."""
    flow = rule.flow
    protocol = "Any" if flow.protocol is Protocol.ANY else flow.protocol.upper()
    return (
        str(rule.priority),
        rule.name,
        words(flow.destination_ports)
        + ("" if flow.source_ports == ("*",) else f" (from {words(flow.source_ports)})"),
        protocol,
        words(flow.sources),
        words(flow.destinations),
        rule.access.value,
        rule.description,
    )


def words(values: tuple[str, ...]) -> str:
    """Join values as the article does; `*` reads `Any`."""
    return "Any" if values == ("*",) else ", ".join(values)
