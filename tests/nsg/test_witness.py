"""Witnesses are packets that an engineer believes in: addresses that a host may have."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from shared.nsg.extents import ADDRESSES, read_prefix
from shared.nsg.witness import dotted, usable_address


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("10.0.3.0/24", "10.0.3.4"),
        ("10.0.3.0/30", "10.0.3.3"),
        ("10.0.3.7/32", "10.0.3.7"),
        ("0.0.0.0/0", "1.0.0.4"),
        ("0.0.0.0/8", "0.0.0.4"),
        ("126.0.0.0/7", "126.0.0.4"),
        ("127.0.0.1/32", "127.0.0.1"),
    ],
)
def test_an_address_that_a_host_may_have_where_there_is_one(prefix: str, expected: str) -> None:
    first, end = read_prefix(prefix) or ()
    assert dotted(usable_address(first, end)) == expected


def test_what_begins_in_loopback_and_goes_on_is_shown_behind_it() -> None:
    address = usable_address(int(IPv4Address("127.0.0.2")), ADDRESSES)
    assert dotted(address) == "128.0.0.4"
