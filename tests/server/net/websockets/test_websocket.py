"""websocket: how a WebSocket ends, what each side is told of it, and what it still is afterwards (RFC 6455 §7)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support import flavours
from tests.support.clients.ws_client import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    Open,
    WSClient,
    closing,
    frame,
    message,
    one_websocket,
)
from tests.support.servers.running import in_one_hub
from tests.support.times import PATIENCE

from greenserve import (
    Config,
    GreenletExit,
    PeerGone,
    Room,
    Server,
    WebSocket,
    WebSocketClosed,
    WebSocketWSGI,
    getcurrent,
    kill,
    sleep,
    spawn,
    spawn_n,
    threads,
)
from greenserve.net.websockets.frame_writer import FrameWriter
from greenserve_hub.testing import fake_clock

pytestmark = pytest.mark.over_tls_too


def _ends(ws: WebSocket) -> tuple[bool, int | None, str | None]:
    return ws.closed, ws.close_code, ws.close_reason


class TestClose:
    def test_ours_waits_for_the_clients(self, tmp_path: Path) -> None:
        """§7.1.2: a Close from each side, then the server closes the connection."""
        handler = Open()
        with one_websocket(handler, tmp_path) as (server, _, client):
            assert _ends(handler.ws) == (False, None, None)
            handler.ws.close(4000, "enough")
            assert _ends(handler.ws) == (True, 4000, "enough")
            assert client.close_frame() == (4000, "enough")
            assert client.is_silent()
            assert server.stats.websockets == 1
            client.send(closing(4001, "fine"))
            assert client.rest() == b""
            assert _ends(handler.ws) == (True, 4001, "fine")  # §7.1.5: as the other side has it
            client.close()
            sleep(0.1)
            assert server.stats.websockets == 0

    @pytest.mark.parametrize(
        ("code", "answer"), [(1000, 1000), (1001, 1001), (3000, 3000), (4999, 4999), (None, None)]
    )
    def test_the_clients_is_answered_with_its_code(
        self, tmp_path: Path, code: int | None, answer: int | None
    ) -> None:
        """§5.5.1; §7.1.5: 1005 where it gave none."""
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, clock, client):
            began = clock()
            assert client.leave(code) == (answer, "")
            assert _ends(handler.ws) == (True, 1005 if code is None else code, "")
            assert clock() == began

    def test_its_reason_is_told(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, _, client):
            client.send(closing(4000, "b\N{LATIN SMALL LETTER O WITH DIAERESIS}se"))
            assert client.close_frame() == (4000, "")
            assert handler.ws.close_reason == "b\N{LATIN SMALL LETTER O WITH DIAERESIS}se"

    def test_both_at_once(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, _, client):
            client.send(closing(4001))
            handler.ws.close(4002)
            assert client.close_frame() == (4002, "")
            assert client.rest() == b""  # and no second
            assert handler.ws.close_code == 4001

    def test_what_was_sent_before_goes_out_first(self, tmp_path: Path) -> None:
        def handler(ws: WebSocket) -> None:
            for number in range(3):
                ws.send(str(number))

        with one_websocket(handler, tmp_path) as (_, _, client):
            assert [client.message() for _ in range(3)] == ["0", "1", "2"]
            assert client.agree() == (1000, "")

    def test_repeated_it_does_nothing(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, _, client):
            handler.ws.close(4000)
            handler.ws.close(4001)
            assert client.agree() == (4000, "")
            handler.ws.close(4002)
            assert handler.ws.close_code == 4000

    @pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 1016, 2999, 5000, 70_000])
    def test_codes_that_nobody_may_send(self, tmp_path: Path, code: int) -> None:
        """§7.4."""
        handler = Open()
        with one_websocket(handler, tmp_path):
            with pytest.raises(ValueError, match=str(code)):
                handler.ws.close(code)
            assert not handler.ws.closed

    def test_a_reason_that_has_no_room(self, tmp_path: Path) -> None:
        """§5.5: a control frame has 125 bytes."""
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, _, client):
            with pytest.raises(ValueError, match="123"):
                handler.ws.close(1000, "x" * 124)
            assert not handler.ws.closed
            handler.ws.close(1000, "x" * 123)
            assert client.agree() == (1000, "x" * 123)

    @pytest.mark.parametrize("wait", [0, 1])
    def test_nothing_is_read_after_the_clients(self, tmp_path: Path, wait: float) -> None:
        """§5.5.1: no frame follows a Close; garbage behind it is thrown away, within what lingering allows."""
        handler = Open()
        with one_websocket(handler, tmp_path) as (server, _, client):
            client.send(closing() + (b"" if wait else message("late") + b"\xff" * 1000))
            sleep(wait)
            if wait:
                client.send(message("late") + b"\xff" * 1000)
            assert client.close_frame() == (1000, "")
            assert client.rest() == b""
            assert handler.ws.messages_received == 0
            assert handler.ws.close_code == 1000
            client.close()
            sleep(0.1)
            assert server.stats.connections == 0

    def test_the_end_waits_for_the_client_and_not_for_time(self) -> None:
        """Over TCP, on a clock that stands still: lingering hears of its end."""
        with fake_clock():
            server = Server(
                WebSocketWSGI(Open()), Config.from_settings(bind="127.0.0.1:0", **flavours.settings)
            )
            server.start()
            with WSClient(server.address, green=True) as client:
                client.leave()
            limit = time.monotonic() + PATIENCE
            while server.stats.connections and time.monotonic() < limit:
                sleep(0)
            assert server.stats.connections == 0
            server.stop(0)

    def test_a_client_that_ends_its_sending_has_not_closed(self, tmp_path: Path) -> None:
        """§7.1.5: 1006."""
        handler = Open()
        with one_websocket(handler, tmp_path) as (server, _, client):
            client.finish_sending()
            client.rest()
            assert _ends(handler.ws)[:2] == (True, 1006)
            assert "without closing the WebSocket" in str(handler.ws.close_reason)
            assert server.stats.connections == 0


class TestFailures:
    """§7.1.7: who breaks the protocol is told, and read no more."""

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (frame(TEXT, b"unmasked", mask=None), 1002),
            (frame(3), 1002),
            (frame(PING, fin=False), 1002),
            (frame(BINARY, rsv=2), 1002),
            (frame(TEXT, b"\xff"), 1007),
            (frame(CLOSE, b"\x03\xed"), 1002),
        ],
    )
    def test_it_is_told_why_and_nothing_else_is_read(self, tmp_path: Path, data: bytes, code: int) -> None:
        got: list[Any] = []
        sockets: list[WebSocket] = []

        def handler(ws: WebSocket) -> None:
            sockets.append(ws)
            got.extend(ws)

        with one_websocket(handler, tmp_path) as (server, _, client):
            client.send(message("before") + data + message("after"))
            assert client.close_frame()[0] == code
            assert client.rest() == b""
            (ws,) = sockets
            assert (got, ws.closed, ws.close_code) == (["before"], True, code)
            client.close()
            sleep(0.1)
            assert server.stats.connections == 0

    def test_one_that_does_not_go_is_closed(self, tmp_path: Path) -> None:
        with one_websocket(Open(), tmp_path) as (server, clock, client):
            client.send(frame(3))
            began = clock()
            assert client.close_frame()[0] == 1002
            while server.stats.connections:
                client.send(b"x" * 100)
                sleep(0.1)
            assert clock() - began <= 2.1

    def test_garbage_behind_our_close(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, clock, client):
            handler.ws.close(4000)
            began = clock()
            client.send(frame(3) + frame(TEXT, b"unmasked", mask=None))
            assert client.close_frame() == (4000, "")
            assert client.rest() == b""  # no second Close
            assert clock() == began

    def test_too_long_a_message(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path, ws_max_size=1000) as (_, _, client):
            client.send(frame(TEXT, b"x" * 600, fin=False) + frame(0, b"x" * 401))
            assert client.close_frame()[0] == 1009
            assert handler.ws.close_code == 1009

    def test_an_error_of_the_servers_own_costs_this_one_only(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def breaks(writer: FrameWriter, payload: bytes) -> None:
            raise AssertionError("ours")

        handler = Open()
        with (
            one_websocket(handler, tmp_path) as (server, _, client),
            WSClient(server.address, green=True) as other,
        ):
            monkeypatch.setattr(FrameWriter, "pong", breaks)
            other.send(frame(PING))
            assert client.is_silent()
            with pytest.raises((EOFError, OSError)):
                other.frame()
            assert server.stats.websockets == 1
        assert "please report it" in caplog.text


class TestGone:
    """What an app meets when its client is not there any more."""

    @pytest.mark.parametrize("how", ["close", "reset"])
    def test_all_its_calls_tell_so(self, tmp_path: Path, how: str) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path) as (_, _, client):
            receiving = spawn(handler.ws.receive)
            sleep(0)
            getattr(client, how)()
            assert receiving.wait() is None
            ws = handler.ws
            assert _ends(ws)[:2] == (True, 1006)
            for call in (lambda: ws.send("x"), lambda: ws.send_stream(["x"]), ws.ping):
                with pytest.raises(WebSocketClosed) as caught:
                    call()
                assert isinstance(caught.value, PeerGone)
                assert isinstance(caught.value, ConnectionError)
                assert caught.value.code == 1006
            assert (ws.receive(), ws.wait(), list(ws)) == (None, None, [])
            ws.close()
            assert ws.close_code == 1006
            assert repr(ws).endswith(" CLOSED>")

    def test_after_our_own_close_calls_tell_its_code(self, tmp_path: Path) -> None:
        handler = Open()
        with one_websocket(handler, tmp_path):
            handler.ws.close(4000, "enough")
            with pytest.raises(WebSocketClosed, match="closed with 4000: enough"):
                handler.ws.send("late")

    def test_what_is_known_of_it_stays_known(self, tmp_path: Path) -> None:
        handler = Open()
        with (
            in_one_hub(WebSocketWSGI(handler, origins="*"), tmp_path) as (server, _),
            WSClient(
                server.address, "/a%20b?c=d", "Origin: https://app.example", "X-Mine: 1", green=True
            ) as client,
        ):
            client.leave()
            ws = handler.ws
            assert (ws.path, ws.origin, ws.peer) == ("/a b", "https://app.example", "")
            assert (ws.subprotocol, ws.protocol) == (None, None)
            assert (ws.environ["QUERY_STRING"], ws.environ["HTTP_X_MINE"]) == ("c=d", "1")

    def test_of_an_app_that_has_returned_the_text_of_environ_stays(self, tmp_path: Path) -> None:
        sockets: list[WebSocket] = []

        def handler(ws: WebSocket) -> None:
            ws.environ["mine"] = "text"
            ws.environ["large"] = object()
            ws.on_message = ws.send
            sockets.append(ws)

        with one_websocket(handler, tmp_path):
            sleep(0)
            environ = sockets[0].environ
            assert (environ["mine"], environ["PATH_INFO"], environ["SERVER_PROTOCOL"]) == (
                "text",
                "/",
                "HTTP/1.1",
            )
            assert "large" not in environ
            assert "HTTP_SEC_WEBSOCKET_KEY" not in environ

    def test_it_leaves_its_rooms(self, tmp_path: Path) -> None:
        handler = Open()
        room = Room()
        with one_websocket(handler, tmp_path) as (_, _, client):
            room.join(handler.ws)
            assert len(room) == 1
            client.leave()
            client.close()
            sleep(0.1)
            assert len(room) == 0
            room.join(handler.ws)
            assert len(room) == 0

    def test_an_app_that_took_its_environ_apart(self, tmp_path: Path) -> None:
        """The access log's line is written all the same, and the connection is forgotten."""

        def handler(ws: WebSocket) -> None:
            ws.environ.clear()

        log = tmp_path / "access.log"
        with one_websocket(handler, tmp_path, access_logfile=str(log)) as (server, _, client):
            assert client.agree() == (1000, "")
            client.close()
            sleep(0.1)
            assert server.stats.connections == 0
        assert " 101 " in log.read_text()


class TestTheAppEnds:
    def _told(self, handler: Callable[[WebSocket], object], folder: Path) -> tuple[int | None, str]:
        with one_websocket(handler, folder) as (_, _, client):
            client.tell("go")
            return client.agree()

    def test_returned_it_is_1000(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        assert self._told(WebSocket.receive, tmp_path) == (1000, "")
        assert not caplog.records

    @pytest.mark.parametrize("with_callback", [False, True])
    def test_raised_it_is_1011_and_logged(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, with_callback: bool
    ) -> None:
        def handler(ws: WebSocket) -> None:
            ws.receive()
            if with_callback:
                ws.on_message = ws.send
            raise LookupError("my own")

        assert self._told(handler, tmp_path) == (1011, "error in the app")
        assert "GET /: error in the app" in caplog.text
        assert "LookupError: my own" in caplog.text

    @pytest.mark.parametrize("error", [ConnectionRefusedError("the database"), BrokenPipeError("a pipe")])
    def test_a_connection_error_of_its_own_is_logged_too(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception
    ) -> None:
        def handler(ws: WebSocket) -> None:
            ws.receive()
            raise error

        assert self._told(handler, tmp_path)[0] == 1011
        assert f"{type(error).__name__}: {error}" in caplog.text

    def test_that_the_client_has_gone_is_no_error(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        ended = []

        def handler(ws: WebSocket) -> None:
            try:
                while True:
                    ws.send("x")
                    sleep(1)
            finally:
                ended.append(ws)

        with one_websocket(handler, tmp_path) as (_, _, client):
            client.message()
            client.close()
            sleep(5)
            assert ended
        assert not caplog.records

    def test_killed_it_is_1011(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        workers: list[Any] = []
        ended = []

        def handler(ws: WebSocket) -> None:
            workers.append(getcurrent())
            try:
                ws.receive()
            except GreenletExit:
                ended.append(ws)
                raise

        with one_websocket(handler, tmp_path) as (server, _, client):
            sleep(0)
            kill(workers[0])
            assert client.agree()[0] == 1011
            assert len(ended) == 1
            assert (server.queue.slots.upgraded, server.queue.pool.free()) == (0, server.config.pool)

    def test_killed_while_it_dealt_with_its_own_error(self, tmp_path: Path) -> None:
        """The log may wait, for a full pipe say: there the second exception meets it."""
        workers: list[Any] = []

        class Waits(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                workers.append(getcurrent())
                sleep(5)

        def handler(ws: WebSocket) -> None:
            raise LookupError("my own")

        waits = Waits()
        logging.getLogger("greenserve.error").addHandler(waits)
        try:
            with one_websocket(handler, tmp_path) as (server, _, client):
                sleep(1)
                kill(workers[0])
                assert client.close_frame()[0] == 1011
                sleep(1)
                assert (server.queue.slots.upgraded, server.queue.pool.free()) == (0, server.config.pool)
                assert server.stats.connections == 0
        finally:
            logging.getLogger("greenserve.error").removeHandler(waits)

    def test_with_the_app_the_socket_of_another_green_thread_is_closed(self, tmp_path: Path) -> None:
        others: list[Any] = []

        def handler(ws: WebSocket) -> None:
            others.append(spawn(ws.receive))

        with one_websocket(handler, tmp_path) as (_, _, client):
            assert client.agree() == (1000, "")
            assert others[0].wait() is None


def test_another_os_thread_is_told_how(tmp_path: Path) -> None:
    """Its call would wait for a hub that hears nothing of it, or switch green threads of another thread."""
    handler, room = Open(), Room()
    # No pings: the clock jumps while an OS thread is waited for.
    with one_websocket(handler, tmp_path, ws_ping_interval=0) as (server, _, client):
        ws = handler.ws
        room.join(ws)
        calls: list[Callable[[], object]] = [
            lambda: ws.send("x"),
            lambda: ws.send_stream(["x"]),
            *(ws.ping, ws.close, ws.receive),
            lambda: setattr(ws, "on_message", print),
            lambda: setattr(ws, "on_close", print),
            *(lambda: room.send("x"), lambda: room.join(ws), lambda: room.leave(ws)),
        ]
        for call in calls:
            with pytest.raises(RuntimeError, match=r"server\.hub\.call_from_thread\(room\.send, message\)"):
                threads.execute(call)
        threads.execute(server.hub.call_from_thread, room.send, "to all")
        threads.execute(server.hub.call_from_thread, spawn_n, ws.send, "to you")
        assert [client.message(), client.message()] == ["to all", "to you"]
