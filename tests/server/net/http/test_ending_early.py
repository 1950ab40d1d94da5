"""A stop that meets a connection between two of its states, and what is left of a connection whose client has gone."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import Environ, Start, path
from tests.support.servers.running import in_one_hub

from greenserve import Server
from greenserve.net.http.connection import Connection
from greenserve.net.http.states import State
from greenserve.net.sockets.stream import Stream
from greenserve.wsgi import Exchange
from greenserve_hub.sync.events import Event
from greenserve_hub.testing import wait_all_blocked


def _only(server: Server) -> Connection:
    (connection,) = server.connections
    assert isinstance(connection, Connection)
    return connection


def _read_now(connection: Connection) -> None:
    reader = connection.stream.descriptor.stop_waiting_to_read()
    assert reader is not None
    reader()


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        pytest.param(request("/", "POST", b"ab")[:-1], b"b", id="the rest of a body"),
        pytest.param(request("/")[:9], request("/")[9:], id="the rest of a head"),
    ],
)
def test_a_request_that_the_queue_has_not_seen_yet_is_told_so(
    first: bytes, rest: bytes, tmp_path: Path
) -> None:
    with in_one_hub(path, tmp_path) as (server, _), RawClient(server.address, green=True) as client:
        client.send(first)
        wait_all_blocked()
        client.send(rest)
        connection = _only(server)
        _read_now(connection)
        told = connection.end()
        assert told is not None
        assert client.answer().status == 503
        assert not server.queue.waiting


def test_one_that_lingers_before_http_is_left_alone(tmp_path: Path, certificate: Path) -> None:
    with (
        in_one_hub(path, tmp_path, certfile=str(certificate)) as (server, _),
        RawClient(server.address, green=True) as client,
    ):
        client.send(request("/"))  # not TLS
        wait_all_blocked()
        connection = _only(server)
        assert connection.state is State.LINGERING
        assert not connection.may_ask
        when = connection.deadline.when
        connection.drain()
        assert connection.deadline.when == when


def test_one_that_lingers_behind_a_slow_refusal_is_not_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_one_hub(path, tmp_path) as (server, _), RawClient(server.address, green=True) as client:
        client.send(b"GET / HTTP/1.1\r\nA: head without a Host\r\n")
        wait_all_blocked()
        with monkeypatch.context() as patch:
            patch.setattr(Stream, "send_now", lambda *_: 0)  # the kernel takes nothing at first
            client.send(b"\r\n")
            _read_now(connection := _only(server))
            assert connection.state is State.SENDING
        wait_all_blocked()
        assert client.answer().status == 400
        assert connection.state is State.LINGERING
        assert connection.end() is None


def _goes_before(client: RawClient, gate: Event) -> None:
    client.reset()
    wait_all_blocked()
    gate.send()


def _reads_nothing(client: RawClient, gate: Event) -> None:
    gate.send()
    wait_all_blocked()
    client.reset()


def _exchanges() -> list[Exchange]:
    return [one for one in gc.get_objects() if type(one) is Exchange]


@pytest.mark.parametrize("leave", [_goes_before, _reads_nothing])
def test_a_client_that_goes_leaves_no_circle_behind(
    leave: Callable[[RawClient, Event], None], tmp_path: Path
) -> None:
    gate = Event()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        gate.wait()
        start_response("200 OK", [])
        return [bytes(8 << 20)]

    gc.collect()
    of_other_tests = _exchanges()  # kept here, so that no new one gets the address of one of them
    gc.disable()
    try:
        with in_one_hub(app, tmp_path) as (server, _), RawClient(server.address, green=True) as client:
            client.send(request("/"))
            wait_all_blocked()
            leave(client, gate)
            wait_all_blocked()
            assert not [one for one in _exchanges() if not any(one is other for other in of_other_tests)]
    finally:
        gc.enable()
