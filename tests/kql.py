"""Just enough of KQL to run the deployed alerts over the lines that the service logs.

Each step of a query is one of the forms below; any other step is an error, so that a query which this
cannot run fails its test. That the queries are right KQL is judged by Microsoft's own parser
(tests/infra/test_kusto.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

Row = dict[str, Any]


def run(query: str, rows: list[Row]) -> list[Row]:
    """Run a query over a table's rows, in the order of their `timestamp`."""
    table, *steps = query.split(" | ")
    assert table in ("traces", "requests"), table
    for step in steps:
        rows = apply(step.strip(), rows)
    return rows


def apply(step: str, rows: list[Row]) -> list[Row]:
    word, _, rest = step.partition(" ")
    if word == "where":
        return [row for row in rows if holds(rest, row)]
    if word == "extend":
        name, _, expression = rest.partition(" = ")
        return [{**row, name: value(expression, row)} for row in rows]
    if word == "project":
        return [dict(column(one, row) for one in split(rest)) for row in rows]
    found = re.fullmatch(r"summarize arg_max\(timestamp, (\w+)\)(?: by (\w+) = (.+))?", step)
    assert found is not None, f"unknown step: {step}"
    kept, name, expression = found.groups()
    newest: dict[Any, Row] = {}
    for row in sorted(rows, key=lambda row: row["timestamp"]):
        key = value(expression, row) if expression else None
        newest[key] = {
            "timestamp": row["timestamp"],
            kept: row[kept],
            **({name: key} if name else {}),
        }
    return list(newest.values())


def column(text: str, row: Row) -> tuple[str, Any]:
    name, equals, expression = text.partition(" = ")
    return name, value(expression, row) if equals else row[name]


def split(text: str) -> list[str]:
    """Split at the commas that stand in no parentheses."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def holds(condition: str, row: Row) -> bool:
    for joined, every in ((" or ", False), (" and ", True)):
        if joined in condition:
            answers = [holds(one, row) for one in condition.split(joined)]
            return all(answers) if every else any(answers)
    if found := re.fullmatch(r"ingestion_time\(\) > ago\((\d+)m\)", condition):
        return row.get("age", 0) < 60 * int(found[1])
    if found := re.fullmatch(r'(\w+) (startswith|has) "([^"]+)"', condition):
        text, wanted = row[found[1]].lower(), found[3].lower()
        return text.startswith(wanted) if found[2] == "startswith" else wanted in text
    if found := re.fullmatch(r"isnotempty\((\w+)\)", condition):
        return bool(row[found[1]])
    found = re.fullmatch(r"(.+) (==|>) (.+)", condition)
    assert found is not None, f"unknown condition: {condition}"
    left, right = value(found[1], row), value(found[3], row)
    if found[2] == ">":
        return left is not None and left > right
    return bool(left == right)


def value(expression: str, row: Row) -> Any:
    for form, take in FORMS:
        if found := re.fullmatch(form, expression):
            return take(row, *found.groups())
    return row[expression]


def converted(row: Row, kind: str, inner: str) -> Any:
    given = value(inner, row)
    if kind == "tostring":
        return "" if given is None else str(given)
    return None if given is None else {"toint": int, "tobool": bool}[kind](given)


def field(row: Row, name: str, inside: str | None) -> Any:
    outer = row["event"].get(name)
    return (outer or {}).get(inside) if inside else outer


FORMS: tuple[tuple[str, Callable[..., Any]], ...] = (
    (
        r"parse_json\(substring\((\w+), (\d+)\)\)",
        lambda row, name, start: json.loads(row[name][int(start) :]),
    ),
    (r"(tostring|toint|tobool)\((.+)\)", converted),
    (
        r"strcat\((.+)\)",
        lambda row, parts: "".join(str(value(one, row)) for one in split(parts)),
    ),
    (r'event\.(\w+)(?:\["([^"]+)"\])?', field),
    (r'"([^"]*)"', lambda _, text: text),
    (r"(true|false)", lambda _, text: text == "true"),
    (r"(\d+)", lambda _, digits: int(digits)),
)
