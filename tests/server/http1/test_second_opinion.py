"""h11 as the second opinion: what it refuses we refuse too, what both take they read alike.

Random requests, most of them a little wrong, and hand-made ones. Where we differ stands in
tests/support/protocols/second_opinion.py, each difference with its rule.
"""

from __future__ import annotations

import contextlib
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.protocols.heads import read
from tests.support.protocols.second_opinion import (
    LENIENT,
    STRICTER,
    Lenient,
    agree_on_body,
    agree_on_head,
    h11_takes_whole,
    is_listed,
    takes_whole,
)

from greenserve.errors import ProtocolError
from greenserve.http1 import ChunkedFraming, RequestHead

_GOOD_LINES: Final = [
    "GET / HTTP/1.1",
    "POST /a?b=c HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "PUT http://y/p HTTP/1.1",
    "GET /%20 HTTP/1.0",
]
_GOOD_FIELDS: Final = [
    "Content-Length: 3",
    "Content-Length: 0",
    "Transfer-Encoding: chunked",
    "Connection: close",
    "connection: keep-alive, x",
    "Expect: 100-continue",
    "X-Y_z: a b\xe4",
    "Cookie: a=b; c=d",
    "Empty:",
]
# What goes in at a random place, or takes the place of what is there.
_BAD: Final = [
    "\r",
    "\n",
    "\r\n",
    " ",
    "\t",
    "\0",
    "\x0b",
    "\x7f",
    "\xa0",
    ":",
    ",",
    "+",
    "-",
    "0",
    "9",
    "_",
    "#",
    "@",
    "x",
    "HTTP/1.1",
    "Host: y\r\n",
]


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    fields = draw(st.lists(st.sampled_from(_GOOD_FIELDS), max_size=3))
    text = "\r\n".join([draw(st.sampled_from(_GOOD_LINES)), "Host: x", *fields, "", ""])
    return _spoilt(draw, text.encode("latin-1"), draw(st.integers(0, 2)))


def _spoilt(draw: st.DrawFn, data: bytes, times: int) -> bytes:
    for _ in range(times):
        at = draw(st.integers(0, len(data)))
        bad = draw(st.sampled_from(_BAD)).encode("latin-1")
        data = data[:at] + bad + data[at + draw(st.integers(0, 2)) :]
    return data


def _of_ours(data: bytes) -> RequestHead | None:
    try:
        return read(data)[0]
    except (ProtocolError, AssertionError):
        return None


@given(heads())
@examples(300)
@example(b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: x\r\nA: \x1c\r\n\r\n")
def test_heads(data: bytes) -> None:
    ours = _of_ours(data)
    if ours is not None:
        agree_on_head(ours, data)


_CHUNKS: Final = [
    b"3\r\nabc\r\n",
    b'A;x="y"\r\n0123456789\r\n',
    b"0b\r\nhello\r\nhell\r\n",
    b"1 \t;q\r\nz\r\n",
    b"000001\r\n\n\r\n",
]
_LAST: Final = [b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"000;a\r\nX:\r\nY: z\r\n\r\n"]


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    chunks = draw(st.lists(st.sampled_from(_CHUNKS), max_size=3))
    return _spoilt(draw, b"".join([*chunks, draw(st.sampled_from(_LAST)), b"GET"]), draw(st.integers(0, 2)))


@given(bodies())
@examples(300)
def test_chunked_bodies(data: bytes) -> None:
    framing = ChunkedFraming()
    with contextlib.suppress(ProtocolError):
        content = framing.feed(data)
        if framing.done:
            agree_on_body(framing, content, data)


@pytest.mark.parametrize("entry", LENIENT, ids=lambda entry: entry.rule)
def test_what_we_take_and_h11_does_not(entry: Lenient) -> None:
    assert is_listed(entry.example)
    assert takes_whole(entry.example), "we refuse it too: the entry is stale"
    assert not h11_takes_whole(entry.example), "h11 takes it too: the entry is stale"


@pytest.mark.parametrize(("rule", "data"), STRICTER)
def test_what_h11_takes_and_we_do_not(rule: str, data: bytes) -> None:
    assert not takes_whole(data), "we take it too: the entry is stale"
    assert h11_takes_whole(data), "h11 refuses it too: the entry is stale"


_X: Final = b" HTTP/1.1\r\nHost: x\r\n"
_BODY: Final = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        *(b"GET /" + _X + line + b"\r\n\r\n" for line in (b"A : b", b": b", b"A", b"A: \0", b"\xe4: b")),
        *(
            b"GET /" + _X + line + b"\r\n\r\n"
            for line in (b"A: b\rc", b"A: \x0b", b"Host: y", b"A(: b", b"A\t: b")
        ),
        *(
            b"POST /" + _X + b"Content-Length: %b\r\n\r\n" % n
            for n in (b"+3", b"-1", b"1_0", b"0x3", b"", b"3 3", b"a")
        ),
        *(
            b"POST /" + _X + b"Transfer-Encoding: %b\r\n\r\n" % c
            for c in (b"gzip", b"xchunked", b"gzip, chunked", b"")
        ),
        *(
            b"GET" + between + b"HTTP/1.1\r\nHost: x\r\n\r\n"
            for between in (b"  / ", b" /  ", b" ", b" /\xe4 ")
        ),
        *(
            b"GET / %b\r\nHost: x\r\n\r\n" % version
            for version in (b"http/1.1", b"HTTP/11.1", b"HTTP/1", b"X/1.1")
        ),
        *(b"G@T" + _X + b"\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\rGET /" + _X + b"\r\n"),
        *(
            _BODY + size + b"\r\nabc\r\n0\r\n\r\n"
            for size in (b"0x3", b"+3", b"-1", b"", b" 3", b"g", b"3_0")
        ),
        *(
            _BODY + body
            for body in (b"3\r\nabcXX0\r\n\r\n", b"3\r\nabcd\r\n0\r\n\r\n", b"3\nabc\r\n0\r\n\r\n")
        ),
        *(
            _BODY + b"0\r\n" + line + b"\r\n\r\n"
            for line in (b"A : b", b"A", b" A: b", b"A: \0", b"GET / HTTP/1.1")
        ),
    ],
)
def test_what_neither_takes(data: bytes) -> None:
    assert not h11_takes_whole(data), "h11 takes it: it belongs into STRICTER"
    assert not takes_whole(data)
