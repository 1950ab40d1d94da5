"""h11 as the second opinion on HTTP/1, and the one place where it says where we differ from it.

Each entry holds an example, which a test sends to both: when one of the two changes its mind, the entry fails. The
property tests and the fuzzer let nothing else through that h11 refuses.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

import h11
from tests.support.protocols.heads import read

from greenserve.errors import ProtocolError
from greenserve.http1 import ChunkedFraming, RequestHead


class Lenient(NamedTuple):
    """What we take and h11 does not: `example`, and all that `allows` finds to be of its kind."""

    rule: str
    example: bytes
    allows: Callable[[bytes], bool]


_CHUNKED: Final = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
LENIENT: Final = [
    # "a server ... SHOULD ignore at least one empty line (CRLF) received prior to the request-line".
    Lenient(
        "RFC 9112 §2.2: empty lines before a request",
        b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        lambda data: data[:2] == b"\r\n",
    ),
    # chunk-ext = *( BWS ";" BWS chunk-ext-name ... ), and bad whitespace has to be taken and removed.
    Lenient(
        "RFC 9112 §7.1.1, RFC 9110 §5.6.3: whitespace before a chunk's extension",
        _CHUNKED + b"1 ;a\r\nx\r\n0\r\n\r\n",
        lambda data: re.search(rb"[ \t];", data) is not None,
    ),
]


# What h11 takes and we do not: why, and one example each.
STRICTER: Final[list[tuple[str, bytes]]] = [
    ("RFC 9112 §2.2: a bare LF ends no line", b"GET / HTTP/1.1\nHost: x\n\n"),
    ("RFC 9112 §2.3: versions that are not 1.0 or 1.1", b"GET / HTTP/1.2\r\nHost: x\r\n\r\n"),
    ("RFC 9112 §2.3: versions that are not 1.0 or 1.1", b"GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
    ("RFC 9110 §9.1: a method is written in upper case", b"get / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("RFC 9110 §9.1: a method is written in upper case", b"!#$ / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("RFC 9113 §11.6: PRI is HTTP/2's", b"PRI / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("RFC 9112 §3.2: a target in none of the four forms", b"GET x HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("RFC 9112 §3.2: a fragment", b"GET /#f HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("RFC 3986 §3.3: characters that must be escaped", b"GET /<a> HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("RFC 3986 §2.1: an escape that is none", b"GET /% HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("RFC 3986 §7.3: NUL in a path", b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("RFC 9112 §3.2.2: two authorities", b"GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("RFC 9110 §4.2.4: user information", b"GET http://u@x/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("RFC 9112 §3.2.3: CONNECT is for proxies", b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n"),
    ("RFC 9112 §3.2.4: an asterisk without OPTIONS", b"GET * HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("RFC 9112 §3.2: a malformed Host", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    ("RFC 9112 §3.2: a malformed Host", b"GET / HTTP/1.1\r\nHost: x:99999\r\n\r\n"),
    ("RFC 9112 §5.2: a folded line", b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n"),
    ("RFC 9110 §5.5: controls in a value", b"GET / HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n"),
    (
        "RFC 9110 §5.4: more fields than a limit",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 100 + b"\r\n",
    ),
    (
        "RFC 9112 §6.1: Content-Length with Transfer-Encoding",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
    (
        "RFC 9112 §6.1: Transfer-Encoding in HTTP/1.0",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
    ("RFC 9110 §8.6: a list of lengths", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\n"),
    (
        "RFC 9110 §8.6: a length twice",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
    ),
    (
        "RFC 9110 §8.6: lengths that no body has",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1%018d\r\n\r\n" % 0,
    ),
    ("RFC 1945 §7.2.2: a body without a length in HTTP/1.0", b"POST / HTTP/1.0\r\n\r\n"),
    ("RFC 9110 §10.1.1: other expectations", b"GET / HTTP/1.1\r\nHost: x\r\nExpect: more\r\n\r\n"),
    ("RFC 9112 §7.1: whitespace behind a chunk's size", _CHUNKED + b"1 \r\nx\r\n0\r\n\r\n"),
    ("RFC 9112 §7.1.1: an extension that is none", _CHUNKED + b"1;\r\nx\r\n0\r\n\r\n"),
    ("RFC 9112 §7.1.1: an extension that is none", _CHUNKED + b"1;a=\x01\r\nx\r\n0\r\n\r\n"),
    ("RFC 9112 §7.1.2: a trailer's line that ends with LF", _CHUNKED + b"0\r\nA: b\n\r\n"),
    ("RFC 9112 §7.1.2: a folded trailer", _CHUNKED + b"0\r\nA: b\r\n c\r\n\r\n"),
    ("RFC 9110 §6.5.1: what belongs into the head", _CHUNKED + b"0\r\nHost: y\r\n\r\n"),
]


def is_listed(data: bytes) -> bool:
    """Whether one of the reasons why we may take what h11 does not can be found in `data`."""
    return any(entry.allows(data) for entry in LENIENT)


def head_of_h11(data: bytes) -> h11.Request | None:
    """What h11 makes of a head; None when it refuses, or waits for more."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    assert event is h11.NEED_DATA or isinstance(event, h11.Request)
    return event if isinstance(event, h11.Request) else None


def body_of_h11(data: bytes) -> tuple[bytes, list[tuple[str, str]], bytes] | None:
    """Content, trailers and what follows a chunked body; None when h11 refuses it or waits for more."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(_CHUNKED + data)
    content = b""
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                return None
            content += event.data if isinstance(event, h11.Data) else b""
    except h11.RemoteProtocolError:
        return None
    trailers = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
    return content, trailers, connection.trailing_data[0]


def agree_on_head(ours: RequestHead, data: bytes) -> None:
    """Fail unless h11 reads `data` as we did, or may refuse it."""
    theirs = head_of_h11(data)
    if theirs is None:
        assert is_listed(data), "we take what h11 refuses"
        return
    assert ours.method.encode() == theirs.method
    assert ours.target.encode("latin-1") == theirs.target
    assert ours.http11 == (theirs.http_version == b"1.1")
    fields = [(name.decode(), value.decode("latin-1")) for name, value in theirs.headers]
    mine = [(name.lower(), value) for name, value in ours.fields]
    # h11 gives `chunked` back in lower case, whatever case it came in.
    assert [(name, value.lower() if name == "transfer-encoding" else value) for name, value in mine] == fields
    assert ours.chunked == ("transfer-encoding" in dict(fields))
    length = dict(fields).get("content-length")
    assert ours.content_length == (None if length is None else int(length))


def agree_on_body(framing: ChunkedFraming, content: bytes, data: bytes) -> None:
    """Fail unless h11 reads the chunks in `data`, which have ended, as we did, or may refuse them."""
    theirs = body_of_h11(data)
    if theirs is None:
        assert is_listed(data), "we take what h11 refuses"
        return
    trailers = [(name.lower(), value) for name, value in framing.trailers]
    assert (content, trailers, framing.rest) == theirs


def takes_whole(data: bytes) -> bool:
    """Whether we take a request whole, its chunked body included."""
    try:
        head, rest = read(data)
        if head.chunked and rest:
            framing = ChunkedFraming()
            framing.feed(rest)
            return framing.done
    except ProtocolError:
        return False
    return True


def h11_takes_whole(data: bytes) -> bool:
    """The same of h11."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    head_only = data.endswith(b"\n\r\n") and data.count(b"\r\n\r\n") == 1
    try:
        event = connection.next_event()
        while not head_only and not isinstance(event, h11.EndOfMessage):
            if event is h11.NEED_DATA:
                return False
            event = connection.next_event()
    except h11.RemoteProtocolError:
        return False
    return event is not h11.NEED_DATA
