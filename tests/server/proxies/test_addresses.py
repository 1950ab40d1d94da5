"""proxies.addresses: addresses as proxies write them."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserve.proxies.addresses import is_port, parse_address, parse_node


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8::0:1", "2001:db8::1"),
        ("::", "::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ],
)
def test_an_address_has_one_spelling(text, address):
    assert str(parse_address(text)) == address


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "localhost",
            "192.0.2",
            "192.0.2.1.1",
            "192.0.2.256",
            "192.0.2.01",
            "0xc0.0.2.1",
            "3221225985",
        ),
        *(
            "192.0.2.1 ",
            " 192.0.2.1",
            "192.0.2.1/32",
            "192.0.2.1:80",
            "[::1]",
            "::1%lo",
            "fe80::1%1",
            ":::",
            "1::2::3",
        ),
        *("\u0661.0.0.1", "192.0.2.1\0", "12345::", "unknown", "_hidden", "1" * 100_000, ":" * 100_000),
    ],
)
def test_nothing_else_is_an_address(text):
    assert parse_address(text) is None


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("192.0.2.1", ("192.0.2.1", "")),
        ("192.0.2.1:47011", ("192.0.2.1", "47011")),
        ("192.0.2.1:0", ("192.0.2.1", "0")),
        ("[2001:db8::1]", ("2001:db8::1", "")),
        ("[2001:DB8::1]:65535", ("2001:db8::1", "65535")),
        ("[::ffff:192.0.2.1]:1", ("192.0.2.1", "1")),
        ("192.0.2.1:_hidden", ("192.0.2.1", "")),
    ],
)
def test_a_node_is_an_address_with_or_without_a_port(text, node):
    assert parse_node(text, bare_v6=True) == parse_node(text, bare_v6=False) == node


def test_ipv6_without_brackets_has_no_port():
    assert parse_node("2001:db8::1:80", bare_v6=True) == ("2001:db8::1:80", "")
    assert parse_node("2001:db8::1", bare_v6=False) is None  # RFC 7239 §6: in brackets


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "unknown",
            "_gazonk",
            "unknown:80",
            "example.com",
            "example.com:80",
            "192.0.2.1:",
            "192.0.2.1:080",
        ),
        *(
            "192.0.2.1:65536",
            "192.0.2.1:-1",
            "192.0.2.1:+1",
            "192.0.2.1:_",
            "[192.0.2.1]",
            "[::1",
            "::1]",
            "[::1]80",
        ),
        *("[::1]:", "[::1]:a", "[[::1]]", "[]", "[::1%lo]:80", "192.0.2.1:80:80", "192.0.2.1\n", "1,2"),
    ],
)
def test_nothing_else_is_a_node(text):
    assert parse_node(text, bare_v6=True) is None
    assert parse_node(text, bare_v6=False) is None


@pytest.mark.parametrize(
    ("text", "good"), [("0", True), ("65535", True), ("65536", False), ("00", False), ("", False)]
)
def test_a_port(text, good):
    assert is_port(text) is good


@given(st.ip_addresses(), st.none() | st.integers(0, 65535))
def test_every_address_is_read_back(address, port):
    written = f"[{address}]" if address.version == 6 else str(address)
    tail = "" if port is None else f":{port}"
    found = parse_node(written + tail, bare_v6=False)
    assert found is not None
    mapped = getattr(address, "ipv4_mapped", None)
    assert (ipaddress.ip_address(found[0]), found[1]) == (mapped or address, tail[1:])


@given(st.text("0123456789abcdefx.:[]%/ _", max_size=50))
def test_whatever_is_read_is_an_address(text):
    for bare in (True, False):
        found = parse_node(text, bare_v6=bare)
        if found is not None:
            assert str(ipaddress.ip_address(found[0])) == found[0]
