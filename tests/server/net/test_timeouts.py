"""connection: every deadline, what the client is told when it passes, and that it hits nobody else."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.support.apps import Environ, Routes, Start, echo, path
from tests.support.raw import RawClient, ask, request
from tests.support.running import Gate, becomes_quiet, serving
from tests.support.times import MS, PATIENCE, eventually

from greenserve import Timeout, sleep

_SHORT = 50 * MS
_LARGE = bytes(30_000_000)


class TestHead:
    """head_timeout: for the whole head, however it drips in."""

    def test_a_head_that_does_not_end_is_408(self) -> None:
        with serving(path, head_timeout=_SHORT) as server, RawClient(server.address) as client:
            answer = client.send(b"GET / HTTP/1.1\r\nHost:").answer()
            assert (answer.status, answer.closes, client.rest()) == (408, True, b"")
            assert b"head_timeout" in answer.body
            client.close()
            becomes_quiet(server)

    def test_a_dripping_head(self) -> None:
        with serving(path, head_timeout=4 * _SHORT) as server, RawClient(server.address) as client:
            client.send(b"GET / HTTP/1.1\r\nX: ")
            while client.is_silent():
                client.send(b"x")
                time.sleep(10 * MS)
            assert client.answer().status == 408

    def test_a_silent_connection_is_closed_without_an_answer(self) -> None:
        with serving(path, head_timeout=_SHORT) as server, RawClient(server.address) as client:
            assert client.rest() == b""

    def test_one_that_sends_nothing_but_empty_lines_too(self) -> None:
        with serving(path, head_timeout=_SHORT) as server, RawClient(server.address) as client:
            assert client.send(b"\r\n").rest() == b""

    def test_it_is_for_the_next_head_as_well(self) -> None:
        with serving(path, head_timeout=_SHORT) as server, RawClient(server.address) as client:
            assert client.get().status == 200
            assert client.send(b"GET").answer().status == 408
        with serving(path, head_timeout=_SHORT) as server, RawClient(server.address) as client:
            client.send(request() + b"GET")
            assert [client.answer().status, client.answer().status] == [200, 408]

    def test_it_is_over_when_the_head_is(self) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            sleep(3 * _SHORT)
            return path(environ, start_response)

        with serving(app, head_timeout=_SHORT) as server:
            assert ask(server.address, request()).status == 200


class TestKeepAlive:
    def test_an_idle_connection_is_closed_without_an_answer(self) -> None:
        with serving(path, keep_alive=_SHORT) as server, RawClient(server.address) as client:
            assert client.get().status == 200
            assert client.rest() == b""
            becomes_quiet(server)

    def test_each_request_begins_it_anew(self) -> None:
        with serving(path, keep_alive=6 * _SHORT) as server, RawClient(server.address) as client:
            for _ in range(4):
                assert client.get().status == 200
                time.sleep(2 * _SHORT)

    def test_switched_off_each_answer_closes(self) -> None:
        with serving(path, keep_alive="off") as server, RawClient(server.address) as client:
            assert client.get().closes
            assert client.rest() == b""


class TestBody:
    """body_timeout: between two pieces."""

    @pytest.mark.parametrize("piece", [b"", b"abc"])
    def test_a_body_that_stops_is_408(self, piece: bytes) -> None:
        with serving(echo, body_timeout=_SHORT) as server, RawClient(server.address) as client:
            answer = client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n" + piece).answer()
            assert (answer.status, answer.closes, client.rest()) == (408, True, b"")
            client.close()
            becomes_quiet(server)

    def test_one_that_drips_goes_on(self) -> None:
        with serving(echo, body_timeout=6 * _SHORT) as server, RawClient(server.address) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
            for _ in range(9):
                client.send(b"x")
                time.sleep(_SHORT)
            assert client.answer().body == b"x" * 9

    def test_the_app_may_answer_itself(self) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            try:
                environ["wsgi.input"].read()
            except OSError:
                start_response("200 Fine", [])
            return [b"mine"]

        with serving(app, body_timeout=_SHORT) as server, RawClient(server.address) as client:
            answer = client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n").answer()
            assert (answer.line, answer.closes, client.rest()) == ("HTTP/1.1 200 Fine", True, b"")

    def test_after_the_answer_has_begun_the_connection_closes(self) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [])
            yield b"part"
            yield environ["wsgi.input"].read()

        with serving(app, body_timeout=_SHORT) as server, RawClient(server.address) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n").head()
            assert client.chunk() == b"part"
            assert client.rest() == b""

    def test_an_unread_body_that_never_comes_closes(self) -> None:
        with serving(path, body_timeout=_SHORT) as server, RawClient(server.address) as client:
            client.send(b"POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
            assert (client.answer().body, client.rest()) == (b"/1", b"")


class TestSend:
    """send_timeout: a client that never reads."""

    @pytest.mark.parametrize("kind", ["list", "pieces", "write", "file"])
    def test_it_is_reset(self, kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        closed: list[str] = []

        class App(Routes):
            def list(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                start_response("200 OK", [])
                closed.append("list")
                return [_LARGE]

            def pieces(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                start_response("200 OK", [])
                try:
                    for _ in range(1000):
                        yield _LARGE[:100_000]
                finally:
                    closed.append("pieces")

            def write(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                write = start_response("200 OK", [])
                try:
                    write(_LARGE)
                finally:
                    closed.append("write")
                return []

            def file(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                start_response("200 OK", [])
                (tmp_path / "large").write_bytes(_LARGE)
                closed.append("file")
                wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"]((tmp_path / "large").open("rb"))
                return wrapped

        with (
            serving(App(), send_timeout=_SHORT) as server,
            RawClient(server.address, receive_buffer=4096) as client,
        ):
            client.send(request(f"/{kind}"))
            eventually(lambda: closed)
            becomes_quiet(server)
            with pytest.raises(ConnectionResetError):
                client.rest()
            assert closed == [kind]
        assert not caplog.records

    def test_one_that_reads_a_little_goes_on(self) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [])
            return [_LARGE[:10_000_000]]

        with (
            serving(app, send_timeout=6 * _SHORT) as server,
            RawClient(server.address, receive_buffer=1 << 17) as client,
        ):
            client.send(request()).head()
            for _ in range(8):
                time.sleep(_SHORT)
                client.take(500_000)
            assert len(client.take(6_000_000)) == 6_000_000


class TestQueue:
    def test_no_slot_in_time_is_503_with_retry_after(self) -> None:
        gate = Gate()

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            gate.wait()
            return path(environ, start_response)

        with serving(app, pool=1, queue_timeout=_SHORT) as server, RawClient(server.address) as first:
            first.send(request("/first"))
            gate.reached()
            with RawClient(server.address) as second:
                answer = second.send(request("/second") + request("/third")).answer()
                assert (answer.status, answer["retry-after"], answer.closes) == (503, "1", True)
                assert second.rest() == b""
            gate.open()
            assert first.answer().body == b"/first"
            first.close()
            becomes_quiet(server)
            assert server.stats.requests == 1

    def test_a_request_that_gets_its_slot_in_time_is_served(self) -> None:
        gate = Gate()

        class App(Routes):
            def first(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                gate.wait()
                return path(environ, start_response)

        with (
            serving(App(), pool=1) as server,
            RawClient(server.address) as first,
            RawClient(server.address) as second,
        ):
            first.send(request("/first"))
            gate.reached()
            second.send(request("/second"))
            eventually(lambda: server.stats.queued == 1)
            gate.open()
            assert [first.answer().body, second.answer().body] == [b"/first", b"/second"]

    def test_a_client_that_goes_away_while_it_waits(self) -> None:
        gate = Gate()

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            gate.wait()
            return path(environ, start_response)

        with serving(app, pool=1) as server, RawClient(server.address) as first:
            first.send(request())
            gate.reached()
            with RawClient(server.address) as second:
                second.send(request())
                eventually(lambda: server.stats.queued == 1)
                second.reset()
            gate.open()
            assert first.answer().status == 200
            first.close()
            becomes_quiet(server)


class TestRequest:
    """request_timeout: until the answer begins; thrown into the one green thread."""

    def test_an_app_that_takes_too_long_is_504(self, caplog: pytest.LogCaptureFixture) -> None:
        cleaned: list[str] = []

        class App(Routes):
            def slow(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                try:
                    sleep(PATIENCE)
                finally:
                    cleaned.append("up")
                return path(environ, start_response)

            def long(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                start_response("200 OK", [])
                yield b"x"
                sleep(4 * _SHORT)
                yield b"y"

        with serving(App(), request_timeout=_SHORT) as server, RawClient(server.address) as other:
            other.send(request("/long"))  # its answer has begun: it has all the time
            with RawClient(server.address) as client:
                answer = client.send(request("/slow")).answer()
                assert (answer.status, answer.closes, client.rest()) == (504, True, b"")
            assert other.answer().body == b"xy"
        assert cleaned == ["up"]
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert "request_timeout" in caplog.text

    def test_an_app_that_catches_exceptions_does_not_catch_it(self) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            try:
                sleep(PATIENCE)
            except Exception:
                start_response("200 OK", [])
                return [b"caught"]
            return []

        with serving(app, request_timeout=_SHORT) as server:
            assert ask(server.address, request()).status == 504

    def test_an_app_that_catches_everything_gets_it_again(self) -> None:
        caught: list[BaseException] = []

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            try:
                sleep(PATIENCE)
            except BaseException as error:
                caught.append(error)
            sleep(PATIENCE)
            return []

        with serving(app, request_timeout=_SHORT) as server:
            assert ask(server.address, request()).status == 504
        assert len(caught) == 1

    def test_an_app_that_catches_it_may_answer(self) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            with contextlib.suppress(BaseException):
                sleep(PATIENCE)
            return path(environ, start_response)

        with serving(app, request_timeout=_SHORT) as server, RawClient(server.address) as client:
            assert client.get("/late").body == b"/late"
            assert client.get("/late").body == b"/late"

    def test_an_app_that_waits_for_its_body(self) -> None:
        with serving(echo, request_timeout=_SHORT) as server, RawClient(server.address) as client:
            answer = client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n").answer()
            assert (answer.status, answer.closes) == (504, True)

    def test_it_never_hits_the_next_request(self) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            sleep(_SHORT / 2)
            return path(environ, start_response)

        with serving(app, request_timeout=3 * _SHORT, pool=1) as server, RawClient(server.address) as client:
            for number in range(8):
                assert client.get(f"/{number}").body == b"/%d" % number

    def test_a_timeout_that_one_request_forgot_never_hits_the_next(self) -> None:
        class App(Routes):
            def forget(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                Timeout(_SHORT)
                return path(environ, start_response)

            def next(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                sleep(3 * _SHORT)
                return path(environ, start_response)

        with serving(App(), pool=1) as server, RawClient(server.address) as client:
            client.send(request("/forget") + request("/next"))
            assert [client.answer().body, client.answer().body] == [b"/forget", b"/next"]

    def test_a_timeout_of_the_apps_own_is_a_500(self, caplog: pytest.LogCaptureFixture) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            with Timeout(_SHORT):
                sleep(PATIENCE)
            return []

        with serving(app) as server:
            assert ask(server.address, request()).status == 500


def test_switched_off_nothing_expires() -> None:
    off = dict.fromkeys(
        ["head_timeout", "body_timeout", "send_timeout", "queue_timeout", "request_timeout"], "off"
    )

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        sleep(_SHORT)
        return echo(environ, start_response)

    with serving(app, **off) as server, RawClient(server.address) as client:
        data = request(method="POST", body=b"abc")
        for at in range(0, len(data), 10):
            client.send(data[at : at + 10])
            time.sleep(5 * MS)
        assert client.answer().body == b"abc"
