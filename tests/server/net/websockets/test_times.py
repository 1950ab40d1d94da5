"""keepalive: every deadline of an open WebSocket to the second, and what puts it off (RFC 6455 §5.5.2, §7.1.1)."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.ws_client import (
    PING,
    PONG,
    Frame,
    Open,
    WSClient,
    closing,
    frame,
    message,
    one_websocket,
)
from tests.support.clients.ws_open import LARGE, sockets
from tests.support.servers.running import in_one_hub

from greenserve import WebSocket, WebSocketWSGI, sleep, spawn
from greenserve.websocket import encode_shared
from greenserve_hub.testing import wait_all_blocked

pytestmark = pytest.mark.over_tls_too


def _pong(client: WSClient) -> None:
    """Answer the next frame, a ping."""
    found = client.frame()
    assert found.opcode == PING
    client.send(frame(PONG, found.payload))


def _gone_after(client: WSClient, clock: Any) -> float:
    """Seconds until the connection ends, whatever comes before."""
    began = clock()
    with suppress(OSError):  # reset
        client.rest()
    return clock() - began  # type: ignore[no-any-return]


def _fill_buffers(ws: WebSocket) -> None:
    """Send what the kernel holds for a client that reads nothing."""
    for _ in range(50):
        ws.send("x" * 1000)


def _take_a_little(client: WSClient) -> None:
    """Two or three messages of those."""
    client.ahead += client.sock.recv(2500)


def _take_slowly(client: WSClient) -> None:
    """Some minutes' worth of a message that is much longer, in pieces that don't make room for more."""
    for _ in range(20):
        sleep(25)
        client.take_ahead(40_000)


class TestPing:
    """ws_ping_interval and ws_ping_timeout, 20 s each by default."""

    def test_a_silent_client_is_pinged_again_and_again(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, clock, client):
            for _ in range(5):
                began = clock()
                _pong(client)
                assert clock() - began == 20
            assert not handler.ws.closed

    def test_one_that_talks_is_not(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path, ws_max_queue=1000) as (_, clock, client):
            for _ in range(10):
                client.tell("x")
                sleep(19)
            assert client.is_silent()
            began = clock()
            _pong(client)
            assert clock() - began == 1

    def test_what_we_send_tells_nothing_of_the_client(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, _, client):
            for _ in range(4):
                handler.ws.send("x")
                sleep(6)
            frames = [client.frame() for _ in range(5)]
            assert [one.opcode for one in frames].count(PING) == 1

    def test_no_answer_is_1011(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path) as (server, clock, client):
            receiving = spawn(handler.ws.receive)
            began = clock()
            assert client.frame() == Frame(PING)
            assert client.close_frame() == (1011, "no answer to a ping (ws_ping_timeout)")
            assert clock() - began == 40
            assert client.rest() == b""
            assert receiving.wait() is None
            assert (handler.ws.close_code, handler.ws.closed) == (1011, True)
            sleep(2)
            assert server.stats.connections == 0  # it has not closed its side

    @pytest.mark.parametrize("answer", [message("x"), frame(PONG, b"unasked"), frame(PING), message("x")[:3]])
    def test_anything_is_an_answer(self, tmp_path: Path, answer: bytes) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, clock, client):
            assert client.frame() == Frame(PING)
            client.send(answer)
            sleep(19)
            began = clock()
            while (found := client.frame()).opcode == PONG:
                pass
            assert (found, clock() - began) == (Frame(PING), 1)

    def test_a_timeout_that_is_longer_than_the_interval_holds_no_ping_up(self, tmp_path: Path) -> None:
        """A proxy may cut what is silent for a minute."""
        handler = Open()
        with one_websocket(handler, tmp_path, ws_ping_timeout=70) as (_, clock, client):
            for _ in range(3):
                _pong(client)
                answered = clock()
            assert client.frame() == Frame(PING)
            assert clock() - answered <= 20
            assert client.close_frame()[0] == 1011
            assert clock() - answered == 90

    def test_without_a_timeout_pings_go_on(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path, ws_ping_timeout=0) as (_, clock, client):
            for _ in range(3):
                _pong(client)
            answered = clock()
            assert client.frame() == Frame(PING)
            assert clock() - answered == 20
            sleep(1000)
            assert not handler.ws.closed
            assert client.is_silent()  # one that was not answered is enough

    def test_without_an_interval_there_are_none(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path, ws_ping_interval=0) as (_, _, client):
            sleep(100_000)
            assert client.is_silent()
            handler.ws.ping(b"mine")
            assert client.frame() == Frame(PING, b"mine")
            sleep(100_000)
            assert not handler.ws.closed  # its answer is the app's business

    def test_a_handler_may_have_its_own(self, tmp_path: Path) -> None:
        app = WebSocketWSGI(Open(), ping_interval=3, ping_timeout=4)
        with in_one_hub(app, tmp_path) as (server, clock), WSClient(server.address, green=True) as client:
            began = clock()
            assert client.frame() == Frame(PING)
            assert clock() - began == 3
            assert client.close_frame()[0] == 1011
            assert clock() - began == 7

    def test_an_answer_that_came_while_an_app_held_the_hub(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, clock, client):
            assert client.frame() == Frame(PING)
            client.send(frame(PONG))
            clock.advance(60)  # and nothing else had a turn
            sleep(1)
            assert not handler.ws.closed
            _pong(client)

    def test_an_answer_behind_a_full_queue(self, tmp_path: Path) -> None:
        """The app is the slow one, for an hour."""
        handler = Open()
        with one_websocket(handler, tmp_path, ws_max_queue=1) as (_, _, client):
            client.tell("one", "two", "three")
            sleep(3600)
            assert not handler.ws.closed
            assert [handler.ws.receive() for _ in range(3)] == ["one", "two", "three"]
            while client.frame().opcode == PING and not client.is_silent():
                pass
            _pong(client)
            sleep(19)
            assert not handler.ws.closed

    def test_a_client_that_leaves_while_the_close_waits_for_it_ends_it(self, tmp_path: Path) -> None:
        with sockets(tmp_path, ws_ping_interval=5, ws_ping_timeout=5, ws_close_timeout=100) as found:
            ws, client = found.open()
            ended: list[int | None] = []
            ws.on_close = lambda: ended.append(ws.close_code)
            wait_all_blocked()
            found.clock.advance(5)
            wait_all_blocked()  # a ping is out
            assert ws.send_shared(encode_shared(bytes(LARGE), None))
            found.clock.advance(5)
            wait_all_blocked()
            assert (ws.close_code, ended) == (1011, [])
            client.send(frame(1, b"too late"))
            wait_all_blocked()
            assert not ended
            client.finish_sending()
            wait_all_blocked()
            assert ended == [1011]

    def test_who_reads_slowly_has_until_it_comes_to_the_ping(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, clock, client):
            _fill_buffers(handler.ws)
            for _ in range(10):
                _take_a_little(client)
                sleep(15)
            assert not handler.ws.closed
            began = clock()
            sleep(200)  # it stands still now
            assert (handler.ws.closed, handler.ws.close_code) == (True, 1011)
            assert clock() - began == 200

    def test_nobody_is_pinged_while_frames_wait_for_it(self, tmp_path: Path) -> None:
        """send_timeout and send_min_rate are for such a client; a ping would stand behind them."""
        handler = Open()
        with one_websocket(handler, tmp_path, send_timeout=30, send_min_rate=0) as (_, _, client):
            sending = spawn(handler.ws.send, "x" * 10_000_000)
            _take_slowly(client)
            assert not handler.ws.closed
            assert not sending.dead
            assert len(client.message()) == 10_000_000
            sending.wait()
            _pong(client)


class TestIdle:
    """ws_idle_timeout, off by default: no message in either direction."""

    def test_it_is_closed_though_it_answers_pings(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path, ws_idle_timeout=50) as (_, clock, client):
            began = clock()
            _pong(client)
            _pong(client)
            assert client.agree() == (1000, "no message for too long (ws_idle_timeout)")
            assert clock() - began == 50

    @pytest.mark.parametrize("direction", ["in", "out"])
    def test_a_message_puts_it_off(self, tmp_path: Path, direction: str) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path, ws_idle_timeout=50, ws_ping_interval=0) as (_, clock, client):
            sleep(40)
            if direction == "in":
                client.tell("x")
            else:
                handler.ws.send("x")
                assert client.message() == "x"
            began = clock()
            assert client.agree()[0] == 1000
            assert clock() - began == 50

    def test_one_that_came_while_an_app_held_the_hub(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path, ws_idle_timeout=50, ws_ping_interval=0) as (_, clock, client):
            sleep(40)
            client.tell("x")
            clock.advance(60)
            sleep(1)
            assert not handler.ws.closed
            assert handler.ws.receive() == "x"

    def test_messages_that_wait_for_a_busy_app(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path, ws_idle_timeout=50, ws_ping_interval=0, ws_max_queue=1) as (
            _,
            _,
            client,
        ):
            client.tell("one", "two")
            sleep(1000)
            assert [handler.ws.receive(), handler.ws.receive()] == ["one", "two"]
            assert client.agree()[0] == 1000

    def test_a_long_message_on_its_way(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(
            handler, tmp_path, ws_idle_timeout=50, ws_ping_interval=0, send_timeout=30, send_min_rate=0
        ) as (_, _, client):
            sending = spawn(handler.ws.send, "x" * 10_000_000)
            _take_slowly(client)
            assert not handler.ws.closed
            assert len(client.message()) == 10_000_000
            sending.wait()

    def test_it_is_off_by_default(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path, ws_ping_interval=0) as (_, _, _):
            sleep(100_000)
            assert not handler.ws.closed


class TestCloseTimeout:
    """ws_close_timeout, 10 s by default: for the client to agree."""

    def test_who_does_not_agree_is_cut(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path) as (server, clock, client):
            handler.ws.close(4000)
            assert client.close_frame() == (4000, "")
            assert _gone_after(client, clock) == 10
            assert handler.ws.close_code == 1006
            assert "ws_close_timeout" in str(handler.ws.close_reason)
            assert server.stats.connections == 0

    def test_whatever_it_sends_meanwhile(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path) as (server, clock, client):
            handler.ws.close()
            began = clock()
            while server.stats.connections:
                client.send(message("x") + frame(PING))
                sleep(1)
            assert clock() - began <= 11

    def test_agreed_to_in_time_it_is_no_concern(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, clock, client):
            handler.ws.close(4000)
            sleep(9)
            began = clock()
            assert client.agree() == (4000, "")
            assert clock() == began
            assert handler.ws.close_code == 4000

    def test_who_agrees_and_stays_is_left(self, tmp_path: Path) -> None:
        """§7.1.1: the server closes first, and lingers for two seconds at most."""
        handler = Open()
        with one_websocket(handler, tmp_path) as (server, clock, client):
            client.send(closing())
            assert client.close_frame() == (1000, "")
            began = clock()
            handler.ws.close()  # nothing of the WebSocket's arms the deadline any more
            handler.gate.send(None)
            while server.stats.connections:
                sleep(0.1)
            assert clock() - began <= 2.2

    def test_who_reads_slowly_gets_what_was_sent_before(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, _, client):
            _fill_buffers(handler.ws)
            handler.ws.close(4000)
            for _ in range(10):
                _take_a_little(client)
                sleep(9)
            assert {client.message() for _ in range(50)} == {"x" * 1000}
            assert client.agree() == (4000, "")

    def test_and_what_waits_still(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(
            handler, tmp_path, ws_when_slow="drop", ws_max_unsent="20M", send_timeout=1000, send_min_rate=0
        ) as (_, _, client):
            handler.ws.send("x" * 10_000_000)
            handler.ws.close(4000)
            sleep(300)
            assert len(client.message()) == 10_000_000
            assert client.agree() == (4000, "")

    def test_who_stands_still_does_not(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path) as (server, clock, client):
            _fill_buffers(handler.ws)
            handler.ws.close(4000)
            _take_a_little(client)
            began = clock()
            while server.stats.connections:
                sleep(1)
            assert clock() - began <= 20

    def test_it_begins_when_we_close_and_not_with_the_turn(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, clock, client):
            clock.advance(60)  # an app that computes before it closes
            handler.ws.close(4000)
            sleep(9)
            assert client.agree() == (4000, "")

    def test_off_it_waits_for_ever(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path, ws_close_timeout=0) as (_, _, client):
            handler.ws.close(4000)
            sleep(100_000)
            assert client.agree() == (4000, "")

    def test_a_peer_that_broke_the_protocol_has_no_more_time(self, tmp_path: Path) -> None:
        """What waits for it may fill its socket, and it need not take it."""
        handler = Open()
        with one_websocket(
            handler, tmp_path, ws_when_slow="drop", ws_max_unsent="20M", send_timeout=1000, send_min_rate=0
        ) as (server, clock, client):
            handler.ws.send("x" * 10_000_000)
            client.send(frame(3))
            began = clock()
            while server.stats.connections:
                _take_a_little(client)
                sleep(1)
            assert clock() - began <= 11
            assert handler.ws.close_code == 1002
