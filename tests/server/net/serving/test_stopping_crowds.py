"""stopping: the ends of ten thousand that come back at once, what apps can ask, and what the log says of the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.clients.ws_client import WSClient, closing
from tests.support.servers.apps import Environ, Start
from tests.support.servers.running import in_one_hub

from greenserve import GreenletExit, Server, WebSocket, WebSocketWSGI, sleep, spawn
from greenserve_hub.testing import FakeClock

_EVENTS = "Accept: text/event-stream"


def _client(server: Server) -> RawClient:
    return RawClient(server.address, green=True)


def echo(ws: WebSocket) -> None:
    for one in ws:
        ws.send(one)


def _told(client: WSClient, clock: FakeClock, moments: list[tuple[float, int]], number: int) -> None:
    code, _ = client.close_frame()
    moments.append((clock(), number))
    with suppress(OSError):  # it was ended before it could agree
        client.send(closing(code))
        client.rest()
    client.close()


class TestWebSockets:
    """ws_restart_jitter: one after another, in random order."""

    def _ends(self, folder: Path, count: int = 40, **stop: float) -> list[tuple[float, int]]:
        """When each WebSocket was told, after the stop began, and which it was."""
        moments: list[tuple[float, int]] = []
        with (
            in_one_hub(WebSocketWSGI(echo), folder, graceful_timeout=30, ws_ping_interval=0) as (
                server,
                clock,
            ),
            ExitStack() as stack,
        ):
            clients = [stack.enter_context(WSClient(server.address, green=True)) for _ in range(count)]
            readers = [spawn(_told, client, clock, moments, number) for number, client in enumerate(clients)]
            sleep(1)
            began = clock()
            server.stop(restarts=True, **stop)
            for reader in readers:
                reader.wait()
        return [(moment - began, number) for moment, number in moments]

    def test_they_end_evenly_and_in_random_order(self, tmp_path: Path) -> None:
        ends = self._ends(tmp_path, jitter=4)
        gaps = [later - before for (before, _), (later, _) in pairwise(ends)]
        assert ends[-1][0] <= 4
        assert gaps == pytest.approx([0.1] * 39, abs=0.011)  # the first may come a pause too late
        numbers = [number for _, number in ends]
        assert sorted(numbers) == [*range(40)]
        assert numbers not in ([*range(40)], [*reversed(range(40))])

    def test_a_single_one_has_a_random_moment(self, tmp_path: Path) -> None:
        moments = {round(self._ends(tmp_path, 1, jitter=10)[0][0], 3) for _ in range(5)}
        assert len(moments) > 1
        assert max(moments) <= 10

    def test_half_of_graceful_timeout_is_left_to_agree(self, tmp_path: Path) -> None:
        assert self._ends(tmp_path, jitter=1000)[-1][0] <= 15

    def test_without_it_all_at_once(self, tmp_path: Path) -> None:
        assert {moment for moment, _ in self._ends(tmp_path)} == {0}

    def test_a_second_stop_hurries_them(self, tmp_path: Path) -> None:
        for second in ({"graceful": 0}, {"jitter": 0}):
            with (
                in_one_hub(WebSocketWSGI(echo), tmp_path, graceful_timeout=30) as (server, clock),
                ExitStack() as stack,
            ):
                clients = [stack.enter_context(WSClient(server.address, green=True)) for _ in range(10)]
                readers = [spawn(_told, client, clock, [], 0) for client in clients]
                sleep(0.1)
                began = clock()
                stopping = spawn(server.stop, jitter=10)
                sleep(3)
                server.stop(**second)
                stopping.wait()
                assert clock() - began == pytest.approx(3, abs=0.1)
                for reader in readers:
                    reader.wait()

    def test_those_that_leave_by_themselves_are_not_waited_for(self, tmp_path: Path) -> None:
        with in_one_hub(WebSocketWSGI(echo), tmp_path, graceful_timeout=30) as (server, clock):
            clients = [WSClient(server.address, green=True) for _ in range(20)]
            sleep(0.1)
            began = clock()
            stopping = spawn(server.stop, jitter=10)
            sleep(3)
            for client in clients:
                client.close()
            stopping.wait()
            assert clock() - began < 4

    def test_idle_connections_do_not_wait_for_them(self, tmp_path: Path) -> None:
        with (
            in_one_hub(WebSocketWSGI(echo), tmp_path) as (server, clock),
            WSClient(server.address, green=True) as client,
            _client(server) as kept,
        ):
            kept.get("/")
            began = clock()
            stopping = spawn(server.stop, jitter=10)
            assert kept.rest() == b""
            assert clock() == began
            client.agree()
            client.close()
            stopping.wait()


class _Streams:
    """An event stream without an end; `ended` are the exceptions that ended one."""

    def __init__(self, kind: str = "text/event-stream; charset=utf-8") -> None:
        self.kind = kind
        self.ended: list[BaseException] = []

    def __call__(self, environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", self.kind)])
        yield b"data: 1\n\n"
        try:
            sleep(100_000)
        except BaseException as error:
            self.ended.append(error)
            raise


class TestEventStreams:
    """An EventSource comes back by itself (HTML, "Server-sent events"), so its stream ends as a WebSocket does."""

    @pytest.mark.parametrize("version", ["1.1", "1.0"])
    def test_it_ends_whole_at_its_moment(self, version: str, tmp_path: Path) -> None:
        app = _Streams()
        with in_one_hub(app, tmp_path, graceful_timeout=30) as (server, clock), ExitStack() as stack:
            clients = [stack.enter_context(_client(server)) for _ in range(4)]
            for client in clients:
                client.send(f"GET / HTTP/{version}\r\nHost: x\r\n{_EVENTS}\r\n\r\n".encode())
            sleep(1)
            began = clock()
            stopping = spawn(server.stop, jitter=8)
            sent = [client.rest() for client in clients]
            assert all(
                one.endswith(b"data: 1\n\n" if version == "1.0" else b"\n\n\r\n0\r\n\r\n") for one in sent
            )
            assert 4 < clock() - began <= 8
            stopping.wait()
            assert clock() - began <= 8
        assert [isinstance(error, GreenletExit) for error in app.ended] == [True] * 4

    @pytest.mark.parametrize(
        ("kind", "accept"), [("text/event-stream", "Accept: */*"), ("text/plain", _EVENTS)]
    )
    def test_any_other_stream_may_finish(self, kind: str, accept: str, tmp_path: Path) -> None:
        with (
            in_one_hub(_Streams(kind), tmp_path, graceful_timeout=30) as (server, clock),
            _client(server) as client,
        ):
            client.send(request("/", "GET", b"", accept))
            sleep(1)
            began = clock()
            server.stop(jitter=8)
            assert clock() - began == 30


class TestAsking:
    """environ["greenserve.is_stopping"], for an app that can end what it does."""

    def test_an_app_sees_the_stop(self, tmp_path: Path) -> None:
        seen: list[bool] = []

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            is_stopping = environ["greenserve.is_stopping"]
            start_response("200 OK", [])
            while not is_stopping():
                yield b"more"
                seen.append(is_stopping())
                sleep(1)

        with in_one_hub(app, tmp_path) as (server, clock), _client(server) as client:
            client.send(request())
            sleep(3.5)
            began = clock()
            server.stop(drain_delay=1)
            assert clock() - began <= 1
        assert seen == [False] * 4


class TestWhatRemains:
    """At the end of graceful_timeout the log has what is ended, for how long it ran, and where it was."""

    def test_a_request_a_websocket_and_a_callback(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        def where_it_waits(_: object) -> None:
            sleep(1000)

        def callback(ws: WebSocket) -> None:
            ws.on_message = where_it_waits

        kinds = {"/handler": WebSocketWSGI(where_it_waits), "/callback": WebSocketWSGI(callback)}

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            if (kind := kinds.get(environ["PATH_INFO"])) is not None:
                return kind(environ, start_response)  # type: ignore[no-any-return]
            where_it_waits(environ)
            return []

        with (
            in_one_hub(app, tmp_path, graceful_timeout=30, ws_close_timeout=0, ws_ping_interval=0) as (
                server,
                _,
            ),
            WSClient(server.address, "/handler", green=True),
            WSClient(server.address, "/callback", green=True) as calls,
            _client(server) as client,
        ):
            calls.tell("go")
            client.send(request("/request"))
            sleep(10)
            server.stop()
        for path in ("GET /request>, 40.0 s old", "/handler>, 40.0 s old"):
            (text,) = (one for one in caplog.messages if path in one)
            assert "It was here:\n" in text
            assert ".where_it_waits\n" in text
        (text,) = (one for one in caplog.messages if "a callback of a WebSocket" in one)
        assert ".where_it_waits\n" in text

    def test_not_of_ten_thousand(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            sleep(1000)
            return []

        with in_one_hub(app, tmp_path) as (server, _), ExitStack() as stack:
            for _ in range(60):
                stack.enter_context(_client(server)).send(request())
            sleep(1)
            server.stop(0)
        assert len(caplog.records) == 51
        assert "10 more, which are not listed" in caplog.messages[-1]
