"""h11 as the second opinion: what it refuses we refuse too, what both take they read alike.

Random requests, most of them a little wrong. Where we take what h11 does not, the difference stands in LENIENT with the
rule that allows it; that we refuse more than h11 does needs no list: test_heads.py and test_bodies.py name those rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import h11
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.heads import read

from greenserve.errors import ProtocolError
from greenserve.http1 import ChunkedFraming, RequestHead

# (what may be taken though h11 refuses it, the rule)
LENIENT: Final[list[tuple[Callable[[bytes], bool], str]]] = [
    # "a server ... SHOULD ignore at least one empty line (CRLF) received prior to the request-line", and a lone LF may
    # stand for CRLF there.
    (lambda data: data[:1] in b"\r\n", "RFC 9112 §2.2"),
    # chunk-ext = *( BWS ";" ... ), and bad whitespace has to be taken and removed.
    (lambda data: re.search(rb"[ \t];", data) is not None, "RFC 9112 §7.1.1, RFC 9110 §5.6.3"),
]

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


def _is_listed(data: bytes) -> bool:
    return any(allowed(data) for allowed, _ in LENIENT)


def _of_h11(data: bytes) -> h11.Request | None:
    """What h11 makes of it; None when it refuses."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    assert event is h11.NEED_DATA or isinstance(event, h11.Request)
    return event if isinstance(event, h11.Request) else None


def _of_ours(data: bytes) -> RequestHead | None:
    try:
        return read(data)[0]
    except (ProtocolError, AssertionError):
        return None


@given(heads())
@examples(300)
@example(b"\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: x\r\nA: \x1c\r\n\r\n")
def test_heads(data: bytes) -> None:
    ours = _of_ours(data)
    if ours is None:
        return
    theirs = _of_h11(data)
    if theirs is None:
        assert _is_listed(data)
        return
    assert ours.method.encode() == theirs.method
    assert ours.target.encode("latin-1") == theirs.target
    assert ours.http11 == (theirs.http_version == b"1.1")
    assert [(name.lower(), value) for name, value in ours.fields] == [
        (n.decode(), v.decode("latin-1")) for n, v in theirs.headers
    ]


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


def _body_of_h11(data: bytes) -> tuple[bytes, bytes] | None:
    """Content and what follows; None when h11 refuses it or wants more."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
    content = b""
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                return None
            content += event.data if isinstance(event, h11.Data) else b""
    except h11.RemoteProtocolError:
        return None
    return content, connection.trailing_data[0]


@given(bodies())
@examples(300)
def test_chunked_bodies(data: bytes) -> None:
    framing = ChunkedFraming()
    try:
        content = framing.feed(data)
    except ProtocolError:
        return
    if framing.done:
        theirs = _body_of_h11(data)
        assert theirs == (content, framing.rest) or (theirs is None and _is_listed(data))
