"""server: drain, and the end of what takes too long."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.apps import Environ, Start, path
from tests.support.raw import RawClient, request
from tests.support.running import Gate, in_one_hub, own_hub, serving
from tests.support.times import PATIENCE, eventually

from greenserve import Config, ConfigError, GreenletExit, Server, sleep, spawn

pytestmark = pytest.mark.over_tls_too


def _client(server: Server) -> RawClient:
    return RawClient(server.address, green=True)


@contextmanager
def _clients(server: Server) -> Iterator[tuple[RawClient, RawClient]]:
    with _client(server) as one, _client(server) as other:
        yield one, other


class TestStop:
    """Drain: nobody new, idle ones closed, `Connection: close` on what still answers, and then the end."""

    def test_what_runs_may_finish_and_says_close(self, tmp_path: Path) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            sleep(20)
            return path(environ, start_response)

        with (
            in_one_hub(app, tmp_path, graceful_timeout=30) as (server, clock),
            _clients(server) as (idle, running),
        ):
            running.send(request("/1") + request("/2"))
            sleep(1)
            began = clock()
            stopping = spawn(server.stop)
            assert idle.rest() == b""
            assert clock() - began <= 0.5  # it had not asked anything yet
            with pytest.raises(FileNotFoundError):
                _client(server)
            answer = running.answer()
            assert (answer.body, answer.closes, running.rest()) == (b"/1", True, b"")
            running.close()
            stopping.wait()
            assert clock() - began == 19
            assert server.wait() is True

    def test_a_head_that_is_under_way_may_finish_too(self, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path) as (server, _), _client(server) as client:
            client.send(b"GET /late HTT")
            sleep(1)
            stopping = spawn(server.stop)
            sleep(1)
            answer = client.send(b"P/1.1\r\nHost: x\r\n\r\n").answer()
            assert (answer.body, answer.closes) == (b"/late", True)
            stopping.wait()

    def test_and_one_that_waits_for_its_turn(self, tmp_path: Path) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            sleep(5)
            return path(environ, start_response)

        with in_one_hub(app, tmp_path, pool=1) as (server, _), _clients(server) as (one, other):
            one.send(request("/1"))
            other.send(request("/2"))
            sleep(1)
            stopping = spawn(server.stop)
            assert [one.answer().body, other.answer().body] == [b"/1", b"/2"]
            stopping.wait()

    def test_what_takes_too_long_is_ended_and_said(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        ended: list[str] = []

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            try:
                sleep(1000)
            except GreenletExit:
                ended.append(environ["PATH_INFO"])
                raise
            return []

        with in_one_hub(app, tmp_path, graceful_timeout=30) as (server, clock), _client(server) as client:
            client.send(request("/long"))
            sleep(1)
            began = clock()
            server.stop()
            assert clock() - began == 30
            assert client.answer().status == 503
        assert ended == ["/long"]
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert "GET /long" in record.getMessage()

    def test_a_second_stop_hurries_the_first(self, tmp_path: Path) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            sleep(1000)
            return []

        with in_one_hub(app, tmp_path) as (server, clock), _client(server) as client:
            client.send(request())
            sleep(1)
            began = clock()
            first = spawn(server.stop)
            sleep(2)
            server.stop(0)
            first.wait()
            assert clock() - began == 2
            server.stop()

    @pytest.mark.parametrize("swallows", [GreenletExit, BaseException])
    def test_an_app_that_will_not_end(self, swallows: type[BaseException], tmp_path: Path) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            for _ in range(5):
                try:
                    sleep(1000)
                except swallows:
                    sleep(0)
            return []

        with in_one_hub(app, tmp_path) as (server, clock), _client(server) as client:
            client.send(request())
            sleep(1)
            began = clock()
            server.stop(0)
            assert clock() - began < 1
            assert client.rest() == b""

    def test_an_upload_that_nobody_reads_does_not_hold_it_up(self, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path, graceful_timeout=30) as (server, clock), _client(server) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n").answer()
            began = clock()
            server.stop()
            assert clock() - began <= 30
            assert client.rest() == b""

    @pytest.mark.parametrize("ahead", [b"", request("/1")])
    def test_a_request_that_comes_when_the_end_has_begun(self, ahead: bytes, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path, pool=1) as (server, _), _clients(server) as (one, other):
            if ahead:
                one.send(ahead).answer()
            for client in (one, other):
                client.send(request("/2") + request("/3"))
            server.stop(0)
            assert server.stats.connections == 0
            for client in (one, other):
                client.rest()

    def test_from_another_thread(self) -> None:
        gate = Gate()

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            gate.wait()
            return path(environ, start_response)

        with serving(app, graceful_timeout=PATIENCE) as server, RawClient(server.address) as client:
            client.send(request())
            gate.reached()
            stopping = threading.Thread(target=server.stop)
            stopping.start()
            eventually(lambda: not server.listeners[0].sock.fileno() >= 0)
            with pytest.raises(ConnectionRefusedError):
                RawClient(server.address)
            assert stopping.is_alive()
            gate.open()
            assert client.answer().closes
            stopping.join(PATIENCE)
            assert not stopping.is_alive()

    def test_before_the_start_and_after_the_end(self) -> None:
        server = Server(path, Config.from_settings(bind="127.0.0.1:0"))
        with own_hub():
            server.start()
            server.stop()
            server.stop()
            with pytest.raises(ConfigError, match="once"):
                server.start()

    def test_one_that_was_stopped_before_does_not_start(self) -> None:
        server = Server(path, Config.from_settings(bind="127.0.0.1:0"))
        server.stop()
        assert server.wait(0) is True
        with own_hub(), pytest.raises(ConfigError, match="once"):
            server.start()
