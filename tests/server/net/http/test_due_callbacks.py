"""A reader that is due, a head in line, a deadline that passes meanwhile: none takes the place of another."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import Environ, Start
from tests.support.servers.running import in_one_hub

from greenserve import sleep
from greenserve.errors import PeerGone
from greenserve.net.http.request import Request


class _App:
    """Echoes; at /holds it holds the hub for 100 s and does something meanwhile."""

    def __init__(self) -> None:
        self.clock: Any = None
        self.meanwhile: Any = lambda: None
        self.seen: list[str] = []

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        self.seen.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] == "/holds":
            self.meanwhile()
            self.clock.advance(100)
        body = environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [body or environ["PATH_INFO"].encode()]


def test_a_first_head_that_comes_while_the_hub_is_held_keeps_its_deadline(tmp_path: Path) -> None:
    app = _App()
    with (
        in_one_hub(app, tmp_path) as (server, app.clock),
        RawClient(server.address, green=True) as late,
        RawClient(server.address, green=True) as other,
    ):
        sleep(1)
        app.meanwhile = lambda: late.sock.send(b"GET /slow HTT")
        assert other.get("/holds").status == 200
        assert late.answer().status == 408


def test_what_was_pipelined_behind_an_app_that_held_the_hub_is_served(tmp_path: Path) -> None:
    app = _App()
    with in_one_hub(app, tmp_path) as (server, app.clock), RawClient(server.address, green=True) as client:
        app.meanwhile = lambda: client.sock.send(request("/third"))
        client.send(request("/holds") + request("/second"))
        assert [client.answer().body for _ in range(3)] == [b"/holds", b"/second", b"/third"]
    assert app.seen == ["/holds", "/second", "/third"]


def test_a_body_that_came_whole_is_not_refused_for_being_slow(tmp_path: Path) -> None:
    app = _App()
    with (
        in_one_hub(app, tmp_path) as (server, app.clock),
        RawClient(server.address, green=True) as other,
        RawClient(server.address, green=True) as client,
    ):
        sleep(1)
        other.send(request("/holds"))
        client.send(request("/form", "POST", b"x" * 16_000, "X-Pad: " + "p" * 3000))
        assert other.answer().status == 200
        assert client.answer().body == b"x" * 16_000
    assert app.seen == ["/holds", "/form"]


@pytest.mark.parametrize("who", ["a stop", "a newcomer"])
def test_the_middle_of_a_body_is_no_head(who: str, tmp_path: Path) -> None:
    app = _App()
    with in_one_hub(app, tmp_path) as (server, app.clock), RawClient(server.address, green=True) as client:
        client.get("/first")
        (connection,) = server.connections
        until = connection.idle_until
        assert until is not None
        head = b"POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 30000\r\n\r\n"
        hidden = request("/hidden")
        body = (b"x" * (16384 - len(head)) + hidden).ljust(30_000, b"x")
        # As when bytes came while its app ran: no edge will tell of them, and the reader is due in the same turn as
        # something else that looks whether the connection is idle.
        connection.stream.descriptor.reader = None
        hub = server.hub
        hub.call_soon(connection.drain if who == "a stop" else lambda: connection.make_way(until))
        hub.call_soon(connection._on_readable)
        client.send(head + body)
        assert client.answer().body == body
    assert app.seen == ["/first", "/up"]


def test_a_body_that_is_taken_at_the_last_moment_is_run_once(tmp_path: Path) -> None:
    app = _App()
    with in_one_hub(app, tmp_path) as (server, app.clock), RawClient(server.address, green=True) as client:
        body = b"x" * 30_000
        client.send(b"POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 30000\r\n\r\n" + body[:100])
        sleep(1)
        (connection,) = server.connections
        connection.stream.descriptor.reader = None
        server.hub.call_soon(connection.activity.expired)
        server.hub.call_soon(connection.activity._on_readable)  # due since before the deadline
        client.send(body[100:])
        assert client.answer().body == body
        assert server.stats.requests == 1
    assert app.seen == ["/up"]


def test_nothing_follows_an_interim_answer_that_was_interrupted(tmp_path: Path) -> None:
    app = _App()
    with in_one_hub(app, tmp_path) as (server, app.clock), RawClient(server.address, green=True) as client:
        client.get("/first")
        (connection,) = server.connections
        late = Request(connection, None)  # type: ignore[arg-type]
        late._is_broken = True
        with pytest.raises(PeerGone):
            late.send_last(b"HTTP/1.1 200 OK\r\n\r\n", b"")
