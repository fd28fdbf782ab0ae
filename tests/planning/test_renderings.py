"""Every form of the rules against its golden file; `UPDATE_GOLDEN=1` rewrites them for review."""

from __future__ import annotations

import csv
import io
import json
import os

import pytest

from shared.planning.renderings import FORMS
from shared.planning.renderings.arm import literal
from shared.planning.renderings.bicep import quoted
from tests import ROOT
from tests.intents import EAST_US, EVERYTHING, with_fields
from tests.planning.test_generation import generated

GOLDEN = ROOT / "tests/planning/golden"
INTENTS = {"east-us": EAST_US, "everything": EVERYTHING}
ENDINGS = {"json": "json", "arm": "arm.json", "bicep": "bicep", "csv": "csv", "markdown": "md"}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", INTENTS)
def test_the_form_is_the_golden_one(name, form) -> None:
    text = FORMS[form].render(generated(INTENTS[name]))
    golden = GOLDEN / f"{name}.{ENDINGS[form]}"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8", newline="")
    with golden.open(encoding="utf-8", newline="") as expected:
        assert text == expected.read()


def test_csv_reads_back() -> None:
    text = FORMS["csv"].render(generated(EVERYTHING))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == len(generated(EVERYTHING).rules)
    assert rows[1]["Source"].startswith("10.0.2.0/24, ")


def test_what_arm_would_take_for_an_expression_is_escaped() -> None:
    assert literal({"a": ["[x", "x["]}) == {"a": ["[[x", "x["]}


def test_what_bicep_would_take_for_syntax_is_escaped() -> None:
    assert quoted(r"it's ${a} \b") == r"'it\'s \${a} \\b'"


def test_the_forms_name_every_rule() -> None:
    names = [rule.name for rule in generated(EVERYTHING).rules]
    for name, form in FORMS.items():
        text = form.render(generated(EVERYTHING))
        positions = [text.find(n) for n in names]
        assert -1 not in positions, name
        assert positions == sorted(positions), name


def test_json_is_the_contracts() -> None:
    answer = json.loads(FORMS["json"].render(generated(EAST_US)))
    assert sorted(answer) == ["catalogue", "location", "notices", "securityRules"]
    assert (answer["catalogue"], answer["location"]) == ("2024-11-08", "eastus")
    assert answer["securityRules"][1] == {
        "name": "AMLFS-In-Lustre",
        "properties": {
            "description": answer["securityRules"][1]["properties"]["description"],
            "protocol": "Tcp",
            "sourcePortRange": "*",
            "destinationPortRanges": ["988", "1019-1023"],
            "sourceAddressPrefix": "10.0.2.0/24",
            "destinationAddressPrefix": "10.0.1.0/24",
            "access": "Allow",
            "priority": 111,
            "direction": "Inbound",
        },
    }


def test_only_the_clients_own_rules_follow_their_parameter() -> None:
    """A DNS server with the address of the only client stays where it is when clients change."""
    same = with_fields(
        clientSubnets=[{"addressPrefixes": ["10.0.2.4/32"]}], dnsServers=["10.0.2.4"]
    )
    lines = FORMS["bicep"].render(generated(same)).splitlines()
    assert sum("AddressPrefix: clientPrefix" in line for line in lines) == 2
    assert sum("destinationAddressPrefix: '10.0.2.4/32'" in line for line in lines) == 2
