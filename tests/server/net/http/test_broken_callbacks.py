"""An error of the server's own, in each of the callbacks that the hub has of a connection: it costs that one.

Each test breaks one step, for one connection or at one moment only; another connection is open beside it, and one comes
after it.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.lives import LARGE, App, Client, ProxiedClient, TLSClient, open_connection
from tests.support.clients.raw import request
from tests.support.servers.certificates import client_context
from tests.support.servers.running import in_one_hub

from greenserve import Server
from greenserve.http1 import LengthFraming
from greenserve.net.http.connection import Connection
from greenserve.net.http.states import State
from greenserve.net.opening.opening import Opening
from greenserve.net.sockets.stream import Stream
from greenserve.net.tls.streams import TLSStream
from greenserve.proxies import ProxyReader
from greenserve.wsgi.environ import ordinary
from greenserve_hub.testing import FakeClock, wait_all_blocked


class _Scene:
    """A server with one connection that is to break, and one beside it."""

    def __init__(self, server: Server, clock: FakeClock, app: App, kind: type[Client]) -> None:
        self.server = server
        self.clock = clock
        self.app = app
        self.kind = kind
        self._ends: list[socket.socket] = []

    def client(self) -> tuple[Client, Connection]:
        mine, other = socket.socketpair()
        other.setblocking(False)
        self._ends.append(mine)
        connection = open_connection(self.server, other)
        client = self.kind(mine, self.server, self.clock, self.app)
        wait_all_blocked()
        return client, connection

    def close(self) -> None:
        for end in self._ends:
            end.close()


@contextmanager
def _scene(folder: Path, kind: type[Client] = Client, **settings: Any) -> Iterator[_Scene]:
    app = App(folder)
    with in_one_hub(app, folder, pool=2, **settings) as (server, clock):
        scene = _Scene(server, clock, app, kind)
        beside, _ = scene.client()
        beside.begin()
        beside.send(request("/before"))
        yield scene
        after, _ = scene.client()
        after.begin()
        for client, path in ((beside, b"/behind"), (after, b"/after")):
            client.send(request(path.decode()))
            client.take()
            assert client.taken.endswith(path)
        scene.close()
        wait_all_blocked()
        assert server.stats.connections == 0


def _failing(fn: Callable[..., Any], when: Callable[..., bool]) -> Callable[..., Any]:
    def broken(*args: Any, **kwargs: Any) -> Any:
        if when(*args):
            raise RuntimeError("ours")
        return fn(*args, **kwargs)

    return broken


def _is_logged(caplog: pytest.LogCaptureFixture) -> bool:
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert record.exc_info[0] is RuntimeError
    return "an error in the server" in record.getMessage()


@pytest.mark.parametrize("ahead", [b"", request("/a")], ids=["first", "pipelined"])
def test_reading_a_head(
    ahead: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import greenserve.net.http.connection as module

    monkeypatch.setattr(ordinary, "core", None)  # which would take the second head
    breaks = _failing(module.read_whole_head, lambda data, limits: data.startswith(b"GET /breaks"))
    with _scene(tmp_path) as scene:
        client, connection = scene.client()
        monkeypatch.setattr(module, "read_whole_head", breaks)
        client.send(ahead + request("/breaks"))
        assert connection.state is State.CLOSED
    assert _is_logged(caplog)


@pytest.mark.parametrize("step", ["make_environ", "Exchange"])
def test_running_a_request(
    step: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import greenserve.net.http.request as module

    breaks = _failing(
        getattr(module, step), lambda *args: any(getattr(arg, "target", "") == "/breaks" for arg in args)
    )
    with _scene(tmp_path) as scene:
        client, connection = scene.client()
        monkeypatch.setattr(module, step, breaks)
        client.send(request("/breaks"))
        assert connection.state is State.CLOSED
        assert scene.server.queue.pool.free() == 2
    assert _is_logged(caplog)


@pytest.mark.parametrize("when", [1, 2], ids=["at once", "when there is room again"])
def test_sending_an_answer(
    when: int, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _scene(tmp_path) as scene:
        client, connection = scene.client()
        mine, calls = connection.stream, []

        def broken(self: Stream, *args: Any) -> int:
            if self is mine:
                calls.append(args)
                if len(calls) == when:
                    raise RuntimeError("ours")
            return send(self, *args)

        send = Stream.send_now
        monkeypatch.setattr(Stream, "send_now", broken)
        client.send(request("/large"))
        client.take()
        assert connection.state is State.CLOSED
        assert len(client.taken) < len(LARGE)
    assert _is_logged(caplog)


def test_a_deadline(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _scene(tmp_path, head_timeout=3) as scene:
        client, connection = scene.client()
        breaks = _failing(Connection._end_idle, lambda one: one is connection)
        monkeypatch.setattr(Connection, "_end_idle", breaks)
        client.send(b"GET / HT")
        client.pass_time(4)
        assert connection.state is State.CLOSED
    assert _is_logged(caplog)


def test_discarding_a_body(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks = _failing(LengthFraming.feed, lambda framing, data: data == b"breaks")
    monkeypatch.setattr(LengthFraming, "feed", breaks)
    with _scene(tmp_path) as scene:
        client, connection = scene.client()
        client.send(request("/a", "POST", b"1" * 20_000 + b"breaks")[:-6])
        client.take()
        assert connection.state is State.DISCARDING
        client.send(b"breaks")
        client.pass_time(3)  # it lingers, as after any answer whose body was not read
        assert connection.state is State.CLOSED
    assert _is_logged(caplog)


def test_a_drain(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    app = App(tmp_path)
    with in_one_hub(app, tmp_path, pool=2) as (server, clock):
        scene = _Scene(server, clock, app, Client)
        clients = [scene.client() for _ in range(5)]
        for client, _ in clients:
            client.send(request("/a"))
        broken = clients[2][1]
        monkeypatch.setattr(
            Connection, "_take_late", _failing(Connection._take_late, lambda one: one is broken)
        )
        server._stop.begin(5, 0, False)
        wait_all_blocked()
        assert all(connection.state is State.CLOSED for _, connection in clients)
        assert server.wait(1)
        scene.close()
    assert _is_logged(caplog)


@pytest.mark.parametrize("step", ["_take_hello", "shake"])
def test_a_handshake(
    step: str,
    tmp_path: Path,
    certificate: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TLSClient, "context", client_context(), raising=False)
    with _scene(tmp_path, TLSClient, certfile=str(certificate)) as scene:
        client, connection = scene.client()
        owner, name = (TLSStream, "shake_hands") if step == "shake" else (Opening, step)
        breaks = _failing(
            getattr(owner, name), lambda one, *_: one is connection.activity or one is connection.stream
        )
        monkeypatch.setattr(owner, name, breaks)
        client.begin()
        assert connection.state is State.CLOSED
    assert _is_logged(caplog)


def test_a_proxy_header(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"proxy_protocol": "v1", "proxy_allow_from": ["192.0.2.1"]}
    with _scene(tmp_path, ProxiedClient, **settings) as scene:
        client, connection = scene.client()
        monkeypatch.setattr(ProxyReader, "feed", _failing(ProxyReader.feed, lambda _, data: data == b"P"))
        client.send(b"P")
        assert connection.state is State.CLOSED
    assert _is_logged(caplog)


def test_closing_the_socket(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _scene(tmp_path) as scene:
        client, connection = scene.client()
        mine = connection.stream

        def broken(self: Stream) -> None:
            close(self)
            if self is mine:
                raise RuntimeError("ours")

        close = Stream.close
        monkeypatch.setattr(Stream, "close", broken)
        client.sock.close()
        wait_all_blocked()
        assert connection.state is State.CLOSED
        assert connection not in scene.server.connections
    assert _is_logged(caplog)
