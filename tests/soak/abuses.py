"""What abusive and broken clients do, each as one function that opens a connection and says what came of it.

Each returns what the server did, in a word or two, or raises Unexpected: a 200 for what is not HTTP, a request smuggled
in behind another, a connection kept for ever. The server's deadlines are 2 s here (traffic.py), far below WAIT.
"""

from __future__ import annotations

import random
import re
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress

from tests.soak.answers import Unexpected

WAIT = 30.0  # seconds within which the server must have closed
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_HOST = b"Host: soak.example\r\n"
_GET = b"GET /abuse/get/0 HTTP/1.1\r\n" + _HOST + b"\r\n"
_SMUGGLED = b"GET /abuse/smuggled/0 HTTP/1.1\r\n" + _HOST + b"\r\n"


def _read(
    path: bytes = b"/abuse/read/0", *fields: bytes, method: bytes = b"POST", version: bytes = b"1.1"
) -> bytes:
    return b"%b %b HTTP/%b\r\n%b%b\r\n" % (
        method,
        path,
        version,
        _HOST,
        b"".join(b"%b\r\n" % one for one in fields),
    )


def _rest(sock: socket.socket) -> tuple[bytes, bool]:
    """All that still comes, and whether it ended with a reset. Unexpected when it does not end."""
    pieces = []
    limit = time.monotonic() + WAIT
    try:
        while data := sock.recv(1 << 18):
            pieces.append(data)
            if time.monotonic() > limit:
                raise Unexpected("the answer does not end")
    except TimeoutError:
        raise Unexpected(f"not closed after {WAIT:g} s, behind {b''.join(pieces)[-100:]!r}") from None
    except OSError:
        return b"".join(pieces), True
    return b"".join(pieces), False


def _refused(sock: socket.socket) -> str:
    """At most one answer, an error, and then the end."""
    data, _ = _rest(sock)
    statuses = _STATUS.findall(data)
    if len(statuses) > 1 or (statuses and statuses[0] < b"400"):
        raise Unexpected(f"answered {data[:200]!r}")
    if data and not statuses:
        raise Unexpected(f"no answer: {data[:200]!r}")
    return statuses[0].decode() if statuses else "closed"


def _reset(sock: socket.socket) -> str:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    return "reset by us"


def _send(sock: socket.socket, data: bytes) -> bool:
    """False when the server has closed before it took all."""
    try:
        sock.sendall(data)
    except OSError:
        return False
    return True


def _drip(sock: socket.socket, data: bytes, seconds: float) -> None:
    for at in range(len(data)):
        if not _send(sock, data[at : at + 1]):
            return
        time.sleep(seconds / len(data))


# Slow ------------------------------------------------------------------------------------------------------


def silent(sock: socket.socket, rng: random.Random) -> str:
    return _refused(sock)


def half_head(sock: socket.socket, rng: random.Random) -> str:
    _send(sock, _GET[: rng.randrange(1, len(_GET) - 1)])
    return _refused(sock)


def dripping_head(sock: socket.socket, rng: random.Random) -> str:
    _drip(sock, _GET[:-2] + b"X: y", 3)  # longer than the server's head_timeout
    return _refused(sock)


def dripping_body(sock: socket.socket, rng: random.Random) -> str:
    _send(sock, _read(b"/abuse/read/0", b"Content-Length: 10000"))
    _drip(sock, b"0123456789", 2)
    return _reset(sock) if rng.random() < 0.5 else _refused(sock)


def unfinished_upload(sock: socket.socket, rng: random.Random) -> str:
    _send(sock, _read(b"/abuse/read/0", b"Content-Length: 200000") + bytes(rng.randrange(100_000)))
    return _refused(sock)


def unfinished_chunks(sock: socket.socket, rng: random.Random) -> str:
    _send(
        sock,
        _read(b"/abuse/read/0", b"Transfer-Encoding: chunked") + b"ffff\r\n" + bytes(rng.randrange(60_000)),
    )
    return _refused(sock)


def never_continues(sock: socket.socket, rng: random.Random) -> str:
    _send(sock, _read(b"/abuse/read/0", b"Content-Length: 10", b"Expect: 100-continue"))
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    data = sock.recv(len(interim))
    if data and data != interim:
        raise Unexpected(f"answered {data!r}")
    return _refused(sock)


def never_reading(sock: socket.socket, rng: random.Random) -> str:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    _send(sock, _GET.replace(b"/get/", b"/large/") * 3)
    time.sleep(3)  # the server's send_timeout is shorter
    data, was_reset = _rest(sock)
    if data.count(b"HTTP/1.1 200 ") > 1 or not was_reset:
        raise Unexpected(f"{len(data)} bytes and no reset for who does not read")
    return "cut off"


def parked_then_slow(sock: socket.socket, rng: random.Random) -> str:
    _send(sock, _GET)
    if not sock.recv(65536).startswith(b"HTTP/1.1 200 "):
        raise Unexpected("no answer")
    _send(sock, _GET[:20])
    return _refused(sock)


# Broken ----------------------------------------------------------------------------------------------------


def reset_anywhere(sock: socket.socket, rng: random.Random) -> str:
    """In the middle of a head, a body, an answer, or of several."""
    data = (
        _GET * 2
        + _read(b"/abuse/read/0", b"Content-Length: 50")
        + b"x" * 50
        + _GET.replace(b"/get/", b"/large/")
    )
    _send(sock, data[: rng.randrange(len(data) + 1)])
    if rng.random() < 0.5:
        sock.settimeout(rng.random() * 0.01 + 1e-6)
        with suppress(OSError):
            sock.recv(rng.randrange(1, 100_000))
    return _reset(sock)


def half_close(sock: socket.socket, rng: random.Random) -> str:
    """A whole request, and the end of all sending with it: it is answered, once."""
    _send(sock, _GET)
    with suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
    data, _ = _rest(sock)
    if data.count(b"HTTP/1.1 ") != 1 or not data.startswith(b"HTTP/1.1 200 "):
        raise Unexpected(f"answered {data[:200]!r}")
    return "200"


def half_closed_upload(sock: socket.socket, rng: random.Random) -> str:
    _send(sock, _read(b"/abuse/read/0", b"Content-Length: 1000") + b"x" * 10)
    with suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
    return _refused(sock)


# Hostile ---------------------------------------------------------------------------------------------------


def garbage(sock: socket.socket, rng: random.Random) -> str:
    start = rng.choice(
        [
            b"",
            b"\x16\x03\x01\x02\x00\x01",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET ",
            b"\x00",
            b"GET / FTP/1.0\r\n",
        ]
    )
    _send(sock, start + rng.randbytes(rng.randrange(1, 20_000)) + b"\r\n\r\n")
    return _refused(sock)


def pipelined_flood(sock: socket.socket, rng: random.Random) -> str:
    """More requests than anybody may keep, and nothing read; gone before the end."""
    sock.settimeout(0.2)
    for _ in range(20):
        if not _send(sock, _GET * 500):
            break
    return _reset(sock)


def oversized(sock: socket.socket, rng: random.Random) -> str:
    head = rng.choice(
        [
            b"GET /%b HTTP/1.1\r\n%b\r\n" % (b"x" * 9000, _HOST),
            b"GET / HTTP/1.1\r\n%bX: %b\r\n\r\n" % (_HOST, b"x" * 9000),
            b"GET / HTTP/1.1\r\n%b%b\r\n" % (_HOST, b"X: y\r\n" * 200),
            b"GET / HTTP/1.1\r\n%b%b\r\n" % (_HOST, b"X: %b\r\n" % (b"y" * 5000) * 40),
            b"GET /" + b"x" * 200_000,
            _read(b"/abuse/read/0", b"Content-Length: 999999999999"),
            _read(b"/abuse/read/0", b"Transfer-Encoding: chunked") + b"fffffffffffffff\r\n",
            _read(b"/abuse/read/0", b"Transfer-Encoding: chunked") + b"1;" + b"x" * 5000,
            _read(b"/abuse/read/0", b"Transfer-Encoding: chunked") + b"0\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        ]
    )
    _send(sock, head + _SMUGGLED)
    return _refused(sock)


_CHUNKED = b"Transfer-Encoding: chunked"
_LENGTH = b"Content-Length: 5"


def smuggling(sock: socket.socket, rng: random.Random) -> str:
    """Two readers would see different ends in each of these: the request behind must never be seen."""
    path = b"/abuse/read/0"
    data = rng.choice(
        [
            _read(path, _LENGTH, _CHUNKED) + b"0\r\n\r\n",
            _read(path, _LENGTH, b"Content-Length: 6") + b"12345",
            _read(path, _LENGTH, _LENGTH) + b"12345",
            _read(path, b"Content-Length: 5, 6") + b"12345",
            _read(path, b"Content-Length: +5") + b"12345",
            _read(path, b"Content-Length: 0x5") + b"12345",
            _read(path, b"Content-Length: 1_0") + b"12345",
            _read(path, b"Content-Length : 5") + b"12345",
            _read(path, b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
            _read(path, b"Transfer-Encoding: xchunked") + b"0\r\n\r\n",
            _read(path, b"Transfer-Encoding: chunked, identity") + b"0\r\n\r\n",
            _read(path, _CHUNKED, _CHUNKED) + b"0\r\n\r\n",
            _read(path, b"Transfer-Encoding:\x0bchunked") + b"0\r\n\r\n",
            _read(path, b"Transfer-Encoding : chunked") + b"0\r\n\r\n",
            _read(path, _CHUNKED, version=b"1.0") + b"0\r\n\r\n",
            _read(path, b"X: y\r\n Content-Length: 5") + b"12345",
            _read(path, b"X: y\nContent-Length: 5") + b"12345",
            _read(path, _CHUNKED) + b"0x5\r\n12345\r\n0\r\n\r\n",
            _read(path, _CHUNKED) + b"+5\r\n12345\r\n0\r\n\r\n",
            _read(path, _CHUNKED) + b"-5\r\n12345\r\n0\r\n\r\n",
            _read(path, _CHUNKED) + b"5\r\n12345XX0\r\n\r\n",
            _read(path, _CHUNKED) + b"5\n12345\r\n0\r\n\r\n",
            _read(path, _CHUNKED) + b"5;a\nb\r\n12345\r\n0\r\n\r\n",
            _read(path, _CHUNKED) + b"5;a\rb\r\n12345\r\n0\r\n\r\n",
            _read(path, _CHUNKED) + b"0\r\nContent Length: 5\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            _read(b"/", _HOST[:-2], method=b"GET"),
        ]
    )
    _send(sock, data + _SMUGGLED)
    return _refused(sock)


Abuse = Callable[[socket.socket, random.Random], str]

EVERY: tuple[Abuse, ...] = (
    silent,
    half_head,
    dripping_head,
    dripping_body,
    unfinished_upload,
    unfinished_chunks,
    never_continues,
    never_reading,
    parked_then_slow,
    reset_anywhere,
    half_close,
    half_closed_upload,
    garbage,
    pipelined_flood,
    oversized,
    smuggling,
)
