"""The memory that one connection can take, whatever its client sends or does not read.

Each limit is measured: by what Python has allocated for twenty such clients, or by how soon the kernel's buffers are
full since nobody reads. The formula is in server/README.md.
"""

from __future__ import annotations

import gc
import socket
import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.raw import request
from tests.support.clients.ws_client import handshake
from tests.support.servers.apps import Environ, Routes, Start, echo, path
from tests.support.servers.running import in_one_hub

from greenserve import Event, WebSocket, WebSocketWSGI, sleep
from greenserve.net.sockets.stream import HEAD_SIZE, READ_SIZE

_CLIENTS = 20
_OWN = 12 * 1024  # bytes: the connection, a pace, a framing, an environ of a small request
_GREEN = 24 * 1024  # what a green thread and its frames hold of Python's memory
_WEBSOCKET = 1200  # bytes that a WebSocket takes beside its connection
_CHUNKED = b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
_KERNEL = 1 << 20  # more than the two unix sockets of a connection hold


class _App(Routes):
    """Waits for ever, with and without reading."""

    def __init__(self) -> None:
        self.made = 0

    def body(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        while environ["wsgi.input"].read(1000):
            pass
        return path(environ, start_response)

    def waits(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        Event().wait()
        return path(environ, start_response)

    def pieces(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        for _ in range(10_000):
            self.made += 1
            yield bytes(10_000)


@contextmanager
def _twenty(server: Any) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(_CLIENTS)]
        for client in clients:
            client.connect(server.address)
            client.setblocking(False)
        sleep(0.1)
        yield clients


def _held(clients: list[socket.socket], *pieces: bytes) -> float:
    """Bytes that Python holds for each client more than before, when each has sent these."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for piece in pieces:
            for client in clients:
                with suppress(BlockingIOError):
                    client.send(piece)
            sleep(0.01)
        gc.collect()
        return (tracemalloc.get_traced_memory()[0] - before) / len(clients)
    finally:
        tracemalloc.stop()


def _send_until_full(client: socket.socket, data: bytes) -> int:
    """The bytes that a client can send to a server that reads no more of them."""
    sent = 0
    for _ in range(1000):
        with suppress(BlockingIOError):
            while sent < 100 * _KERNEL:
                sent += client.send(data)
        sleep(0.001)
    return sent


_LINE = b"A: " + b"x" * 1000 + b"\r\n"


@pytest.mark.parametrize(
    ("what", "limit", "pieces"),
    [
        (
            "a head without an end",
            64 * 1024 + HEAD_SIZE,
            [b"GET / HTTP/1.1\r\nHost: x\r\n", *[_LINE * 10] * 6],
        ),
        ("a head of many fields", HEAD_SIZE, [b"GET / HTTP/1.1\r\nHost: x\r\n", *[b"A: b\r\n" * 9] * 11]),
        ("a request line", 2 * 8190, [b"GET /" + b"x" * 8000]),
        ("empty lines", 0, [b"\r\n"] * 4),
        ("a body's beginning", 2 * HEAD_SIZE, [request("/body", "POST", bytes(16_000))[:-1]]),
        ("a chunk's extensions", _GREEN + 1024, [_CHUNKED + b"1;", *[b"x" * 500] * 2]),
        ("chunks with extensions", _GREEN + 1024, [_CHUNKED, *[b"1;aaaaaaaaaaaaaaa\r\nx\r\n" * 40] * 20]),
        ("tiny chunks", _GREEN + 1024, [_CHUNKED, *[b"1\r\nx\r\n" * 1000] * 5]),
        ("trailers", _GREEN + 3 * 8190, [_CHUNKED + b"0\r\n", *[_LINE] * 7]),
        ("a pipelined request of many", _GREEN + HEAD_SIZE, [request("/waits") * 400]),
        (
            "what follows a body",
            _GREEN + READ_SIZE,
            [request("/body", "POST", b"x") + request("/waits") * 5000],
        ),
    ],
)
def test_what_a_client_sends(what: str, limit: int, pieces: list[bytes], tmp_path: Path) -> None:
    with in_one_hub(_App(), tmp_path, head_timeout=0) as (server, _):
        with _twenty(server) as warm:
            _held(warm, *pieces)  # caches fill, workers are made
        sleep(1)
        with _twenty(server) as clients:
            held = _held(clients, *pieces)
            assert server.stats.refused == 0  # this is what they may
            assert held < limit + _OWN


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("requests behind one that runs", request("/waits") * 100),
        ("an upload that the app does not read", b"x" * 10_000),
    ],
)
def test_what_is_not_read_stays_with_the_client(what: str, data: bytes, tmp_path: Path) -> None:
    first = request("/waits") if b"GET" in data else request("/waits", "POST", bytes(16_000_000))[:20_000]
    with in_one_hub(_App(), tmp_path) as (server, _), _twenty(server) as clients:
        for client in clients:
            client.send(first)
        sleep(0.1)
        assert server.stats.active == _CLIENTS
        assert all(_send_until_full(client, data) < _KERNEL for client in clients[:3])


def test_an_answer_that_is_not_read_is_not_made(tmp_path: Path) -> None:
    app = _App()
    with in_one_hub(app, tmp_path) as (server, _), _twenty(server) as clients:
        for client in clients:
            client.send(request("/pieces"))
        sleep(5)
        assert app.made * 10_000 < _CLIENTS * _KERNEL
        made = app.made
        sleep(4)
        assert app.made == made


def test_answers_that_are_not_read_keep_later_requests_out(tmp_path: Path) -> None:
    # Each answer is whole before the next request is looked at, and that waits until the kernel has taken it.
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [bytes(50_000)]

    with in_one_hub(app, tmp_path) as (server, _), _twenty(server) as clients:
        client = clients[0]
        assert _send_until_full(client, request()) < _KERNEL
        assert server.stats.requests * 50_000 < _KERNEL


def test_an_idle_connection_holds_next_to_nothing(tmp_path: Path) -> None:
    with in_one_hub(echo, tmp_path) as (server, _), _twenty(server) as clients:

        def exchange() -> None:
            for client in clients:
                client.send(request("/", "POST", bytes(8000)))
            sleep(0.1)
            for client in clients:
                assert len(client.recv(65536)) > 8000

        exchange()
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        exchange()
        gc.collect()
        held = (tracemalloc.get_traced_memory()[0] - before) / _CLIENTS
        tracemalloc.stop()
        assert held < 1000


def test_an_idle_websocket_holds_little(tmp_path: Path) -> None:
    """Beside its connection, when its app has returned."""

    def app(ws: WebSocket) -> None:
        ws.on_message = ws.send

    with in_one_hub(WebSocketWSGI(app), tmp_path) as (server, _):
        with _twenty(server) as warm:
            _held(warm, handshake())
        sleep(1)
        with _twenty(server) as clients:
            held = _held(clients, handshake())
            assert server.stats.websockets == _CLIENTS
            assert held < _WEBSOCKET


def test_a_rejected_client_is_forgotten(tmp_path: Path) -> None:
    with in_one_hub(path, tmp_path, limit_connections=1) as (server, _), _twenty(server):
        sleep(5)
        rejected = server.admission.rejected
        assert (rejected.count, len(rejected._lingering)) == (_CLIENTS - 1, 0)
