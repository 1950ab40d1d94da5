"""upgrading: a request leaves HTTP once, its slot goes back once, and the server keeps count of who is beyond."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.clients.ws_client import PING, PONG, Frame, WSClient, closing, frame, handshake, message
from tests.support.servers.apps import Environ, Routes, Start
from tests.support.servers.running import becomes_quiet, in_one_hub, serving
from tests.support.times import eventually

from greenserve import (
    AppError,
    Event,
    PeerGone,
    Server,
    WebSocket,
    WebSocketWSGI,
    accept_websocket,
    getcurrent,
    kill,
    sleep,
    spawn,
)
from greenserve.net.http.activity import UpgradeRecord
from greenserve.net.http.request import Request

pytestmark = pytest.mark.over_tls_too


class App(Routes):
    """/ws holds a WebSocket until the client closes it, /on_message without a green thread; the rest is HTTP."""

    def __init__(self) -> None:
        self.sockets: list[WebSocket] = []
        self.gate = Event()

    def ws(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        ws = accept_websocket(environ)
        self.sockets.append(ws)
        for one in ws:
            ws.send(one)
        return []

    def on_message(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        ws = accept_websocket(environ)
        self.sockets.append(ws)
        ws.on_message = ws.send
        return []

    def stays(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        """Whatever becomes of its client."""
        self.sockets.append(accept_websocket(environ))
        self.gate.wait()
        return []


def _is_whole(server: Server) -> None:
    """Everything that was taken has been given back, and nothing twice."""
    stats = server.stats
    queue = server.queue
    assert (queue.slots.upgraded, queue.pool.free(), server.connections.beyond_http) == (
        0,
        server.config.pool,
        0,
    )
    assert (stats.active, stats.websockets, stats.connections) == (0, 0, 0)


class TestSlots:
    @pytest.mark.parametrize("path", ["/ws", "/on_message"])
    def test_ten_websockets_and_a_request_on_a_pool_of_one(self, path: str) -> None:
        with serving(App(), pool=1) as server:
            clients = [WSClient(server.address, path) for _ in range(10)]
            for client in clients:
                client.tell("hello")
                assert client.message() == "hello"
            with RawClient(server.address) as http:
                assert http.get("/http").body == b"/http"
            eventually(lambda: (server.stats.websockets, server.stats.active) == (10, 0))
            for client in clients:
                client.leave()
                client.close()
            becomes_quiet(server)
            _is_whole(server)

    def test_request_timeout_is_over(self, tmp_path: Path) -> None:
        with (
            in_one_hub(App(), tmp_path, request_timeout=5, ws_ping_interval=0) as (server, _),
            WSClient(server.address, "/ws", green=True) as client,
        ):
            sleep(1000)
            client.tell("still here")
            assert client.message() == "still here"

    def test_and_for_whatever_else_lives_on_a_connection(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Who sets no deadline of its own has none."""

        class Life:
            path = "/bare"

            def lost(self) -> None:
                pass

            def app_left(self, error: BaseException | None) -> None:
                ended.append((error, clock()))

            def drain(self) -> None:
                raise LookupError("which is no reason for the server not to stop")

            def record(self) -> UpgradeRecord:
                return UpgradeRecord({}, 0, 0, None)

        ended: list[object] = []

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            environ["greenserve.upgrade"](b"HTTP/1.1 101 Switching Protocols\r\n\r\n", lambda *_: Life())
            sleep(1000)
            return []

        with (
            in_one_hub(app, tmp_path, request_timeout=5) as (server, clock),
            RawClient(server.address, green=True) as client,
        ):
            began = clock()
            assert client.send(handshake()).answer().status == 101
            sleep(1001)
            assert ended == [(None, began + 1000)]
            server.stop(100)
            assert clock() == began + 1001
        assert "which is no reason" in caplog.text

    @pytest.mark.parametrize("seed", range(20))
    def test_however_they_end_the_pool_is_whole(self, tmp_path: Path, seed: int) -> None:
        """Returned, raised, killed, left, closed, with the handler in time or long after its client."""
        chance = random.Random(seed)
        workers: list[Any] = []
        handler = _ending_somehow(chance, workers)
        with in_one_hub(WebSocketWSGI(handler), tmp_path, pool=3, ws_close_timeout=5) as (server, _):

            def killer() -> None:
                for _ in range(10):
                    sleep(chance.random())
                    kill(chance.choice(workers or [spawn(sleep)]))

            clients = [spawn(_client_of_some_kind, server, chance) for _ in range(12)]
            for green in [*clients, spawn(killer)]:
                green.wait()
            sleep(60)
            assert len(workers) == 12
            _is_whole(server)
            with RawClient(server.address, green=True) as http:
                assert http.get("/").status == 426


def _ending_somehow(chance: random.Random, workers: list[Any]) -> Callable[[WebSocket], None]:
    def close(ws: WebSocket) -> None:
        ws.close()
        ws.receive()

    def fail(ws: WebSocket) -> None:
        raise LookupError("its own")

    def leave_to_callbacks(ws: WebSocket) -> None:
        ws.on_message = lambda one: sleep(chance.random())
        ws.on_close = lambda: sleep(chance.random())

    ways: list[Callable[[WebSocket], object]] = [
        close,
        fail,
        leave_to_callbacks,
        WebSocket.receive,
        lambda ws: sleep(chance.random() * 4),
        lambda ws: None,
    ]

    def handler(ws: WebSocket) -> None:
        workers.append(getcurrent())
        chance.choice(ways)(ws)

    return handler


def _client_of_some_kind(server: Server, chance: random.Random) -> None:
    sleep(chance.random() * 5)
    with suppress(OSError), WSClient(server.address, green=True) as client:
        for step in range(chance.randrange(4)):
            client.send(chance.choice([message("x"), closing(), frame(PING), b"\xff"]))
            sleep(chance.random() * step)


def _slow_heads(patch: pytest.MonkeyPatch) -> Event:
    """Until it is sent, answers to handshakes wait as for a client that takes none."""
    gate = Event()
    send_interim = Request.send_interim

    def slow(request: Request, data: bytes) -> None:
        gate.wait()
        send_interim(request, data)

    patch.setattr(Request, "send_interim", slow)
    return gate


class TestLimit:
    """limit_websockets."""

    @pytest.mark.parametrize("path", ["/ws", "/on_message"])
    def test_one_too_many_is_503_and_comes_in_when_one_has_left(self, path: str) -> None:
        with serving(App(), limit_websockets=2) as server:
            with WSClient(server.address, path) as one, WSClient(server.address, path):
                with RawClient(server.address) as refused:
                    answer = refused.send(handshake(path)).answer()
                    assert (answer.status, answer["Retry-After"]) == (503, "1")
                    assert b"limit_websockets" in answer.body
                one.leave()
            becomes_quiet(server)
            with WSClient(server.address, path) as next_one:
                assert server.stats.websockets == 1
                next_one.leave()

    def test_none_at_all(self) -> None:
        with serving(App(), limit_websockets=0) as server, RawClient(server.address) as refused:
            assert refused.send(handshake("/ws")).answer().status == 503
            assert server.stats.websockets == 0

    def test_requests_go_on_at_the_limit(self) -> None:
        with (
            serving(App(), limit_websockets=1) as server,
            WSClient(server.address, "/ws"),
            RawClient(server.address) as http,
        ):
            assert http.get("/http").body == b"/http"

    def test_an_app_that_stays_without_its_client_counts(self, tmp_path: Path) -> None:
        """Or a client that comes and goes would pile up green threads without end."""
        app = App()
        with in_one_hub(app, tmp_path, limit_websockets=1) as (server, _):
            with WSClient(server.address, "/stays", green=True) as client:
                client.leave()
            sleep(1)
            assert server.stats.websockets == 0
            with RawClient(server.address, green=True) as refused:
                assert refused.send(handshake("/stays")).answer().status == 503
            app.gate.send(None)
            with WSClient(server.address, "/stays", green=True):
                pass
            sleep(1)
            _is_whole(server)

    @pytest.mark.parametrize("which", ["on_message", "on_close"])
    def test_so_does_a_callback_that_stays(self, tmp_path: Path, which: str) -> None:
        gate = Event()

        def handler(ws: WebSocket) -> None:
            ws.on_message = lambda one: gate.wait() if which == "on_message" else None
            ws.on_close = lambda: gate.wait() if which == "on_close" else None

        with in_one_hub(WebSocketWSGI(handler), tmp_path, limit_websockets=1) as (server, _):
            with WSClient(server.address, green=True) as client:
                client.tell("go")
                sleep(1)
            sleep(1)
            assert (server.stats.websockets, server.callbacks.running()) == (0, 1)
            with RawClient(server.address, green=True) as refused:
                assert refused.send(handshake()).answer().status == 503
            gate.send(None)
            with WSClient(server.address, green=True):
                pass

    def test_those_that_wait_for_their_clients_to_take_the_head_count(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gate = _slow_heads(monkeypatch)
        with (
            in_one_hub(App(), tmp_path, limit_websockets=1) as (server, _),
            RawClient(server.address, green=True) as one,
            RawClient(server.address, green=True) as two,
        ):
            one.send(handshake("/ws"))
            sleep(1)
            assert two.send(handshake("/ws")).answer().status == 503
            gate.send(None)
            assert one.answer().status == 101
            assert server.stats.websockets == 1

    def test_one_that_waits_so_when_the_server_stops_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gate = _slow_heads(monkeypatch)
        with (
            in_one_hub(App(), tmp_path) as (server, clock),
            RawClient(server.address, green=True) as client,
        ):
            client.send(handshake("/ws"))
            sleep(1)
            stopping = spawn(server.stop, 50)
            sleep(1)
            gate.send(None)
            assert client.answer().status == 101
            assert client.take(4) == b"\x88\x12\x03\xe9"
            client.close()
            began = clock()
            stopping.wait()
            assert clock() - began < 50

    def test_one_whose_head_nobody_takes_is_forgotten(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def gone(request: Request, data: bytes) -> None:
            raise PeerGone("while it was sent")

        with in_one_hub(App(), tmp_path, pool=1) as (server, _):
            with monkeypatch.context() as patch, RawClient(server.address, green=True) as one:
                patch.setattr(Request, "send_interim", gone)
                one.send(handshake("/ws"))
                assert one.rest() == b""
            sleep(1)
            _is_whole(server)
            with WSClient(server.address, "/ws", green=True):
                assert server.stats.websockets == 1


class TestOnce:
    def _outcome(self, steps: Callable[[Environ, Start], object], folder: Path) -> tuple[object, bytes]:
        """What a handshake's answer begins with, and what the app saw."""
        seen: list[object] = []

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            try:
                seen.append(steps(environ, start_response))
            except AppError as error:
                seen.append(str(error))
            return []

        with in_one_hub(app, folder) as (server, _), RawClient(server.address, green=True) as client:
            client.send(handshake())
            line = client.until(b"\r\n")
            sleep(1)
        return seen[0], line

    def test_twice(self, tmp_path: Path) -> None:
        def steps(environ: Environ, start_response: Start) -> None:
            accept_websocket(environ)
            accept_websocket(environ)

        seen, line = self._outcome(steps, tmp_path)
        assert "it is upgraded already" in str(seen)
        assert b" 101 " in line

    def test_when_the_answer_has_begun(self, tmp_path: Path) -> None:
        def steps(environ: Environ, start_response: Start) -> None:
            start_response("200 OK", [("Content-Length", "1")])(b"x")
            accept_websocket(environ)

        seen, line = self._outcome(steps, tmp_path)
        assert "the response has begun" in str(seen)
        assert b" 200 " in line

    def test_behind_start_response_alone(self, tmp_path: Path) -> None:
        """Nothing was sent yet: middleware may have its head ready."""

        def steps(environ: Environ, start_response: Start) -> bool:
            start_response("200 OK", [])
            return accept_websocket(environ).closed

        assert self._outcome(steps, tmp_path) == (False, b"HTTP/1.1 101 Switching Protocols\r\n")

    def test_in_another_green_thread(self, tmp_path: Path) -> None:
        def steps(environ: Environ, start_response: Start) -> bool:
            return spawn(accept_websocket, environ).wait().closed

        assert self._outcome(steps, tmp_path) == (False, b"HTTP/1.1 101 Switching Protocols\r\n")

    def test_after_the_request_was_answered(self, tmp_path: Path) -> None:
        seen: list[str] = []

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            kept = dict(environ)

            def late() -> None:
                sleep(1)
                try:
                    accept_websocket(kept)
                except AppError as error:
                    seen.append(str(error))

            spawn(late)
            start_response("200 OK", [])
            return [b"answered"]

        with in_one_hub(app, tmp_path) as (server, _), RawClient(server.address, green=True) as client:
            assert client.send(handshake()).answer().body == b"answered"
            sleep(2)
            assert "the response has begun" in seen[0]
            assert client.get("/again").body == b"answered"  # the connection is none the worse

    def test_an_error_behind_the_head_ends_it(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            def breaks(connection: object, ahead: bytes) -> None:
                raise LookupError("a second life that did not begin")

            environ["greenserve.upgrade"](b"HTTP/1.1 101 Switching Protocols\r\n\r\n", breaks)
            return []

        with in_one_hub(app, tmp_path) as (server, _):
            with RawClient(server.address, green=True) as client:
                client.send(handshake())
                assert client.rest() == b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
            _is_whole(server)
        assert "a second life that did not begin" in caplog.text


class TestWhatComesWithIt:
    def test_frames_behind_the_head(self, tmp_path: Path) -> None:
        """A client need not wait for the answer, if it knows what that will be."""
        early = message("one") + frame(PING, b"p") + message("two")[:4]
        with (
            in_one_hub(App(), tmp_path) as (server, _),
            WSClient(server.address, "/ws", green=True, ahead=early) as client,
        ):
            assert client.message() == "one"
            assert client.frame() == Frame(PONG, b"p")
            client.send(message("two")[4:])
            assert client.message() == "two"

    def test_a_close_behind_the_head(self, tmp_path: Path) -> None:
        app = App()
        with (
            in_one_hub(app, tmp_path) as (server, _),
            WSClient(server.address, "/ws", green=True, ahead=message("one") + closing(4000)) as client,
        ):
            assert client.message() == "one"
            assert client.close_frame() == (4000, "")
            assert client.rest() == b""

    def test_byte_by_byte(self, tmp_path: Path) -> None:
        with in_one_hub(App(), tmp_path) as (server, _), RawClient(server.address, green=True) as client:
            for byte in handshake("/ws") + message("one") + closing():
                client.send(bytes([byte]))
                sleep(0)
            assert client.answer().status == 101
            assert client.rest() == b"\x81\x03one\x88\x02\x03\xe8"

    def test_a_request_behind_the_head_is_none(self, tmp_path: Path) -> None:
        """A GET is no frame: 1002, and nothing of HTTP."""
        with (
            in_one_hub(App(), tmp_path) as (server, _),
            WSClient(server.address, "/ws", green=True, ahead=request("/smuggled")) as client,
        ):
            assert client.close_frame()[0] == 1002
            assert client.rest() == b""
            assert server.stats.requests == 1

    def test_on_a_connection_that_has_served_requests(self, tmp_path: Path) -> None:
        with in_one_hub(App(), tmp_path) as (server, _), RawClient(server.address, green=True) as client:
            assert client.get("/first").body == b"/first"
            client.send(request("/second") + handshake("/ws") + message("one"))
            assert client.answer().body == b"/second"
            assert client.answer().status == 101
            assert client.take(5) == b"\x81\x03one"

    @pytest.mark.parametrize(
        "body",
        [
            b"Content-Length: 5\r\n\r\nhello",
            b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n",
            b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ],
    )
    @pytest.mark.parametrize("path", ["/ws", "/bare"])
    def test_a_body_is_refused(self, tmp_path: Path, body: bytes, path: str) -> None:
        """RFC 9110 §7.8: what of the body comes late would be read as frames."""

        class Bare(App):
            def bare(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                environ["greenserve.upgrade"](b"HTTP/1.1 101 Switching Protocols\r\n\r\n", print)
                return []

        with in_one_hub(Bare(), tmp_path) as (server, _), RawClient(server.address, green=True) as client:
            client.send(handshake(path)[:-2] + body)
            answer = client.answer()
            assert (answer.status, answer.closes) == (400, True)
            assert b"body" in answer.body
            assert server.stats.websockets == 0


class TestBehindProxies:
    @pytest.mark.plain_only
    def test_a_proxy_header(self, tmp_path: Path) -> None:
        seen: list[str] = []

        def handler(ws: WebSocket) -> None:
            seen.append(ws.peer)
            for one in ws:
                ws.send(one)

        log = tmp_path / "access.log"
        settings = {"proxy_protocol": "v1", "access_logfile": str(log)}
        with (
            in_one_hub(WebSocketWSGI(handler), tmp_path, **settings) as (server, _),
            RawClient(server.address, green=True) as client,
        ):
            client.send(b"PROXY TCP4 192.0.2.7 192.0.2.8 1234 443\r\n" + handshake() + message("one"))
            assert client.answer().status == 101
            assert client.take(5) == b"\x81\x03one"
        assert seen == ["192.0.2.7"]
        assert log.read_text().startswith("192.0.2.7 ")

    def test_a_forwarded_client(self, tmp_path: Path) -> None:
        seen: list[str] = []
        log = tmp_path / "access.log"

        def handler(ws: WebSocket) -> None:
            seen.append(ws.peer)
            ws.on_message = ws.send

        with (
            in_one_hub(
                WebSocketWSGI(handler), tmp_path, forwarded_allow_ips="*", access_logfile=str(log)
            ) as (server, _),
            WSClient(server.address, "/", "X-Forwarded-For: 192.0.2.9", green=True) as client,
        ):
            client.leave()
        assert seen == ["192.0.2.9"]
        assert log.read_text().startswith("192.0.2.9 ")
