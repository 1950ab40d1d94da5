"""server: drain, and the end of what takes too long."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import Environ, Start, path
from tests.support.servers.running import Gate, in_one_hub, own_hub, serving
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
    """Drain: no new connections, idle ones closed, `Connection: close` in the last responses, and then the end."""

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

    def test_what_ended_it_is_said(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            sleep(1000)
            return []

        for limits, said in {
            (None,): "ended after graceful_timeout: ",
            (2,): "ended after the 2 s that the stop gave it: ",
            (None, 0): "ended by a second stop, which asked for less time: ",
        }.items():
            caplog.clear()
            with in_one_hub(app, tmp_path, graceful_timeout=5) as (server, _), _client(server) as client:
                client.send(request())
                sleep(1)
                stops = [spawn(server.stop, limit) for limit in limits]
                for stop in stops:
                    stop.wait()
            assert [record.getMessage().startswith(said) for record in caplog.records] == [True], said

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


class TestDrain:
    """`drain_delay`: a client that was not told of the end may send one more request, and is told with its response."""

    def test_a_kept_connection_is_answered_and_told(self, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path) as (server, clock), _clients(server) as (one, other):
            assert not one.get("/1").closes
            assert not other.get("/1").closes
            began = clock()
            stopping = spawn(server.stop, drain_delay=10)
            sleep(2)
            assert (server.is_stopping, server.is_draining) == (True, True)
            for client in (one, other):
                answer = client.get("/2")
                assert (answer.body, answer.closes, client.rest()) == (b"/2", True, b"")
            stopping.wait()
            assert clock() - began < 3  # nobody is left who could ask
            assert not server.is_draining

    def test_an_idle_one_is_closed_at_the_end(self, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path) as (server, clock), _clients(server) as (kept, unused):
            kept.get("/1")
            sleep(1)
            began = clock()
            stopping = spawn(server.stop, drain_delay=5)
            assert kept.rest() == b""
            assert clock() - began == pytest.approx(5)
            assert unused.rest() == b""
            stopping.wait()
            assert clock() - began == pytest.approx(5.5)  # the one that had not asked yet

    def test_one_whose_answer_said_nothing_of_an_end_may_ask_again(self, tmp_path: Path) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [("Content-Type", "text/plain")])
            yield b"begun "
            sleep(2)
            yield environ["PATH_INFO"].encode()

        with in_one_hub(app, tmp_path) as (server, clock), _client(server) as client:
            client.send(request("/1"))
            assert not client.head().closes
            began = clock()
            stopping = spawn(server.stop, drain_delay=10)
            assert (client.chunk(), client.chunk(), client.chunk()) == (b"begun ", b"/1", b"")
            sleep(1)
            answer = client.get("/2")
            assert (answer.body, answer.closes, client.rest()) == (b"begun /2", True, b"")
            stopping.wait()
            assert clock() - began < 6

    def test_what_runs_keeps_nobody_draining(self, tmp_path: Path) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            sleep(20)
            return path(environ, start_response)

        with in_one_hub(app, tmp_path) as (server, clock), _client(server) as client:
            client.send(request("/1"))
            sleep(1)
            began = clock()
            stopping = spawn(server.stop, drain_delay=10)
            sleep(1)
            assert not server.is_draining
            assert client.answer().closes
            stopping.wait()
            assert clock() - began == 19

    def test_a_head_under_way_and_one_that_waits_for_a_slot(self, tmp_path: Path) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            sleep(1)
            return path(environ, start_response)

        with in_one_hub(app, tmp_path, pool=1) as (server, _), _clients(server) as (one, other):
            one.send(request("/1"))
            other.send(b"GET /2 HT")
            sleep(0.1)
            stopping = spawn(server.stop, drain_delay=10)
            sleep(0.1)
            other.send(b"TP/1.1\r\nHost: x\r\n\r\n")
            assert [(answer.body, answer.closes) for answer in (one.answer(), other.answer())] == [
                (b"/1", True),
                (b"/2", True),
            ]
            stopping.wait()

    def test_http_1_0(self, tmp_path: Path) -> None:
        ask = b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        with in_one_hub(path, tmp_path) as (server, clock), _client(server) as client:
            assert client.send(ask).answer()["connection"] == "keep-alive"
            began = clock()
            stopping = spawn(server.stop, drain_delay=10)
            sleep(1)
            answer = client.send(ask).answer()
            assert answer.body == b"/a"
            assert "keep-alive" not in answer.fields
            assert client.rest() == b""
            stopping.wait()
            assert clock() - began < 2

    def test_what_is_pipelined_behind_the_last_answer_is_not_run(self, tmp_path: Path) -> None:
        # RFC 9112 §9.6: the client knows then that it was not, and may send it elsewhere.
        ran: list[str] = []

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            ran.append(environ["PATH_INFO"])
            return path(environ, start_response)

        with in_one_hub(app, tmp_path) as (server, _), _client(server) as client:
            client.get("/1")
            stopping = spawn(server.stop, drain_delay=10)
            sleep(1)
            answer = client.send(request("/2") + request("/3")).answer()
            assert (answer.body, answer.closes, client.rest()) == (b"/2", True, b"")
            client.close()
            stopping.wait()
            assert ran == ["/1", "/2"]

    def test_it_ends_within_graceful_timeout(self, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path, graceful_timeout=3) as (server, clock), _client(server) as client:
            client.get("/1")
            began = clock()
            server.stop(drain_delay=10)
            assert clock() - began == pytest.approx(3)

    @pytest.mark.parametrize("second", [{"graceful": 0}, {"drain_delay": 0}, {"drain_delay": 1}])
    def test_a_second_stop_ends_it_sooner(self, second: dict[str, float], tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path) as (server, clock), _client(server) as client:
            client.get("/1")
            began = clock()
            stopping = spawn(server.stop, drain_delay=10)
            sleep(2)
            server.stop(**second)
            stopping.wait()
            assert clock() - began == pytest.approx(2 + second.get("drain_delay", 0))

    def test_none_is_accepted_meanwhile(self, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path) as (server, _), _client(server) as client:
            client.get("/1")
            stopping = spawn(server.stop, drain_delay=10)
            sleep(1)
            with pytest.raises(FileNotFoundError):
                _client(server)
            client.get("/2")
            stopping.wait()

    def test_or_all_are_where_it_is_asked_for(self, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path, drain_accept=True) as (server, clock):
            began = clock()
            stopping = spawn(server.stop, drain_delay=10)
            for _ in range(3):
                sleep(3)
                with _client(server) as client:
                    answer = client.get("/new")
                    assert (answer.body, answer.closes, client.rest()) == (b"/new", True, b"")
            last = _client(server)
            sleep(1.1)  # it has time for its first request, as if the stop began now
            assert last.get("/last").closes
            last.close()
            stopping.wait()
            assert 10 < clock() - began < 11
            with pytest.raises(FileNotFoundError):
                _client(server)

    def test_only_where_there_is_a_delay(self, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path, drain_accept=True) as (server, clock), _client(server) as client:
            client.get("/1")
            began = clock()
            server.stop()
            assert clock() - began < 1
