"""The whole server when something breaks: clients that vanish at any byte, apps that fail at any point.

What must be left each time: no connection, no request, no green thread, no descriptor, no line in the log that nobody
can do anything about, and a server that goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.raw import RawClient, ask, request
from tests.support.servers.apps import Environ, Routes, Start, path
from tests.support.servers.running import becomes_quiet, open_files, serving
from tests.support.times import eventually

from greenserve import GreenletExit, Server, sleep, spawn

_LARGE = bytes(1_000_000)
_CHUNKED = (
    b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
    b"5;a=b\r\nhello\r\n3\r\nyou\r\n0\r\nX-Sum: x\r\n\r\n"
)
_ENDS = [RawClient.close, RawClient.reset, RawClient.finish_sending]


class _App(Routes):
    """Answers of every kind."""

    def __init__(self, folder: Path) -> None:
        self.file_path = folder / "file"
        self.file_path.write_bytes(_LARGE)
        self.closed = 0
        self.hooks = 0

    def read(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [body]

    def lines(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        environ["greenserve.posthooks"].append((self._hook, (), {}))
        start_response("200 OK", [])
        for line in environ["wsgi.input"]:
            yield line
            sleep(0)
        yield b"end"

    def _hook(self, environ: Environ) -> None:
        self.hooks += 1

    def unread(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        return path(environ, start_response)

    def file(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](self.file_path.open("rb"))
        return wrapped

    def large(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [_LARGE]

    def pieces(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        return _Pieces(self, start_response)


class _Pieces:
    """Content that must be closed."""

    def __init__(self, app: _App, start_response: Start) -> None:
        start_response("200 OK", [])
        self.app = app

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(10):
            yield _LARGE[:100_000]
            sleep(0)

    def close(self) -> None:
        self.app.closed += 1


@contextmanager
def _watched(app: Any, caplog: pytest.LogCaptureFixture, **settings: Any) -> Iterator[Server]:
    """A server that must be as good as new after the block, and have said nothing."""
    with caplog.at_level(logging.INFO), serving(app, **settings) as server:
        ask(server.address, request())
        becomes_quiet(server)
        files = open_files()
        yield server
        # Those who came before this one have left the kernel's backlog when it is answered.
        assert ask(server.address, request("/still")).body == b"/still"
        becomes_quiet(server)
        eventually(lambda: len(server.hub.descriptors) == 1, "one descriptor")
        eventually(lambda: len(server.hub.parked) == 2, "who waits: the acceptor and the end")
        assert open_files() == files
        assert server.queue.pool.free() == server.config.pool
    assert caplog.messages == []


class TestClientsVanish:
    @pytest.mark.parametrize("end", _ENDS)
    @pytest.mark.parametrize("route", ["read", "lines", "unread"])
    def test_at_every_byte_of_a_request(
        self, route: str, end: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        data = _CHUNKED % f"/{route}".encode() + request("/next")
        app = _App(tmp_path)
        with _watched(app, caplog) as server:
            for size in range(len(data) + 1):
                with RawClient(server.address) as client:
                    client.send(data[:size])
                    end(client)

    @pytest.mark.parametrize("end", _ENDS)
    @pytest.mark.parametrize("route", ["read", "lines"])
    def test_at_every_byte_of_a_body_with_a_length(
        self, route: str, end: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        data = request(f"/{route}", "POST", b"one\ntwo\nthree")
        with _watched(_App(tmp_path), caplog) as server:
            for size in range(len(data) - 14, len(data) + 1):
                with RawClient(server.address) as client:
                    client.send(data[:size])
                    end(client)

    @pytest.mark.parametrize("end", _ENDS[:2])
    @pytest.mark.parametrize("route", ["index", "lines"])
    def test_at_every_byte_of_an_answer(
        self, route: str, end: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = _App(tmp_path)
        with _watched(app, caplog) as server:
            data = request(f"/{route}", "GET", b"", "Connection: close")
            with RawClient(server.address) as client:
                size = len(client.send(data).rest())
            for count in range(size + 1):
                with RawClient(server.address) as client:
                    client.send(data)
                    client.take(count)
                    end(client)
        assert app.hooks == (size + 2 if route == "lines" else 0)

    @pytest.mark.parametrize("end", _ENDS[:2])
    @pytest.mark.parametrize("route", ["file", "large", "pieces"])
    def test_in_the_middle_of_a_large_answer(
        self, route: str, end: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = _App(tmp_path)
        with _watched(app, caplog) as server:
            for count in (0, 1, 100, 100_000, 500_000, 999_000):
                with RawClient(server.address, receive_buffer=1 << 17) as client:
                    client.send(request(f"/{route}"))
                    client.take(count)
                    end(client)
        if route == "pieces":
            assert app.closed == 6

    def test_before_they_have_said_anything(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        with _watched(_App(tmp_path), caplog) as server:
            for end in _ENDS * 20:
                with RawClient(server.address) as client:
                    end(client)

    def test_while_they_wait_for_their_turn(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        class Slow(_App):
            def slow(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                sleep(0.01)
                return path(environ, start_response)

        with _watched(Slow(tmp_path), caplog, pool=1) as server:
            clients = [RawClient(server.address).send(request("/slow")) for _ in range(20)]
            for number, client in enumerate(clients):
                _ENDS[number % 2](client)


class _Failing(Routes):
    """An app that fails in every way that PEP 3333 leaves it."""

    def before(self, environ: Environ, start_response: Start) -> Any:
        raise ValueError("secret")

    def after(self, environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", [])
        raise ValueError("secret")

    def none(self, environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", [])

    def text(self, environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", [])
        return ["secret"]

    def twice(self, environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", [])
        start_response("200 OK", [])
        return []

    def silent(self, environ: Environ, start_response: Start) -> Any:
        return [b"secret"]

    def split(self, environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", [("X", "\r\nSet-Cookie: secret")])
        return []

    def exits(self, environ: Environ, start_response: Start) -> Any:
        raise SystemExit("secret")

    def slept(self, environ: Environ, start_response: Start) -> Any:
        sleep(0)
        raise ValueError("secret")

    def part(self, environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", [])
        yield b"part"
        raise ValueError("secret")

    def later_text(self, environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", [])
        yield b"part"
        yield "secret"

    def short(self, environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", [("Content-Length", "9")])
        return [b"part"]

    def both_at_once(self, environ: Environ, start_response: Start) -> Any:
        write = start_response("200 OK", [("Content-Length", "40000000")])
        other = spawn(write, bytes(20_000_000))
        sleep(0)
        write(bytes(20_000_000))  # a second writer at one socket
        other.wait()
        return []


class TestAppsFail:
    @pytest.mark.parametrize(
        "route",
        ["before", "after", "none", "text", "twice", "silent", "split", "exits", "slept"],
    )
    def test_before_the_answer_is_out(self, route: str, caplog: pytest.LogCaptureFixture) -> None:
        with serving(_Failing()) as server:
            with RawClient(server.address) as client:
                answer = client.send(request(f"/{route}") + request("/next")).answer()
                assert (answer.status, answer.closes, client.rest()) == (500, True, b"")
                assert answer.body == b"500 Internal Server Error\n"
            assert ask(server.address, request("/still")).body == b"/still"
            becomes_quiet(server)
        (record,) = caplog.records
        assert (record.levelname, f"GET /{route}" in record.getMessage()) == ("ERROR", True)

    @pytest.mark.parametrize("route", ["part", "later_text", "short"])
    def test_in_the_middle_the_client_sees_that_it_is_not_whole(
        self, route: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with serving(_Failing()) as server:
            with RawClient(server.address) as client:
                client.send(request(f"/{route}") + request("/next"))
                assert client.head().status == 200
                rest = client.rest()
                assert rest in (b"4\r\npart\r\n", b"part")
                assert b"secret" not in rest
            assert ask(server.address, request("/still")).body == b"/still"
            becomes_quiet(server)
        (record,) = caplog.records
        assert (record.levelname, f"GET /{route}" in record.getMessage()) == ("ERROR", True)

    def test_with_two_green_threads_that_write_at_once(self, caplog: pytest.LogCaptureFixture) -> None:
        with serving(_Failing()) as server:
            with RawClient(server.address) as client:
                client.send(request("/both_at_once")).head()
                with suppress(ConnectionError):
                    client.rest()
            assert ask(server.address, request("/still")).body == b"/still"
            becomes_quiet(server)

    def test_again_and_again(self, caplog: pytest.LogCaptureFixture) -> None:
        with serving(_Failing(), pool=3) as server:
            for _ in range(50):
                assert ask(server.address, request("/slept")).status == 500
            becomes_quiet(server)
            assert server.queue.pool.free() == 3
        assert len(caplog.records) == 50

    @pytest.mark.parametrize("error", [ValueError("secret"), GreenletExit("secret")])
    def test_in_a_green_thread_of_its_own(
        self, error: BaseException, capfd: pytest.CaptureFixture[str]
    ) -> None:
        def fail() -> None:
            raise error

        class App(Routes):
            def starts(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                spawn(fail)
                return path(environ, start_response)

        with serving(App()) as server:
            assert ask(server.address, request("/starts")).status == 200
            assert ask(server.address, request("/still")).body == b"/still"
        assert ("ValueError: secret" in capfd.readouterr().err) == isinstance(error, ValueError)
