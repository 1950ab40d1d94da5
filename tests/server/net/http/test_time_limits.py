"""environ["greenserve.set_timeout"]: the deadline of one request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.clients.ws_client import WSClient
from tests.support.servers.apps import Environ, Start
from tests.support.servers.running import in_one_hub

from greenserve import AppError, Server, WebSocket, WebSocketWSGI, sleep, spawn

pytestmark = pytest.mark.over_tls_too


class _App:
    """Gives the environ to `use`, then answers, unless that has."""

    def __init__(self, use: Callable[[Environ], object]) -> None:
        self.use = use

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        self.use(environ)
        start_response("200 OK", [])
        return [b"done"]


def _client(server: Server) -> RawClient:
    return RawClient(server.address, green=True)


class TestBeforeTheResponse:
    @pytest.mark.parametrize("seconds", [5, 5.0, 900])
    def test_it_takes_the_place_of_request_timeout(
        self, seconds: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        def where_it_waits(environ: Environ) -> None:
            environ["greenserve.set_timeout"](seconds)
            sleep(1000)

        with (
            in_one_hub(_App(where_it_waits), tmp_path, request_timeout=300) as (server, clock),
            _client(server) as client,
        ):
            began = clock()
            assert client.get("/").status == 504
            assert clock() - began == pytest.approx(seconds)
            assert server.stats.request_timeouts == 1
        (record,) = caplog.records
        assert (record.levelname, f"the {seconds:g} s of its set_timeout()" in record.getMessage()) == (
            "ERROR",
            True,
        )
        assert "where_it_waits" in caplog.text  # the stack

    @pytest.mark.parametrize("never", [None, 0, float("inf")])
    def test_none_is_no_limit(self, never: float | None, tmp_path: Path) -> None:
        def use(environ: Environ) -> None:
            environ["greenserve.set_timeout"](never)
            sleep(100_000)

        with in_one_hub(_App(use), tmp_path, request_timeout=300) as (server, _), _client(server) as client:
            assert client.get("/").body == b"done"

    def test_it_counts_from_the_call_and_the_last_call_counts(self, tmp_path: Path) -> None:
        def use(environ: Environ) -> None:
            set_timeout = environ["greenserve.set_timeout"]
            for _ in range(10):
                set_timeout(50)
                sleep(40)

        with in_one_hub(_App(use), tmp_path, request_timeout=60) as (server, _), _client(server) as client:
            assert client.get("/").body == b"done"

    def test_another_green_thread_sets_the_limit_of_the_request(self, tmp_path: Path) -> None:
        def use(environ: Environ) -> None:
            spawn(environ["greenserve.set_timeout"], 5).wait()
            sleep(1000)

        with in_one_hub(_App(use), tmp_path) as (server, clock), _client(server) as client:
            began = clock()
            assert client.get("/").status == 504
            assert clock() - began == pytest.approx(5)

    def test_it_ends_with_its_request(self, tmp_path: Path) -> None:
        def use(environ: Environ) -> None:
            if environ["PATH_INFO"] == "/first":
                environ["greenserve.set_timeout"](5)
            else:
                sleep(100)

        with in_one_hub(_App(use), tmp_path) as (server, _), _client(server) as client:
            client.send(request("/first") + request("/second"))
            assert [client.answer().status, client.answer().status] == [200, 200]

    def test_an_app_that_catches_it_is_counted_once(self, tmp_path: Path) -> None:
        def use(environ: Environ) -> None:
            environ["greenserve.set_timeout"](5)
            for _ in range(3):
                try:
                    sleep(1000)
                except BaseException:
                    continue

        with in_one_hub(_App(use), tmp_path) as (server, clock), _client(server) as client:
            began = clock()
            assert client.get("/").body == b"done"
            assert clock() - began == pytest.approx(7)
            assert server.stats.request_timeouts == 1


class TestInTheResponse:
    def _streams(
        self, before: float | None, within: float | None, pause: float
    ) -> Callable[..., Iterable[bytes]]:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            set_timeout = environ["greenserve.set_timeout"]
            if before is not None:
                set_timeout(before)
            start_response("200 OK", [])
            yield b"begun"
            if within is not None:
                set_timeout(within)
            for _ in range(10):
                sleep(pause)
                yield b"more"

        return app

    def test_a_limit_of_before_is_met_when_the_response_begins(self, tmp_path: Path) -> None:
        with in_one_hub(self._streams(5, None, 100), tmp_path) as (server, _), _client(server) as client:
            assert client.get("/").body == b"begun" + b"more" * 10

    def test_a_limit_of_later_is_for_the_rest(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        with in_one_hub(self._streams(None, 35, 10), tmp_path) as (server, clock), _client(server) as client:
            client.send(request("/"))
            client.head()
            began = clock()
            assert [client.chunk() for _ in range(4)] == [b"begun", b"more", b"more", b"more"]
            assert client.rest() == b""
            assert clock() - began == pytest.approx(35)
        assert "set_timeout" in caplog.text

    def test_which_it_may_have(self, tmp_path: Path) -> None:
        with in_one_hub(self._streams(None, 105, 10), tmp_path) as (server, _), _client(server) as client:
            assert [client.get("/").body for _ in range(2)] == [b"begun" + b"more" * 10] * 2


class TestMisuse:
    @pytest.mark.parametrize(
        ("wrong", "error"), [(-1, ValueError), (float("nan"), ValueError), ("5", TypeError)]
    )
    def test_what_is_no_time(self, wrong: object, error: type[Exception], tmp_path: Path) -> None:
        def use(environ: Environ) -> None:
            with pytest.raises(error):
                environ["greenserve.set_timeout"](wrong)

        with in_one_hub(_App(use), tmp_path) as (server, _), _client(server) as client:
            assert client.get("/").body == b"done"

    def test_after_the_end(self, tmp_path: Path) -> None:
        kept: list[Environ] = []
        with in_one_hub(_App(kept.append), tmp_path) as (server, _), _client(server) as client:
            client.get("/")
            with pytest.raises(AppError, match="after the end"):
                kept[0]["greenserve.set_timeout"](5)
            sleep(10)
            assert client.get("/").status == 200

    def test_in_another_os_thread(self, tmp_path: Path) -> None:
        raised: list[BaseException] = []

        def elsewhere(environ: Environ) -> None:
            try:
                environ["greenserve.set_timeout"](5)
            except RuntimeError as error:
                raised.append(error)

        def use(environ: Environ) -> None:
            thread = threading.Thread(target=elsewhere, args=(environ,))
            thread.start()
            thread.join()

        with in_one_hub(_App(use), tmp_path) as (server, _), _client(server) as client:
            assert client.get("/").body == b"done"
        assert "another OS thread" in str(raised[0])

    def test_a_websocket(self, tmp_path: Path) -> None:
        raised: list[BaseException] = []

        def handler(ws: WebSocket) -> None:
            try:
                ws.environ["greenserve.set_timeout"](5)
            except AppError as error:
                raised.append(error)

        with (
            in_one_hub(WebSocketWSGI(handler), tmp_path) as (server, _),
            WSClient(server.address, green=True) as client,
        ):
            assert client.agree()[0] == 1000
        assert "ws_idle_timeout" in str(raised[0])
