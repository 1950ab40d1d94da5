"""The kinds of well-formed requests, and what each must be answered with.

Each function makes the bytes of request `number` of `client`, and what its answer has to be. app.py has the other half.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.soak.app import CONTENT, FILE_SIZE, pieces_of, proof

_SMALL = 2000  # bytes of a body at most
_UNREAD = 40_000  # of a body that the app leaves, and the server throws away to keep the connection
_UNREAD_LARGE = 300_000  # more than that: it closes
_LARGE = len(CONTENT) // 2


@dataclass(slots=True)
class Asked:
    """A request's bytes and its answer. `interim`: the status of what comes before it, upon which `later` is sent."""

    kind: str
    number: int
    data: bytes
    method: str
    status: int
    proof: str
    body: bytes | None  # None: what it says is the server's own affair
    closes: bool = False
    is_torn: bool = False
    interim: int = 0
    later: bytes = b""


def _fields(number: int) -> bytes:
    # As many as a browser sends, and never quite the same.
    return (
        b"Host: soak.example:8000\r\nUser-Agent: soak/1\r\nAccept: */*\r\nCookie: a=%d; b=2\r\n"
        b"X-Number: %d\r\n" % (number, number)
    )


def _place(kind: bytes, client: int, number: int) -> bytes:
    return b"/%b/%d/%d" % (kind, client, number)


def _content(number: int, most: int) -> bytes:
    start = number * 8 % (len(CONTENT) - most)
    return CONTENT[start : start + number * 7919 % most]


def _asked(
    kind: str,
    client: int,
    number: int,
    data: bytes,
    body: bytes | None,
    *,
    sent: bytes = b"",
    method: str = "GET",
) -> Asked:
    return Asked(kind, number, data, method, 200, proof(client, number, method, sent), body)


# Without a body ---------------------------------------------------------------------------------------------


def get(
    client: int, number: int, kind: bytes = b"get", line_end: bytes = b" HTTP/1.1\r\n", more: bytes = b""
) -> Asked:
    data = b"GET %b?q=%d&r=a%%20b%b%b%b\r\n" % (
        _place(kind, client, number),
        number,
        line_end,
        _fields(number),
        more,
    )
    return _asked("get", client, number, data, b"%d?q=%d&r=a%%20b" % (number, number))


def head(client: int, number: int) -> Asked:
    data = b"HEAD %b HTTP/1.1\r\n%b\r\n" % (_place(b"get", client, number), _fields(number))
    return _asked("head", client, number, data, b"", method="HEAD")


def absolute(client: int, number: int) -> Asked:
    data = b"GET http://soak.example:8000%b?abs HTTP/1.1\r\n%b\r\n" % (
        _place(b"get", client, number),
        _fields(number),
    )
    return _asked("absolute", client, number, data, b"%d?abs" % number)


def options(client: int, number: int) -> Asked:
    place = _place(b"get", client, number)
    data = b"OPTIONS * HTTP/1.1\r\n%bX-Place: %b\r\n\r\n" % (_fields(number), place)
    return _asked("options", client, number, data, b"%d?" % number, method="OPTIONS")


def slow(client: int, number: int) -> Asked:
    asked = get(client, number, b"slow")
    asked.kind = "slow"
    return asked


def hints(client: int, number: int) -> Asked:
    # Of a page that a browser asks for, whose connection goes on behind a 103.
    asked = get(client, number, b"hints", more=b"Sec-Fetch-Mode: navigate\r\n")
    asked.kind, asked.interim = "hints", 103
    return asked


def stream(client: int, number: int) -> Asked:
    data = b"GET %b HTTP/1.1\r\n%b\r\n" % (_place(b"stream", client, number), _fields(number))
    return _asked("stream", client, number, data, b"".join(pieces_of(number)))


def file(client: int, number: int) -> Asked:
    data = b"GET %b HTTP/1.1\r\n%b\r\n" % (_place(b"file", client, number), _fields(number))
    return _asked("file", client, number, data, CONTENT[number % FILE_SIZE : FILE_SIZE])


def empty(client: int, number: int) -> Asked:
    data = b"GET %b HTTP/1.1\r\n%b\r\n" % (_place(b"empty", client, number), _fields(number))
    asked = _asked("empty", client, number, data, b"")
    asked.status = 204 if number % 2 else 304
    return asked


# With one ---------------------------------------------------------------------------------------------------


def _post(kind: bytes, client: int, number: int, body: bytes, more: bytes = b"") -> bytes:
    start = _place(kind, client, number), _fields(number), more, len(body)
    return b"POST %b HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n" % start


def post(client: int, number: int) -> Asked:
    body = _content(number, _SMALL)
    data = _post(b"echo", client, number, body) + body
    return _asked("post", client, number, data, body, sent=body, method="POST")


def large(client: int, number: int) -> Asked:
    body = CONTENT[number * 8 % _LARGE :][:_LARGE]
    data = _post(b"echo", client, number, body) + body
    return _asked("large", client, number, data, body, sent=body, method="POST")


def lines(client: int, number: int) -> Asked:
    body = _content(number, _SMALL)
    data = _post(b"lines", client, number, body) + body
    answer = b"".join(reversed(body.splitlines(keepends=True)))
    return _asked("lines", client, number, data, answer, sent=body, method="POST")


def chunked(client: int, number: int) -> Asked:
    """In uneven chunks, with extensions, and with trailers."""
    body = _content(number, _SMALL)
    step = number % 700 + 8  # below that its extensions are more than the server takes of them (16 KiB)
    parts = [body[at : at + step] for at in range(0, len(body), step)]
    extension = (b"", b";a=b", b' ; name="v"')[number % 3]
    trailer = b"X-Trailer: %d" % number if number % 2 else b""
    data = b"POST %b HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n%b0\r\n%b\r\n" % (
        _place(b"echo", client, number),
        _fields(number),
        b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts),
        trailer and trailer + b"\r\n",
    )
    return _asked("chunked", client, number, data, body, sent=body + trailer, method="POST")


def left(client: int, number: int) -> Asked:
    body = _content(number, _UNREAD)
    data = _post(b"left", client, number, body) + body
    return _asked("left", client, number, data, b"left %d" % number, method="POST")


def expect(client: int, number: int) -> Asked:
    body = _content(number, _SMALL) + b"."
    data = _post(b"echo", client, number, body, b"Expect: 100-continue\r\n")
    asked = _asked("expect", client, number, data, body, sent=body, method="POST")
    asked.interim, asked.later = 100, body
    return asked


# The last of a connection -------------------------------------------------------------------------------------


def close(client: int, number: int) -> Asked:
    asked = get(client, number, more=b"Connection: close\r\n")
    asked.kind, asked.closes = "close", True
    return asked


def http10(client: int, number: int) -> Asked:
    asked = get(client, number, line_end=b" HTTP/1.0\r\n")
    asked.kind, asked.closes = "http10", True
    return asked


def http10_keep(client: int, number: int) -> Asked:
    asked = get(client, number, line_end=b" HTTP/1.0\r\n", more=b"Connection: keep-alive\r\n")
    asked.kind = "http10_keep"
    return asked


def http10_stream(client: int, number: int) -> Asked:
    data = b"GET %b HTTP/1.0\r\n%bConnection: keep-alive\r\n\r\n" % (
        _place(b"stream", client, number),
        _fields(number),
    )
    asked = _asked("http10_stream", client, number, data, b"".join(pieces_of(number)))
    asked.closes = True
    return asked


def error(client: int, number: int) -> Asked:
    data = b"GET %b HTTP/1.1\r\n%b\r\n" % (_place(b"error", client, number), _fields(number))
    return Asked("error", number, data, "GET", 500, "", None, closes=True)


def torn(client: int, number: int) -> Asked:
    """The app fails in the middle: the client has to see that the end is missing."""
    data = b"GET %b HTTP/1.1\r\n%b\r\n" % (_place(b"torn", client, number), _fields(number))
    asked = _asked("torn", client, number, data, pieces_of(number)[0])
    asked.closes = asked.is_torn = True
    return asked


def left_large(client: int, number: int) -> Asked:
    body = CONTENT[:_UNREAD_LARGE]
    data = _post(b"left", client, number, body) + body
    asked = _asked("left_large", client, number, data, b"left %d" % number, method="POST")
    asked.closes = True
    return asked


Kind = Callable[[int, int], Asked]

# How many of a hundred, roughly.
IN_BATCHES: dict[Kind, int] = {
    get: 36,
    head: 6,
    post: 14,
    chunked: 10,
    lines: 4,
    left: 3,
    stream: 8,
    file: 4,
    empty: 6,
    absolute: 3,
    options: 2,
    slow: 1,
    hints: 2,
    http10_keep: 2,
}
ALONE: dict[Kind, int] = {expect: 6, large: 1}
LAST: dict[Kind, int] = {close: 4, http10: 2, http10_stream: 2, error: 1, torn: 1, left_large: 1}
EVERY: tuple[Kind, ...] = (*IN_BATCHES, *ALONE, *LAST)
