"""connection: every deadline to the second, what the client is told when it passes, and that it hits nobody else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.raw import Answer, RawClient, request
from tests.support.servers.apps import Environ, Routes, Start, echo, path
from tests.support.servers.running import in_one_hub

from greenserve import Event, Timeout, sleep, spawn

pytestmark = pytest.mark.over_tls_too

_LARGE = bytes(30_000_000)
_BODY_TO_COME = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"


def _client(server: Any) -> RawClient:
    return RawClient(server.address, green=True)


def _ask(server: Any, data: bytes) -> Answer:
    with _client(server) as client:
        return client.send(data).answer()


class TestHead:
    """head_timeout: for the whole head, however it drips in."""

    def test_a_head_that_does_not_end_is_408(self, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path, head_timeout=10) as (server, clock), _client(server) as client:
            began = clock()
            answer = client.send(b"GET / HTTP/1.1\r\nHost:").answer()
            assert (answer.status, answer.closes, client.rest(), clock() - began) == (408, True, b"", 10)
            assert b"head_timeout" in answer.body

    def test_a_byte_now_and_then_puts_nothing_off(self, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path, head_timeout=10) as (server, clock), _client(server) as client:
            began = clock()
            client.send(b"GET / HTTP/1.1\r\nX: ")
            while client.is_silent():
                client.send(b"x")
                sleep(3)
            assert (client.answer().status, clock() - began) == (408, 12)

    @pytest.mark.parametrize("data", [b"", b"\r\n", b"\r\n\r\n\r\n"])
    def test_a_silent_connection_is_closed_without_an_answer(self, tmp_path: Path, data: bytes) -> None:
        with in_one_hub(path, tmp_path, head_timeout=10) as (server, clock), _client(server) as client:
            began = clock()
            assert (client.send(data).rest(), clock() - began) == (b"", 10)

    def test_empty_lines_put_nothing_off(self, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path, head_timeout=10) as (server, clock), _client(server) as client:
            began = clock()
            while client.is_silent():
                client.send(b"\r\n")
                sleep(3)
            assert (client.rest(), clock() - began) == (b"", 12)

    def test_one_behind_a_slow_answer_has_its_time_when_that_is_out(self, tmp_path: Path) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [])
            return [_LARGE]

        with in_one_hub(app, tmp_path, head_timeout=10) as (server, clock), _client(server) as client:
            client.send(request() + b"GET / HT").head()
            for _ in range(29):
                client.take(1_000_000)
                sleep(5)
            client.take(1_000_000)
            began = clock()
            assert (client.answer().status, clock() - began) == (408, 10)

    def test_after_an_error_a_client_has_two_seconds_and_16_mib(self, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path) as (server, clock):
            with _client(server) as client:
                began = clock()
                client.send(b"BAD\r\n\r\n").answer()
                with contextlib.suppress(OSError):
                    while True:
                        client.send(b"x")
                        sleep(0.1)
                assert 2 <= clock() - began < 2.2
            with _client(server) as client:
                began = clock()
                client.send(b"BAD\r\n\r\n")
                sent = 0
                with contextlib.suppress(OSError):
                    while True:
                        client.send(bytes(100_000))
                        sent += 100_000
                assert 16 << 20 <= sent < 18 << 20
                assert clock() - began < 0.1

    def test_it_is_for_the_next_head_as_well(self, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path, head_timeout=10) as (server, clock):
            with _client(server) as client:
                client.send(request()).answer()
                sleep(50)
                began = clock()
                assert (client.send(b"GET").answer().status, clock() - began) == (408, 10)
            with _client(server) as client:
                client.send(request() + b"GET")
                assert [client.answer().status, client.answer().status] == [200, 408]

    def test_it_is_over_when_the_head_is(self, tmp_path: Path) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            sleep(100)
            return path(environ, start_response)

        with in_one_hub(app, tmp_path, head_timeout=10) as (server, _):
            assert _ask(server, request("/x")).body == b"/x"


class TestKeepAlive:
    def test_an_idle_connection_is_closed_without_an_answer(self, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path, keep_alive=75) as (server, clock), _client(server) as client:
            client.get()
            began = clock()
            assert (client.rest(), clock() - began) == (b"", 75)
            assert not server.stats.connections

    def test_each_request_begins_it_anew(self, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path, keep_alive=75) as (server, _), _client(server) as client:
            for _ in range(4):
                assert client.get().status == 200
                sleep(74)

    def test_switched_off_each_answer_closes(self, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path, keep_alive="off") as (server, _), _client(server) as client:
            assert client.get().closes
            assert client.rest() == b""


class TestBody:
    """body_timeout: between two pieces. body_min_rate: on the average, after min_rate_grace."""

    # Where it is waited for: before the app begins, in its reads of a long body and of a chunked one.
    LONG = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n" + b"x" * 17_000
    CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n"
    _HEADS = (_BODY_TO_COME, LONG, CHUNKED)

    @pytest.mark.parametrize("piece", [b"", b"abc"])
    @pytest.mark.parametrize("head", _HEADS)
    def test_a_body_that_stops_is_408(self, head: bytes, piece: bytes, tmp_path: Path) -> None:
        with (
            in_one_hub(echo, tmp_path, body_timeout=30, body_min_rate=0) as (server, clock),
            _client(server) as client,
        ):
            began = clock()
            answer = client.send(head + piece).answer()
            assert (answer.status, answer.closes, client.rest(), clock() - began) == (408, True, b"", 30)
            assert b"body_timeout" in answer.body

    @pytest.mark.parametrize("head", _HEADS)
    def test_without_a_rate_one_that_drips_goes_on(self, head: bytes, tmp_path: Path) -> None:
        with (
            in_one_hub(echo, tmp_path, body_timeout=30, body_min_rate="off") as (server, _),
            _client(server) as client,
        ):
            client.send(head)
            for _ in range(8):
                sleep(29)
                client.send(b"x")
            assert client.is_silent()

    @pytest.mark.parametrize("head", _HEADS)
    def test_one_that_drips_is_408_when_the_grace_is_used_up(self, head: bytes, tmp_path: Path) -> None:
        with (
            in_one_hub(echo, tmp_path, body_min_rate=1000, min_rate_grace=10) as (server, clock),
            _client(server) as client,
        ):
            client.send(head)
            began = clock()
            while client.is_silent():
                client.send(b"x")
                sleep(4)
            answer = client.answer()
            assert (answer.status, answer.closes) == (408, True)
            assert b"body_min_rate" in answer.body
            assert 10 <= clock() - began <= 14

    def test_what_was_fast_may_pause_for_the_timeout_and_no_longer(self, tmp_path: Path) -> None:
        for pause, status in ((29, 200), (31, 408)):
            with (
                in_one_hub(echo, tmp_path, body_timeout=30, limit_request_body="1G") as (server, _),
                _client(server) as client,
            ):
                client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n" + b"x" * 400_000)
                sleep(pause)
                with contextlib.suppress(ConnectionError):
                    client.send(b"x" * 100_000)
                assert client.answer().status == status

    def test_the_time_that_the_app_takes_is_not_the_clients(self, tmp_path: Path) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [])
            sleep(100)
            first = environ["wsgi.input"].read(1)
            sleep(100)
            return [first, environ["wsgi.input"].read()]

        with in_one_hub(app, tmp_path, request_timeout=0) as (server, _), _client(server) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n")
            sleep(5)
            client.send(b"a\r\n1\r\n")
            sleep(199)
            client.send(b"b\r\n0\r\n\r\n")
            assert client.answer().body == b"ab"

    def test_what_came_in_time_is_taken_though_an_app_held_the_hub(self, tmp_path: Path) -> None:
        clocks: list[Any] = []

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            if environ["PATH_INFO"] == "/holds":
                sleep(1)
                for client in slow:
                    client.sock.send(b"123456789")
                clocks[0].advance(100)
            return echo(environ, start_response)

        with in_one_hub(app, tmp_path) as (server, clock):
            clocks.append(clock)
            # One is waited for before the app begins, one in its read.
            heads = (_BODY_TO_COME, self.LONG[:-9].replace(b"20000", b"17000"))
            slow = [_client(server).send(head) for head in heads]
            assert _ask(server, request("/holds", "POST", b"x")).status == 200
            assert [client.answer().status for client in slow] == [200, 200]
            for client in slow:
                client.close()

    def test_no_grace_is_the_whole_timeout(self, tmp_path: Path) -> None:
        with (
            in_one_hub(echo, tmp_path, min_rate_grace="off", body_timeout=20) as (server, clock),
            _client(server) as client,
        ):
            began = clock()
            assert (client.send(_BODY_TO_COME).answer().status, clock() - began) == (408, 20)

    def test_switched_off_it_has_all_the_time(self, tmp_path: Path) -> None:
        off = {"body_timeout": 0, "body_min_rate": 0, "request_timeout": 0}
        with in_one_hub(echo, tmp_path, **off) as (server, _):
            for head in (_BODY_TO_COME, self.CHUNKED):
                with _client(server) as client:
                    client.send(head)
                    sleep(100_000)
                    client.send(b"123456789" + (b"\r\n0\r\n\r\n" if b"chunked" in head else b""))
                    assert client.answer().body == b"123456789"

    def test_the_app_may_answer_itself(self, tmp_path: Path) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            try:
                environ["wsgi.input"].read()
            except OSError:
                start_response("200 Fine", [])
            return [b"mine"]

        with in_one_hub(app, tmp_path) as (server, _), _client(server) as client:
            answer = client.send(self.CHUNKED).answer()
            assert (answer.line, answer.closes, client.rest()) == ("HTTP/1.1 200 Fine", True, b"")

    def test_after_the_answer_has_begun_the_connection_closes(self, tmp_path: Path) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [])
            yield b"part"
            yield environ["wsgi.input"].read()

        with in_one_hub(app, tmp_path) as (server, _), _client(server) as client:
            client.send(self.CHUNKED).head()
            assert (client.chunk(), client.rest()) == (b"part", b"")

    @pytest.mark.parametrize(("rate", "seconds"), [(0, 30), (500, 10)])
    def test_an_unread_body_that_never_comes_closes(self, rate: int, seconds: int, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path, body_min_rate=rate) as (server, clock), _client(server) as client:
            began = clock()
            assert client.send(self.CHUNKED).answer().body == b"/"
            assert (client.rest(), clock() - began) == (b"", seconds)

    def test_and_so_does_one_that_drips(self, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path) as (server, clock), _client(server) as client:
            began = clock()
            client.send(self.CHUNKED.replace(b"9\r\n", b"900\r\n")).answer()
            while client.is_silent():
                client.send(b"x")
                sleep(4)
            assert (client.rest(), clock() - began) == (b"", 12)


class TestQueue:
    def test_no_slot_in_time_is_503_with_retry_after(self, tmp_path: Path) -> None:
        gate = Event()

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            gate.wait()
            return path(environ, start_response)

        with in_one_hub(app, tmp_path, pool=1, queue_timeout=10) as (server, clock), _client(server) as first:
            first.send(request("/first"))
            began = clock()
            with _client(server) as second:
                answer = second.send(request("/second") + request("/third")).answer()
                assert (answer.status, answer["retry-after"], answer.closes) == (503, "1", True)
                assert (second.rest(), clock() - began) == (b"", 10)
            gate.send()
            assert first.answer().body == b"/first"
            assert (server.stats.requests, server.stats.refused, server.stats.queued) == (1, 1, 0)

    def test_a_request_that_gets_its_slot_in_time_is_served(self, tmp_path: Path) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            sleep(9)
            return path(environ, start_response)

        with in_one_hub(app, tmp_path, pool=1, queue_timeout=10) as (server, _):
            both = [spawn(_ask, server, request(f"/{number}")) for number in range(2)]
            assert [one.wait().body for one in both] == [b"/0", b"/1"]

    def test_a_client_that_goes_away_while_it_waits(self, tmp_path: Path) -> None:
        gate = Event()

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            gate.wait()
            return path(environ, start_response)

        with in_one_hub(app, tmp_path, pool=1) as (server, _), _client(server) as first:
            first.send(request())
            with _client(server) as second:
                second.send(request())
                sleep(1)
                assert server.stats.queued == 1
            gate.send()
            assert first.answer().status == 200
            sleep(1)
            assert (server.stats.queued, server.stats.active, server.stats.connections) == (0, 0, 1)


class TestRequest:
    """request_timeout: until the answer begins; thrown into the one green thread."""

    def test_an_app_that_takes_too_long_is_504(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        cleaned: list[str] = []

        class App(Routes):
            def slow(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                try:
                    sleep(1000)
                finally:
                    cleaned.append("up")
                return path(environ, start_response)

            def long(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                start_response("200 OK", [])
                for _ in range(9):
                    yield b"x"
                    sleep(100)

        with in_one_hub(App(), tmp_path, request_timeout=300) as (server, clock), _client(server) as client:
            other = spawn(_ask, server, request("/long"))  # its answer has begun: it has all the time
            began = clock()
            answer = client.send(request("/slow")).answer()
            assert (answer.status, answer.closes, client.rest(), clock() - began) == (504, True, b"", 300)
            assert other.wait().body == b"x" * 9
        assert cleaned == ["up"]
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert "request_timeout" in caplog.text

    def test_an_app_that_catches_exceptions_does_not_catch_it(self, tmp_path: Path) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            try:
                sleep(1000)
            except Exception:
                start_response("200 OK", [])
                return [b"caught"]
            return []

        with in_one_hub(app, tmp_path) as (server, _):
            assert _ask(server, request()).status == 504

    def test_an_app_that_catches_everything_gets_it_again(self, tmp_path: Path) -> None:
        caught: list[float] = []

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            while len(caught) < 3:
                try:
                    sleep(1000)
                except BaseException:
                    caught.append(clock())
            sleep(1000)
            return []

        with in_one_hub(app, tmp_path, request_timeout=300) as (server, clock):
            began = clock()
            assert _ask(server, request()).status == 504
        assert [at - began for at in caught] == [300, 301, 302]

    def test_an_app_that_catches_it_may_answer(self, tmp_path: Path) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            with contextlib.suppress(BaseException):
                sleep(1000)
            return path(environ, start_response)

        with in_one_hub(app, tmp_path) as (server, _), _client(server) as client:
            assert [client.get("/1").body, client.get("/2").body] == [b"/1", b"/2"]

    def test_an_app_that_waits_for_its_body(self, tmp_path: Path) -> None:
        with in_one_hub(echo, tmp_path, request_timeout=20, body_min_rate=0) as (server, _):
            answer = _ask(server, TestBody.CHUNKED)
            assert (answer.status, answer.closes) == (504, True)

    def test_it_never_hits_the_next_request(self, tmp_path: Path) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            sleep(290)
            return path(environ, start_response)

        with in_one_hub(app, tmp_path, request_timeout=300, pool=1) as (server, _), _client(server) as client:
            client.send(b"".join(request(f"/{number}") for number in range(9)))
            assert [client.answer().body for _ in range(9)] == [b"/%d" % number for number in range(9)]

    def test_a_timeout_that_one_request_forgot_never_hits_the_next(self, tmp_path: Path) -> None:
        class App(Routes):
            def forget(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                Timeout(5)
                return path(environ, start_response)

            def next(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                sleep(20)
                return path(environ, start_response)

        with in_one_hub(App(), tmp_path, pool=1) as (server, _), _client(server) as client:
            client.send(request("/forget") + request("/next"))
            assert [client.answer().body, client.answer().body] == [b"/forget", b"/next"]

    def test_a_timeout_of_the_apps_own_is_a_500(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            with Timeout(5):
                sleep(10)
            return []

        with in_one_hub(app, tmp_path) as (server, _):
            assert _ask(server, request()).status == 500


@pytest.mark.plain_only  # a week in which certificates are looked at every few seconds
def test_switched_off_nothing_expires(tmp_path: Path) -> None:
    names = ["head_timeout", "body_timeout", "send_timeout", "queue_timeout", "request_timeout"]
    names += ["body_min_rate", "send_min_rate"]

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        sleep(100_000)
        environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [_LARGE]

    with in_one_hub(app, tmp_path, pool=1, **dict.fromkeys(names, "off")) as (server, _):
        clients = [_client(server), _client(server)]
        for piece in (b"POST / HTTP/1.1\r\nHost: x\r\nContent-", b"Length: 2\r\n\r\n", b"a", b"b"):
            for client in clients:
                client.send(piece)
            sleep(100_000)
        for client in clients:
            client.head()
            sleep(100_000)
            assert client.take(len(_LARGE))
            client.close()
