"""tracing: W3C Trace Context §3.2.2 and §4.3, and the grammar of a request's id."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserve.proxies import is_request_id, parse_traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


def test_3_2_2_the_parts() -> None:
    assert parse_traceparent(f"00-{TRACE}-{PARENT}-01") == (TRACE, PARENT, True)
    assert parse_traceparent(f"00-{TRACE}-{PARENT}-00") == (TRACE, PARENT, False)


@pytest.mark.parametrize("text", [f"01-{TRACE}-{PARENT}-01", f"cc-{TRACE}-{PARENT}-09-what-may-come"])
def test_4_3_a_later_version_is_read_as_this_one(text: str) -> None:
    parsed = parse_traceparent(text)
    assert parsed is not None
    assert parsed.trace_id == TRACE


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"01-{TRACE}-{PARENT}-01.more",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE[1:]}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-0g",
        f"00-{TRACE}-{PARENT}",
        f" 00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\n",
        f"00-{TRACE}-{PARENT}-01, 00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-0\u0661",
    ],
)
def test_a_malformed_one_is_ignored(text: str) -> None:
    assert parse_traceparent(text) is None


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    parse_traceparent(text)
    if is_request_id(text):
        assert text.isascii()
        assert text.isprintable()
        assert not set(text) & set(" \"'\\<>%")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("7c4d0b9c-1a1e-4f0b-8ad1-0d8b8f0d9e55", True),
        ("Root=1-67891233-abcdef012345678912345678", True),
        ("a" * 128, True),
        ("a" * 129, False),
        ("", False),
        ("a b", False),
        ("a, b", False),
        ("a\n", False),
        ('a"', False),
        ("é", False),
    ],
)
def test_a_request_id(text: str, is_one: bool) -> None:
    assert is_request_id(text) is is_one
