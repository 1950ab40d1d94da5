"""Data that comes between a read that found nothing and the wait for more: its edge is not lost.

A finalizer that waits can let the hub run a turn at any point of a callback, and an edge comes once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.clients.ws_client import frame, handshake
from tests.support.servers.apps import Environ, Start, path
from tests.support.servers.running import in_one_hub

import greenserve
from greenserve import Server
from greenserve.net.http.connection import Connection
from greenserve.wsgi import WSGIApplication
from greenserve_hub.loop.descriptors import Descriptor
from greenserve_hub.testing import wait_all_blocked


def _echo(environ: Environ, start_response: Start) -> list[bytes]:
    if environ["REQUEST_METHOD"] == "POST":
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()] if environ["PATH_INFO"] == "/read" else [b"unread"]
    ws = greenserve.accept_websocket(environ)
    ws.on_message = ws.send
    return []


@contextmanager
def _served(app: WSGIApplication, folder: Path, **settings: Any) -> Iterator[tuple[Server, RawClient]]:
    """A server and its one client, for whom no time passes: a time-out would read what was lost."""
    with (
        in_one_hub(app, folder, **settings) as (server, clock),
        RawClient(server.address, green=True) as client,
    ):
        if not server.hub.edge:
            pytest.skip("what is there is told again and again")
        began = clock()
        yield server, client
        assert clock() == began


def _find_nothing(server: Server, client: RawClient, late: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the server's connection read while nothing is there, and let `late` come right after that."""
    (connection,) = server.connections
    assert isinstance(connection, Connection)
    descriptor = connection.stream.descriptor
    noted = Descriptor.drained

    def drained(self: Descriptor, edge: object) -> None:
        monkeypatch.undo()
        noted(self, edge)
        os.write(client.sock.fileno(), late)
        told = [fd for fd, _ in server.hub.poller.poll(0)]  # a turn of the hub's
        assert descriptor.fd in told
        self.readable = "a new edge"

    monkeypatch.setattr(Descriptor, "drained", drained)
    reader = descriptor.stop_waiting_to_read()
    assert reader is not None
    reader()
    wait_all_blocked()


POST = "POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n"


@pytest.mark.parametrize(
    ("first", "late", "settings"),
    [
        pytest.param(b"GET /a HT", b"TP/1.1\r\nHost: x\r\n\r\n", {}, id="the rest of a head"),
        pytest.param(POST.format("/read", 2).encode() + b"a", b"b", {}, id="the rest of a body"),
        pytest.param(
            b"", b"PROXY UNKNOWN\r\n" + request("/a"), {"proxy_protocol": "v1"}, id="a PROXY header"
        ),
    ],
)
def test_of_a_request(
    first: bytes, late: bytes, settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = _echo if first.startswith(b"POST") else path
    with _served(app, tmp_path, **settings) as (server, client):
        client.send(first)
        wait_all_blocked()
        _find_nothing(server, client, late, monkeypatch)
        assert client.answer().status == 200


def test_of_a_body_that_is_discarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _served(_echo, tmp_path) as (server, client):
        client.send(POST.format("/", 60_000).encode())
        wait_all_blocked()
        client.send(bytes(50_000))
        assert client.answer().body == b"unread"
        wait_all_blocked()
        _find_nothing(server, client, bytes(10_000) + POST.format("/read", 1).encode() + b"x", monkeypatch)
        assert client.answer().body == b"x"


def test_of_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _served(_echo, tmp_path) as (server, client):
        client.send(handshake())
        assert client.head().status == 101
        wait_all_blocked()
        _find_nothing(server, client, frame(1, b"hello"), monkeypatch)
        assert client.take(7) == b"\x81\x05hello"


def test_of_the_next_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _served(path, tmp_path) as (server, client):
        assert client.get("/first").status == 200
        wait_all_blocked()
        _find_nothing(server, client, request("/next"), monkeypatch)
        assert client.answer().body == b"/next"
