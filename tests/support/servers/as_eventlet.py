"""wsgi.server under eventlet's names, and a client of it: for tests of greenserve_eventlet."""

from __future__ import annotations

import io
import socket as plain_socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.support.times import PATIENCE

import greenserve_eventlet as eventlet
from greenserve_eventlet.serving import wsgi
from greenserve_hub import GreenletExit, Timeout, kill, sleep, spawn

Environ = dict[str, Any]
OK = "200 OK"
PLAIN = [("content-type", "text/plain")]


def hello(environ: Environ, start: Any) -> list[Any]:
    start(OK, PLAIN)
    return ["hello"]


@contextmanager
def serving(app: Any, sock: Any = None, **keywords: Any) -> Iterator[tuple[Any, io.StringIO]]:
    log = io.StringIO()
    sock = sock or eventlet.listen(("127.0.0.1", 0))
    address = sock.getsockname()
    green = spawn(wsgi.server, sock, app, **{"log": log, **keywords})
    sleep(0)
    try:
        yield address, log
    finally:
        kill(green)
        with suppress(GreenletExit), Timeout(PATIENCE):
            green.wait()  # until its connections are closed


def ask(address: Any, *lines: str, body: bytes = b"", until: str = "close") -> bytes:
    """Send a request and return all that comes, until the server closes."""
    family = plain_socket.AF_INET if isinstance(address, tuple) else plain_socket.AF_UNIX
    with eventlet.connect(address, family) as sock, Timeout(PATIENCE):
        head = "\r\n".join((*(lines or ("GET / HTTP/1.1", "Host: a")), f"Connection: {until}", "", ""))
        sock.sendall(head.encode("latin-1") + body)
        found = b""
        while piece := sock.recv(1 << 16):
            found += piece
        return found


def body_of(response: bytes) -> bytes:
    return response.partition(b"\r\n\r\n")[2]
