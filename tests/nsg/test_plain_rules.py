"""The fast reader of rules never says anything else than the careful one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.nsg.parsing import Reading
from shared.nsg.plain_rules import read_plain_rule
from tests.nsg.test_parsing import RIGHT

PLAIN = {"name": "rule", **RIGHT}
LISTS = {
    "sourceAddressPrefix": "",
    "sourceAddressPrefixes": ["10.0.0.0/24", "10.0.2.7"],
    "destinationPortRange": None,
    "destinationPortRanges": ["443", "1019-1023"],
    "sourcePortRanges": [],
}
FIELDS = [*PLAIN, *LISTS, "destinationAddressPrefixes", "sourceApplicationSecurityGroups"]
ADDRESSES = ["*", "10.0.0.7", "10.0.0.0/33", "010.0.0.0/8", "fd00::/8", "f:", "Storage"]
PORTS = ["*", "1019-1023", "9-1", "65536", "00443", "000443", "0-65535"]
words = st.sampled_from([*ADDRESSES, *PORTS, "outbound", "DENY", "Esp", "", "?"])
others: st.SearchStrategy = st.sampled_from(
    [None, 7, True, 4096, [], {}, [{"id": "/asg/a"}], [7], ["*", "1"]]
)
values = words | others | st.lists(words, max_size=3)


def document(fields: dict, nested: bool) -> object:
    name = fields.pop("name")
    return {"name": name, "properties": fields} if nested else {"name": name, **fields}


changes = st.dictionaries(st.sampled_from(FIELDS), values, max_size=1)
bases = st.sampled_from([PLAIN, PLAIN | LISTS])
documents = st.builds(document, st.builds(lambda a, b: a | b, bases, changes), st.booleans())


@given(documents)
def test_what_it_reads_the_careful_reader_reads_without_an_error(document) -> None:
    rule, reading = read_plain_rule(document), Reading(document, "", None)
    if rule is not None:
        assert reading.errors == []
        assert rule == reading.rule


@pytest.mark.parametrize("fields", [PLAIN, PLAIN | LISTS])
@pytest.mark.parametrize("nested", [True, False])
def test_it_reads_what_arm_writes(fields, nested) -> None:
    assert read_plain_rule(document({**fields}, nested)) is not None


@pytest.mark.parametrize("odd", [None, 7, [], "rule", {"properties": 7}, {"properties": None}])
def test_it_leaves_what_is_no_rule(odd) -> None:
    assert read_plain_rule(odd) is None
