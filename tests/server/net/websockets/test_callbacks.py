"""callbacks: on_message and on_close are called in order, one at a time, and cost nothing meanwhile."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path

import pytest
from greenlet import GreenletExit
from tests.support.clients.ws_client import (
    Open,
    WSClient,
    closing,
    message,
    one_websocket,
)
from tests.support.servers.running import in_one_hub

from greenserve import (
    Timeout,
    WebSocket,
    WebSocketClosed,
    WebSocketWSGI,
    sleep,
    spawn,
)
from greenserve_hub.loop.current import get_hub
from greenserve_hub.testing import FakeClock

pytestmark = pytest.mark.over_tls_too


def _ends(ws: WebSocket) -> tuple[bool, int | None, str | None]:
    return ws.closed, ws.close_code, ws.close_reason


class TestOnMessage:
    def test_it_is_called_in_order_and_one_at_a_time(self, tmp_path: Path) -> None:
        seen: list[str] = []

        def handler(ws: WebSocket) -> None:
            def got(one: str | bytes) -> None:
                seen.append(f"begin {one!r}")
                sleep(1)
                seen.append(f"end {one!r}")

            ws.on_message = got

        with one_websocket(handler, tmp_path) as (server, _, client):
            client.tell("one", "two")
            sleep(0)
            client.tell("three")
            sleep(1.5)
            assert server.callbacks.running() == 1
            sleep(5)
            assert server.callbacks.running() == 0
        assert seen == [f"{step} {one!r}" for one in ("one", "two", "three") for step in ("begin", "end")]

    def test_the_app_may_return_and_no_green_thread_is_left(self, tmp_path: Path) -> None:
        def handler(ws: WebSocket) -> None:
            ws.on_message = ws.send

        with one_websocket(handler, tmp_path) as (server, _, client):
            for number in range(3):
                client.tell(f"echo {number}")
                assert client.message() == f"echo {number}"
                assert (server.stats.active, server.stats.websockets) == (0, 1)
                assert not server.queue.pool.running()
                assert not server.callbacks.running()

    def test_what_one_call_has_left_behind_is_not_for_the_next(self, tmp_path: Path) -> None:
        clocks: list[FakeClock] = []

        def handler(ws: WebSocket) -> None:
            def got(one: str | bytes) -> None:
                Timeout(0.5)
                clocks[0].advance(1)  # so that the hub has a turn, in which it is due
                ws.send(one)

            ws.on_message = got

        with one_websocket(handler, tmp_path) as (_, clock, client):
            clocks.append(clock)
            for number in range(3):
                client.tell(f"{number}")
                assert client.message() == f"{number}"

    def test_a_message_is_held_by_its_call_alone(self, tmp_path: Path) -> None:
        held: list[int] = []

        def handler(ws: WebSocket) -> None:
            def got(one: str | bytes) -> None:
                sleep(0)  # out of the hub's callback that has brought it
                held.append(sys.getrefcount(one))

            ws.on_message = got

        with one_websocket(handler, tmp_path) as (_, _, client):
            client.tell("the first one", "the second one")
            sleep(1)
        assert held[0] == held[1]

    def test_left_behind_while_it_is_called_it_calls_nothing_more(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """In the child of a fork, say, that `on_message` has made and that raises SystemExit."""
        closed: list[str] = []

        def handler(ws: WebSocket) -> None:
            def got(one: str | bytes) -> None:
                while not ws.closed:
                    sleep(1)
                ws.leave_behind()
                raise GreenletExit

            ws.on_message = got
            ws.on_close = lambda: closed.append("called")

        with one_websocket(handler, tmp_path) as (server, _, client):
            client.tell("one")
            client.leave()
            sleep(2)
            assert not server.callbacks.running()
        assert not closed

    def test_set_late_it_gets_what_has_come(self, tmp_path: Path) -> None:
        handler = Open()
        got: list[str | bytes] = []
        with one_websocket(handler, tmp_path) as (_, _, client):
            client.tell("one", "two")
            sleep(1)
            handler.ws.on_message = got.append
            assert got == []  # setting it never switches
            client.tell("three")
            sleep(1)
            assert got == ["one", "two", "three"]

    def test_taken_away_messages_wait_for_receive(self, tmp_path: Path) -> None:
        handler = Open()
        got: list[str | bytes] = []

        def only_one(one: str | bytes) -> None:
            got.append(one)
            handler.ws.on_message = None

        with one_websocket(handler, tmp_path) as (_, _, client):
            handler.ws.on_message = only_one
            client.tell("one", "two")
            sleep(1)
            assert (got, handler.ws.receive()) == (["one"], "two")
            client.tell("three")
            assert handler.ws.receive() == "three"
            handler.ws.on_message = only_one
            client.tell("four")
            sleep(1)
            assert got == ["one", "four"]

    def test_receive_says_that_it_gets_them(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path):
            handler.ws.on_message = print
            with pytest.raises(RuntimeError, match="on_message"):
                handler.ws.receive()

    def test_a_slow_one_holds_the_client(self, tmp_path: Path) -> None:
        got: list[str | bytes] = []
        sockets: list[WebSocket] = []

        def handler(ws: WebSocket) -> None:
            def slow(one: str | bytes) -> None:
                sleep(0.01)
                got.append(one)

            ws.on_message = slow
            sockets.append(ws)

        sent = [f"{number} " + "x" * 1000 for number in range(2000)]
        with one_websocket(handler, tmp_path, ws_max_queue=4) as (_, _, client):
            sending = spawn(client.tell, *sent)
            sleep(0.05)
            assert not sending.dead
            assert sockets[0].messages_received - len(got) <= 5  # in the queue, and the one in hand
            sending.wait()
            client.leave()
            sleep(1)
        assert got == sent

    def test_each_socket_calls_in_a_context_of_its_own(self, tmp_path: Path) -> None:
        name: ContextVar[str] = ContextVar("name", default="nobody")

        def handler(ws: WebSocket) -> None:
            name.set("the request")

            def who(one: str | bytes) -> None:
                ws.send(name.get())
                name.set(str(one))

            ws.on_message = who

        with (
            one_websocket(handler, tmp_path) as (server, _, client),
            WSClient(server.address, green=True) as other,
        ):
            client.tell("anna")
            assert client.message() == "nobody"
            other.tell("berta")
            assert other.message() == "nobody"


class TestOnMessageFails:
    def _closed_by(
        self, fails: Callable[[str | bytes], object], folder: Path, caplog: pytest.LogCaptureFixture
    ) -> str:
        """What the log says; the client of the socket, and no other, is told 1011."""

        def handler(ws: WebSocket) -> None:
            ws.on_message = fails if ws.path == "/fails" else ws.send

        with (
            caplog.at_level(logging.DEBUG, "greenserve.error"),
            in_one_hub(WebSocketWSGI(handler), folder) as (server, _),
            WSClient(server.address, "/fails", green=True) as one,
            WSClient(server.address, "/echo", green=True) as other,
        ):
            get_hub().on_error = lambda kind, error, trace: caplog.records.append(
                logging.makeLogRecord({"msg": f"hub: {error!r}"})
            )
            one.tell("one", "two")
            assert one.agree() == (1011, "error in the app")
            other.tell("still here")
            assert other.message() == "still here"
        return "\n".join(record.getMessage() for record in caplog.records)

    def test_an_error_closes_it_with_1011(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        calls = []

        def fails(one: str | bytes) -> None:
            calls.append(one)
            raise LookupError("my own")

        assert "error in on_message" in self._closed_by(fails, tmp_path, caplog)
        assert calls == ["one"]

    def test_another_sockets_end_is_an_error_too(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fails(one: str | bytes) -> None:
            raise WebSocketClosed(1001, "the other one")

        assert "error in on_message" in self._closed_by(fails, tmp_path, caplog)

    def test_a_timeout_is_the_hubs_to_tell(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        def fails(one: str | bytes) -> None:
            with Timeout(1):
                sleep(2)

        assert "hub: Timeout" in self._closed_by(fails, tmp_path, caplog)

    def test_a_timeout_that_one_call_has_left_behind_reaches_no_other(self, tmp_path: Path) -> None:
        got: list[str | bytes] = []

        def handler(ws: WebSocket) -> None:
            def hear(one: str | bytes) -> None:
                if one == "one":
                    Timeout(1.5)
                sleep(1)
                got.append(one)

            ws.on_message = hear

        with one_websocket(handler, tmp_path) as (_, _, client):
            client.tell("one", "two", "three")
            sleep(5)
            assert client.leave() == (1000, "")
        assert got == ["one", "two", "three"]

    def test_its_own_sockets_end_is_none(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        def handler(ws: WebSocket) -> None:
            def send_late(one: str | bytes) -> None:
                sleep(5)
                ws.send(one)

            ws.on_message = send_late

        with (
            caplog.at_level(logging.INFO, "greenserve.error"),
            one_websocket(handler, tmp_path) as (server, _, client),
        ):
            client.tell("one")
            sleep(1)
            client.close()
            sleep(10)
            assert not server.callbacks.running()
        assert not caplog.records

    def test_it_may_close(self, tmp_path: Path) -> None:
        calls = []

        def handler(ws: WebSocket) -> None:
            def once(one: str | bytes) -> None:
                calls.append(one)
                ws.close(4000, str(one))

            ws.on_message = once

        with one_websocket(handler, tmp_path) as (_, _, client):
            client.tell("one", "two", "three")
            assert client.agree() == (4000, "one")
        assert calls == ["one"]

    def test_it_may_close_with_a_queue_of_one(self, tmp_path: Path) -> None:
        """The very message that fills the queue is the one that closes: the client's agreement is read still."""

        def handler(ws: WebSocket) -> None:
            ws.on_message = lambda one: ws.close()

        with one_websocket(handler, tmp_path, ws_max_queue=1) as (_, clock, client):
            began = clock()
            client.tell("one", "two")
            assert client.agree() == (1000, "")
            assert clock() == began


class TestOnClose:
    def _handler(self, calls: list[object], *, stays: bool) -> tuple[Open, Callable[[WebSocket], None]]:
        handler = Open()

        def with_on_close(ws: WebSocket) -> None:
            ws.on_close = lambda: calls.append(_ends(ws))
            if stays:
                handler(ws)
            else:
                handler.ws = ws
                ws.on_message = ws.send

        return handler, with_on_close

    @pytest.mark.parametrize("stays", [False, True])
    @pytest.mark.parametrize("how", ["client", "server", "gone"])
    def test_it_is_called_once_when_it_is_closed(self, tmp_path: Path, how: str, stays: bool) -> None:
        calls: list[object] = []
        handler, with_on_close = self._handler(calls, stays=stays)
        with one_websocket(with_on_close, tmp_path) as (server, _, client):
            sleep(0)
            if how == "client":
                client.leave(4000)
                client.close()
            elif how == "gone":
                client.close()
            else:
                handler.ws.close(4000)
                assert calls == []
                client.agree()
                client.close()
            sleep(1)
            assert [call[:2] for call in calls] == [(True, 1006 if how == "gone" else 4000)]  # type: ignore[index]
            assert not server.callbacks.running()

    def test_it_comes_behind_the_last_message(self, tmp_path: Path) -> None:
        seen: list[object] = []

        def handler(ws: WebSocket) -> None:
            def slow(one: str | bytes) -> None:
                sleep(1)
                seen.append(one)

            ws.on_message = slow
            ws.on_close = lambda: seen.append("closed")

        with one_websocket(handler, tmp_path) as (server, _, client):
            client.send(message("one") + message("two") + closing())
            client.close_frame()
            client.close()
            sleep(0.5)
            assert (seen, server.stats.connections) == ([], 0)
            sleep(5)
            assert seen == ["one", "two", "closed"]

    def test_set_too_late_it_is_called_at_once(self, tmp_path: Path) -> None:
        calls: list[str] = []
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, _, client):
            client.close()
            sleep(1)
            handler.ws.on_close = lambda: calls.append("closed")
            assert handler.ws.on_close is not None
            sleep(0)
            assert calls == ["closed"]

    def test_it_may_wait_and_what_it_raises_is_logged(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        def handler(ws: WebSocket) -> None:
            def fails() -> None:
                sleep(1)
                raise LookupError("my own")

            ws.on_close = fails
            ws.on_message = ws.send

        with one_websocket(handler, tmp_path) as (server, _, client):
            client.leave()
            client.close()
            sleep(5)
            assert not server.callbacks.running()
        assert "error in on_close" in caplog.text


@pytest.mark.parametrize("name", ["on_message", "on_close"])
def test_what_is_called_must_be_callable(tmp_path: Path, name: str) -> None:
    handler = Open()
    with one_websocket(handler, tmp_path), pytest.raises(TypeError, match="and not 5"):
        setattr(handler.ws, name, 5)
