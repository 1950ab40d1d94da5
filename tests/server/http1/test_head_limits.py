"""heads: what is too long, to the byte, whole and byte by byte (RFC 9112 §3, RFC 9110 §5.4)."""

from __future__ import annotations

import pytest
from tests.support.protocols.heads import raw, read, refusal

from greenserve.errors import LimitExceeded
from greenserve.http1 import HeadLimits, HeadReader

_LIMITS = HeadLimits(line=40, field_size=30, fields=4, head=150)


def _both_ways(data: bytes, limits: HeadLimits | None = None) -> list[int]:
    limits = limits or _LIMITS
    whole = refusal(data, limits=limits)
    piecewise = refusal(*(data[i : i + 1] for i in range(len(data))), limits=limits)
    assert isinstance(whole, LimitExceeded)
    assert isinstance(piecewise, LimitExceeded)
    return [whole.status, piecewise.status]


def test_3_the_request_line() -> None:
    line = "GET /" + "a" * 26 + " HTTP/1.1"
    assert len(line) == 40
    data = raw(line)
    assert read(data, limits=_LIMITS)[0].target == "/" + "a" * 26
    for cut in range(len(data)):
        assert read(data[:cut], data[cut:], limits=_LIMITS)[0].method == "GET"
    assert _both_ways(data.replace(b"/a", b"/aa")) == [414, 414]


def test_3_a_request_line_that_never_ends() -> None:
    reader = HeadReader(_LIMITS)
    assert reader.feed(b"GET /" + b"a" * 36) is None
    with pytest.raises(LimitExceeded) as caught:
        reader.feed(b"a")
    assert caught.value.status == 414


def test_9110_5_4_one_field() -> None:
    assert read(raw("GET / HTTP/1.1", "A: " + "b" * 29), limits=_LIMITS)[0].method == "GET"
    assert _both_ways(raw("GET / HTTP/1.1", "A: " + "b" * 30)) == [431, 431]


def test_9110_5_4_how_many_fields() -> None:
    assert len(read(raw("GET / HTTP/1.1", "A: b", "A: b", "A: b"), limits=_LIMITS)[0].fields) == 4
    assert _both_ways(raw("GET / HTTP/1.1", *["A: b"] * 4)) == [431, 431]


def test_9110_5_4_the_whole_head() -> None:
    data = raw("GET /" + "a" * 26 + " HTTP/1.1", *["Abcdefghi: " + "b" * 20] * 3)
    size = len(data)
    assert read(data, limits=HeadLimits(40, 30, 4, size))[0].method == "GET"
    assert _both_ways(data, HeadLimits(40, 30, 4, size - 1)) == [431, 431]


def test_9110_5_4_the_limits_are_named() -> None:
    assert "limit_request_line" in refusal(raw("GET /" + "a" * 50 + " HTTP/1.1"), limits=_LIMITS).reason
    assert "limit_request_fields" in refusal(raw("GET / HTTP/1.1", *["A: b"] * 9), limits=_LIMITS).reason


def test_a_body_behind_the_head_counts_for_nothing() -> None:
    assert read(raw() + b"x" * 1000, limits=_LIMITS)[1] == b"x" * 1000
