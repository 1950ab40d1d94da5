"""requests: which request an OS thread is busy with."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from tests.support.clients.raw import RawClient, ask, request
from tests.support.clients.ws_client import WSClient
from tests.support.servers.apps import Environ, Start
from tests.support.servers.running import serving

from greenserve import WebSocket, WebSocketWSGI
from greenserve.process.requests import holder_of_request


def _holder() -> str:
    return holder_of_request(sys._getframe())


def test_a_request_with_its_client() -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [_holder().encode()]

    with serving(app) as server, RawClient(server.address) as client:
        port = client.sock.getsockname()[1]
        told = client.send(request("/a?b", "POST")).answer().body.decode()
        assert told.startswith(f"POST /a?b of 127.0.0.1:{port}, PoolWorker 0x")


def test_a_request_with_its_id() -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [_holder().encode()]

    with serving(app, request_id_header="X-Request-ID") as server:
        answer = ask(server.address, request())
        assert answer.body.decode().startswith(f"GET / [{answer['X-Request-ID']}] of 127.0.0.1:")


def test_one_whose_answer_is_being_made() -> None:
    def app(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield _holder().encode()

    with serving(app) as server:
        assert ask(server.address, request("/pieces")).body.startswith(b"GET /pieces of 127.0.0.1:")


def test_a_websocket() -> None:
    @WebSocketWSGI
    def app(ws: WebSocket) -> None:
        ws.on_message = lambda message: ws.send(_holder())

    with serving(app) as server, WSClient(server.address, "/chat") as client:
        client.tell("who?")
        told = client.message()
        assert isinstance(told, str)
        assert told.startswith("<WebSocket /chat of 127.0.0.1:")
        assert ", PoolWorker 0x" in told


def test_neither() -> None:
    assert "green thread" in _holder()
