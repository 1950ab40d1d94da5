"""websocket: what a stop means to those that are open."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

import pytest
from tests.support.clients.raw import RawClient
from tests.support.clients.ws_client import PING, WSClient, closing, frame, handshake, message, one_websocket
from tests.support.programs.commands import command
from tests.support.servers.apps import Environ, Start
from tests.support.servers.running import in_one_hub, serving

from greenserve import (
    Event,
    GreenletExit,
    WebSocket,
    WebSocketWSGI,
    accept_websocket,
    sleep,
    spawn,
)

pytestmark = pytest.mark.over_tls_too


def echo(ws: WebSocket) -> None:
    for one in ws:
        ws.send(one)


def callback(ws: WebSocket) -> None:
    ws.on_message = ws.send


@pytest.mark.parametrize("handler", [echo, callback])
class TestDrain:
    @pytest.mark.parametrize(
        ("restarts", "told"), [(False, (1001, "the server stops")), (True, (1012, "the server restarts"))]
    )
    def test_clients_are_told_and_agree(
        self, tmp_path: Path, handler: object, restarts: bool, told: tuple[int, str]
    ) -> None:
        """RFC 6455 §7.4.1: going away; IANA's registry: 1012, service restart."""
        with (
            in_one_hub(WebSocketWSGI(handler), tmp_path) as (server, clock),  # type: ignore[arg-type]
            WSClient(server.address, green=True) as one,
            WSClient(server.address, green=True) as other,
        ):
            began = clock()
            stopping = spawn(server.stop, restarts=restarts)
            assert one.close_frame() == told
            sleep(3)
            assert not stopping.dead  # it waits for them
            one.send(closing())
            other.send(closing())
            assert one.rest() == b""
            one.close()
            other.close()
            stopping.wait()
            assert clock() - began == 3

    def test_who_does_not_agree_holds_the_stop_for_ws_close_timeout(
        self, tmp_path: Path, handler: object
    ) -> None:
        with (
            in_one_hub(WebSocketWSGI(handler), tmp_path, ws_close_timeout=7) as (server, clock),  # type: ignore[arg-type]
            WSClient(server.address, green=True),
        ):
            began = clock()
            server.stop(30)
            assert clock() - began == 7

    def test_and_for_graceful_timeout_at_most(
        self, tmp_path: Path, handler: object, caplog: pytest.LogCaptureFixture
    ) -> None:
        with (
            in_one_hub(WebSocketWSGI(handler), tmp_path, graceful_timeout=5) as (server, clock),  # type: ignore[arg-type]
            WSClient(server.address, "/chat", green=True),
        ):
            began = clock()
            server.stop()
            assert clock() - began == 5
        assert "ended after graceful_timeout" in caplog.text
        assert "/chat" in caplog.text

    def test_messages_go_on_while_connections_drain(self, tmp_path: Path, handler: object) -> None:
        with (
            in_one_hub(WebSocketWSGI(handler), tmp_path) as (server, clock),  # type: ignore[arg-type]
            WSClient(server.address, green=True) as client,
            RawClient(server.address, green=True) as kept,
        ):
            assert kept.get("/").status == 426  # no handshake: a connection that is kept
            began = clock()
            stopping = spawn(server.stop, drain_delay=10)
            sleep(5)
            client.send(frame(PING, b"there?"))
            assert client.frame().payload == b"there?"
            kept.send(handshake())
            answer = kept.answer()
            assert (answer.status, answer["retry-after"], answer.closes) == (503, "1", True)
            assert kept.rest() == b""
            kept.close()
            assert client.agree() == (1001, "the server stops")
            client.close()
            stopping.wait()
            assert clock() - began < 6

    def test_one_that_ends_already_is_told_nothing_more(self, tmp_path: Path, handler: object) -> None:
        with (
            in_one_hub(WebSocketWSGI(handler), tmp_path) as (server, _),  # type: ignore[arg-type]
            WSClient(server.address, green=True) as client,
        ):
            client.send(closing(4000))
            assert client.close_frame() == (4000, "")
            stopping = spawn(server.stop)
            assert client.rest() == b""
            client.close()
            stopping.wait()


class TestTheAppsSide:
    def test_the_handler_ends_as_after_any_close(self, tmp_path: Path) -> None:
        ended: list[object] = []

        def handler(ws: WebSocket) -> None:
            ended.append(list(ws))
            ended.append(ws.close_code)

        with one_websocket(handler, tmp_path) as (server, _, client):
            client.tell("one")
            sleep(1)
            stopping = spawn(server.stop)
            assert client.close_frame()[0] == 1001
            client.send(closing(1001))
            client.rest()
            client.close()
            stopping.wait()
        assert ended == [["one"], 1001]

    def test_the_stop_waits_for_a_handler_that_has_still_to_do(self, tmp_path: Path) -> None:
        done: list[bool] = []

        def handler(ws: WebSocket) -> None:
            list(ws)
            sleep(8)
            done.append(True)

        with one_websocket(handler, tmp_path) as (server, clock, client):
            began = clock()
            stopping = spawn(server.stop)
            client.agree()
            client.close()
            stopping.wait()
            assert (done, clock() - began) == ([True], 8)

    def test_and_for_callbacks(self, tmp_path: Path) -> None:
        done: list[object] = []

        def handler(ws: WebSocket) -> None:
            def slow(one: str | bytes) -> None:
                sleep(4)
                done.append(one)

            def last() -> None:
                sleep(4)
                done.append("closed")

            ws.on_message = slow
            ws.on_close = last

        with one_websocket(handler, tmp_path) as (server, clock, client):
            client.tell("one")
            sleep(1)
            began = clock()
            stopping = spawn(server.stop)
            client.agree()
            client.close()
            stopping.wait()
            assert (done, clock() - began) == (["one", "closed"], 7)

    @pytest.mark.parametrize("where", ["handler", "on_message", "on_close"])
    def test_what_takes_too_long_is_ended(self, tmp_path: Path, where: str) -> None:
        ended: list[str] = []

        def for_ever() -> None:
            try:
                sleep(1_000_000)
            except GreenletExit:
                ended.append(where)
                raise

        def handler(ws: WebSocket) -> None:
            if where == "handler":
                for_ever()
            ws.on_message = lambda one: for_ever() if where == "on_message" else None
            ws.on_close = lambda: for_ever() if where == "on_close" else None

        with one_websocket(handler, tmp_path) as (server, clock, client):
            client.tell("go")
            sleep(1)
            began = clock()
            stopping = spawn(server.stop, 5)
            client.agree()
            client.close()
            stopping.wait()
            assert (ended, clock() - began) == ([where], 5)
            assert not server.callbacks.running()
            assert not server.queue.pool.running()

    def test_a_stop_at_once_ends_all_and_tells_them(self, tmp_path: Path) -> None:
        closed: list[object] = []

        def handler(ws: WebSocket) -> None:
            ws.on_close = lambda: closed.append(ws.close_code)
            if ws.path == "/callback":
                ws.on_message = ws.send
            else:
                closed.append(ws.receive())

        with (
            in_one_hub(WebSocketWSGI(handler), tmp_path) as (server, clock),
            WSClient(server.address, "/callback", green=True) as one,
            WSClient(server.address, "/handler", green=True) as other,
        ):
            began = clock()
            server.stop(0)
            assert clock() == began
            assert sorted(map(str, closed)) == ["1006", "1006", "None"]
            assert server.stats.connections == 0
            assert [one.close_frame()[0], other.close_frame()[0]] == [1001, 1001]

    def test_callbacks_that_were_about_to_run_are_ended_too(self, tmp_path: Path) -> None:
        calls: list[object] = []

        def handler(ws: WebSocket) -> None:
            ws.receive()
            ws.on_message = calls.append
            ws.on_close = lambda: calls.append("closed")

        with one_websocket(handler, tmp_path) as (server, _, client):
            client.tell("first", "second")
            server.stop(0)
            assert not server.callbacks.running()
            sleep(1)
            assert not server.callbacks.running()


class TestUpgradesMeanwhile:
    def test_a_handshake_that_comes_late_is_503(self, tmp_path: Path) -> None:
        """It would be cut without a word: nobody drains what comes after the drain."""
        gate = Event()

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            gate.wait()
            accept_websocket(environ)
            return []

        with in_one_hub(app, tmp_path) as (server, _), RawClient(server.address, green=True) as client:
            client.send(handshake())
            sleep(1)
            stopping = spawn(server.stop)
            sleep(1)
            gate.send(None)
            answer = client.answer()
            assert (answer.status, answer["Retry-After"], answer.closes) == (503, "1", True)
            client.close()
            stopping.wait()


@pytest.mark.plain_only
class TestProgram:
    def test_sigterm_tells_clients_and_waits_for_them(self, tmp_path: Path) -> None:
        (tmp_path / "chat.py").write_text(
            dedent("""
            from greenserve import WebSocketWSGI

            @WebSocketWSGI
            def app(ws):
                for message in ws:
                    ws.send(message)
                print("the handler is through", flush=True)
            """)
        )
        with command("-m", "greenserve", "chat:app", "--bind", "127.0.0.1:0", folder=tmp_path) as process:
            port = int(process.until(r"http://127\.0\.0\.1:(\d+)")[1])
            with WSClient(("127.0.0.1", port)) as client:
                client.tell("hello")
                assert client.message() == "hello"
                process.signal(signal.SIGTERM)
                assert client.agree() == (1001, "the server stops")
            assert process.ended() == 0
            assert process.process.stdout is not None
            assert "the handler is through" in process.process.stdout.read()

    def test_sigterm_tells_one_after_another(self, tmp_path: Path) -> None:
        (tmp_path / "chat.py").write_text("from greenserve import WebSocketWSGI\napp = WebSocketWSGI(list)\n")
        settings = ("--drain-delay", "0", "--ws-restart-jitter", "1s")
        moments: list[float] = []
        with (
            command(
                "-m", "greenserve", "chat:app", "--bind", "127.0.0.1:0", *settings, folder=tmp_path
            ) as process,
            ThreadPoolExecutor() as threads,
        ):
            port = int(process.until(r"http://127\.0\.0\.1:(\d+)")[1])
            clients = [WSClient(("127.0.0.1", port)) for _ in range(4)]

            def wait_for_the_end(client: WSClient) -> None:
                with client:
                    assert client.agree() == (1001, "the server stops")
                    moments.append(time.monotonic())

            told = [threads.submit(wait_for_the_end, client) for client in clients]
            process.signal(signal.SIGTERM)
            for one in told:
                one.result()
            assert process.ended() == 0
        assert max(moments) - min(moments) > 0.5  # 0.75, were it not for the machine's own pauses

    def test_an_embedded_server_stops_with_open_ones(self) -> None:
        with serving(WebSocketWSGI(echo)) as server:
            clients = [WSClient(server.address) for _ in range(5)]
            for client in clients:
                client.send(message("x"))
                assert client.message() == "x"
        for client in clients:
            with client:
                assert client.close_frame()[0] == 1001
