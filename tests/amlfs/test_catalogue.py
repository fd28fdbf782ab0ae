"""The catalogue is the article, row by row in its order."""

from __future__ import annotations

import re

import pytest

from shared.amlfs.catalogue import DEFAULT_REVISION, load_catalogue, revisions
from shared.nsg.rules import Access, Direction
from tests import ROOT

CATALOGUE = load_catalogue()


def article_rows() -> list[tuple[str, ...]]:
    rows, direction = [], ""
    for line in (ROOT / "tests/data/article-2024-11-08.md").read_text().splitlines():
        if line.startswith("## "):
            direction = line.removeprefix("## ")
        cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if cells[0].isdigit():
            rows.append((direction, *cells[:6]))
    return rows


def catalogue_rows() -> list[tuple[str, ...]]:
    def word(value: str) -> str:
        return "Any" if value == "*" else value

    return [
        (
            row.direction.value,
            str(row.priority),
            ", ".join(map(word, row.ports)),
            "Any" if row.protocol.value == "*" else row.protocol.upper(),
            word(row.source),
            word(row.destination),
            row.access.value,
        )
        for row in CATALOGUE.rows
    ]


def test_the_rows_are_the_articles_in_its_order() -> None:
    article = article_rows()
    assert len(article) == 19
    assert catalogue_rows() == article


def test_the_default_revision_ships() -> None:
    assert DEFAULT_REVISION in revisions()
    assert CATALOGUE.revision == DEFAULT_REVISION


@pytest.mark.parametrize("row", [*CATALOGUE.rows, *CATALOGUE.optional_rows], ids=lambda r: r.key)
class TestEveryRow:
    def test_says_why_in_a_rules_description(self, row) -> None:
        assert len(row.why) <= 140

    def test_says_what_breaks_without_it(self, row) -> None:
        assert re.search(r"; without it,? ", row.why)

    def test_is_keyed_by_its_direction(self, row) -> None:
        assert row.key.startswith("In-" if row.direction is Direction.INBOUND else "Out-")


def test_keys_are_unique() -> None:
    keys = [row.key.lower() for row in (*CATALOGUE.rows, *CATALOGUE.optional_rows)]
    keys += [key.lower() for key in CATALOGUE.exception_keys.values()]
    assert len(set(keys)) == len(keys)


def test_deny_rows_come_last_in_each_direction() -> None:
    for direction in Direction:
        accesses = [row.access for row in CATALOGUE.rows if row.direction is direction]
        assert accesses == sorted(accesses, key=[Access.ALLOW, Access.DENY].index)
