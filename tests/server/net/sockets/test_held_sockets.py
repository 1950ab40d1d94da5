"""Another process holds a connection's descriptor when the server closes it: its client hears of the end at once.

A copy of the number is what the child of a fork has.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.clients.ws_client import CLOSE, WSClient, frame
from tests.support.servers.apps import Environ, Routes, Start
from tests.support.servers.certificates import client_context
from tests.support.servers.running import serving
from tests.support.times import MS, eventually

from greenserve import Server, accept_websocket
from greenserve.net.hijacked import hijacked_socket

_PLAIN = [("Content-Type", "text/plain")]


class _App(Routes):
    """Answers that end in each way."""

    def __init__(self, held: ExitStack) -> None:
        self._held = held
        self.server: Server

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        hold(self.server, self._held)
        return super().__call__(environ, start_response)

    def closes(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [*_PLAIN, ("Connection", "close")])
        return [b"whole"]

    def pieces(self, environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", _PLAIN)
        yield b"who"
        yield b"le"

    def keeps(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", _PLAIN)
        return [b"whole"]

    def socket(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        ws = accept_websocket(environ)
        assert ws.wait() == "bye"
        return []

    def taken(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        sock = environ["werkzeug.socket"]
        sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nwhole"
        )
        sock.close()
        return []

    def cut(self, environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", _PLAIN)
        yield b"part"
        raise ValueError("on the way")


def hold(server: Server, held: ExitStack) -> None:
    """Have a copy of every connection's number until the end."""
    for connection in server.connections:
        held.callback(os.close, os.dup(connection.stream.sock.fileno()))


@pytest.fixture
def held() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def serve(stack: ExitStack, held: ExitStack, **settings: Any) -> Server:
    app = _App(held)
    app.server = stack.enter_context(serving(app, **settings))
    return app.server


@pytest.mark.over_tls_too
class TestAnswers:
    @pytest.mark.parametrize("path", ["/closes", "/pieces"])
    @pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
    def test_an_answer_that_ends_the_connection(self, path: str, version: str, held: ExitStack) -> None:
        with ExitStack() as stack:
            server = serve(stack, held)
            client = stack.enter_context(RawClient(server.address))
            client.send(f"GET {path} {version}\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            assert client.answer().body == b"whole"
            assert client.rest() == b""

    def test_what_is_refused(self, held: ExitStack) -> None:
        with ExitStack() as stack:
            server = serve(stack, held)
            client = stack.enter_context(RawClient(server.address))
            client.get("/keeps")  # so that there is something to hold
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n")
            assert client.answer().status == 400
            assert client.rest() == b""

    def test_an_idle_connection_whose_time_is_over(self, held: ExitStack) -> None:
        with ExitStack() as stack:
            server = serve(stack, held, keep_alive=20 * MS)
            client = stack.enter_context(RawClient(server.address))
            assert client.get("/keeps").body == b"whole"
            assert client.rest() == b""

    def test_a_stop(self, held: ExitStack) -> None:
        with ExitStack() as stack:
            server = serve(stack, held)
            client = stack.enter_context(RawClient(server.address))
            assert client.get("/keeps").body == b"whole"
            server.stop()
            assert client.rest() == b""

    def test_a_websocket(self, held: ExitStack) -> None:
        with ExitStack() as stack:
            server = serve(stack, held)
            client = stack.enter_context(WSClient(server.address, "/socket"))
            client.send(frame(1, b"bye"))
            assert client.frame().opcode == CLOSE
            client.send(frame(CLOSE, b"\x03\xe8"))
            assert client.rest() == b""

    def test_a_socket_that_a_library_has_taken(
        self, held: ExitStack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hijacked_socket, "is_monkey_patched", lambda module: True)
        with ExitStack() as stack:
            server = serve(stack, held)
            client = stack.enter_context(RawClient(server.address))
            client.send(
                b"GET /taken HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
            )
            assert client.answer().status == 101
            assert client.rest() == b"whole"

    def test_a_part_is_never_told_as_the_whole(self, held: ExitStack) -> None:
        # The answer has no length: an end would look like its end. The reset comes when the other has closed too.
        with ExitStack() as stack:
            server = serve(stack, held)
            client = stack.enter_context(RawClient(server.address))
            client.send(b"GET /cut HTTP/1.0\r\nHost: x\r\n\r\n")
            assert client.until(b"part")
            eventually(lambda: not server.connections.all)
            client.sock.settimeout(20 * MS)
            with pytest.raises(TimeoutError):
                client.more()
            held.close()
            client.sock.settimeout(None)
            with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
                client.more()


def test_who_never_begins(held: ExitStack) -> None:
    with ExitStack() as stack:
        server = serve(stack, held, head_timeout=500 * MS)
        client = stack.enter_context(RawClient(server.address))
        eventually(lambda: server.stats.connections == 1)
        hold(server, held)
        assert client.rest() == b""


def test_a_handshake_that_never_ends(held: ExitStack, certificate: Any) -> None:
    with ExitStack() as stack:
        server = serve(stack, held, certfile=str(certificate), tls_handshake_timeout=500 * MS)
        client = stack.enter_context(socket.create_connection(server.address))
        eventually(lambda: server.stats.connections == 1)
        hold(server, held)
        assert client.recv(1) == b""


def test_the_closing_alert_comes_before_the_end(held: ExitStack, certificate: Any) -> None:
    with ExitStack() as stack:
        server = serve(stack, held, certfile=str(certificate))
        client = stack.enter_context(RawClient(server.address, tls=client_context()))
        client.send(request("/closes"))
        client.answer()
        assert isinstance(client.sock, ssl.SSLSocket)
        assert client.sock.recv(1) == b""  # and no SSLEOFError: suppress_ragged_eofs is False
