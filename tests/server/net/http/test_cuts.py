"""A client's bytes end between any two: with an end of the connection, with a reset, or with the end of sending only.

What came whole is answered or dropped, and what did not never reaches an app as if it had: its read raises. One server
for all cuts of a kind; what is left of them is looked at in tests/server/test_failures.py.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import Environ, Start
from tests.support.servers.running import becomes_quiet, serving

_CHUNKED = (
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;a=b\r\nhello\r\n3\r\nyou\r\n0\r\nX-Sum: x\r\n\r\n"
)
_KINDS = {
    "get": (request("/"), [b""]),
    "length": (request("/", "POST", b"hello you"), [b"hello you"]),
    "chunked": (_CHUNKED, [b"helloyou"]),
    "continue": (request("/", "POST", b"hello", "Expect: 100-continue"), [b"hello"]),
    "pipelined": (request("/", "POST", b"one") + request("/", "POST", b"two"), [b"one", b"two"]),
}


class _App:
    """Answers with what it has read; keeps it, and what went wrong instead."""

    def __init__(self) -> None:
        self.whole: list[bytes] = []
        self.broken: list[BaseException] = []

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        try:
            body = environ["wsgi.input"].read()
        except BaseException as error:
            self.broken.append(error)
            raise
        self.whole.append(body)
        start_response("200 OK", [])
        return [b"<" + body + b">"]


def _whole(data: bytes, size: int, bodies: list[bytes]) -> list[bytes]:
    """The bodies of the requests that end within the first `size` bytes."""
    if len(bodies) == 1:
        return bodies if size == len(data) else []
    return bodies[: size * 2 // len(data)]  # two of one length


@pytest.mark.parametrize("end", [RawClient.close, RawClient.reset], ids=["closed", "reset"])
@pytest.mark.parametrize("kind", _KINDS)
def test_no_part_of_a_request_is_taken_for_the_whole(kind: str, end: object, caplog: object) -> None:
    data, bodies = _KINDS[kind]
    app = _App()
    with serving(app) as server:
        for size in range(len(data) + 1):
            app.whole.clear()
            with RawClient(server.address) as client:
                client.send(data[:size])
                end(client)  # type: ignore[operator]
            # Those before this one have left the backlog when it is answered.
            with RawClient(server.address) as other:
                assert other.get().status == 200
            becomes_quiet(server)
            app.whole.remove(b"")  # the other's
            whole = _whole(data, size, bodies)
            assert app.whole == whole[: len(app.whole)], size
            if end is RawClient.close:
                assert app.whole == whole, size
    assert all(isinstance(error, ConnectionError) for error in app.broken)


@pytest.mark.parametrize("kind", _KINDS)
def test_a_half_closed_client_gets_its_answers(kind: str) -> None:
    data, bodies = _KINDS[kind]
    app = _App()
    with serving(app) as server:
        for size in range(len(data) + 1):
            app.whole.clear()
            with RawClient(server.address) as client:
                client.send(data[:size]).finish_sending()
                got = client.rest()
            whole = _whole(data, size, bodies)
            assert [body for body in whole if b"<" + body + b">" in got] == whole, size
            assert got.count(b"HTTP/1.1 200") == len(whole), size
            assert app.whole == whole, size
        becomes_quiet(server)
    assert all(isinstance(error, ConnectionError) for error in app.broken)


def test_an_answer_that_the_client_reads_a_part_of() -> None:
    body = bytes(range(256)) * 4

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield body
        yield body

    with serving(app) as server:
        with RawClient(server.address) as client:
            whole = client.send(request("/", "GET", b"", "Connection: close")).rest()
        for size in range(0, len(whole), 16):
            for end in (RawClient.close, RawClient.reset):
                with RawClient(server.address) as client:
                    client.send(request("/", "GET", b"", "Connection: close"))
                    assert len(client.take(size)) == size
                    end(client)
        becomes_quiet(server)


def test_what_a_client_closes_over_while_it_sends_is_no_request() -> None:
    # SHUT_RD on the client's side: the server's answer is refused by the client's kernel only when it comes.
    app = _App()
    with serving(app) as server:
        with socket.create_connection(server.address) as client:
            client.shutdown(socket.SHUT_RD)
            with suppress(OSError):
                client.sendall(request("/", "POST", b"hello")[:-1])
        becomes_quiet(server)
    assert app.whole == []
