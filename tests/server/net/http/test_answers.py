"""connection: answers on their way out: at once, whole, by the kernel, to slow readers, and what comes after them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.raw import RawClient, ask, request
from tests.support.servers.apps import Environ, Routes, Start, path
from tests.support.servers.running import Gate, becomes_quiet, serving
from tests.support.times import eventually

pytestmark = pytest.mark.over_tls_too

_LARGE = bytes(range(256)) * 40_000  # more than the sockets hold


class TestPieces:
    def test_an_event_arrives_before_the_app_goes_on(self) -> None:
        gates = [Gate(), Gate()]

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [("Content-Type", "text/event-stream")])
            for gate in gates:
                yield b"data: x\n\n"
                gate.wait()

        with serving(app) as server, RawClient(server.address) as client:
            client.send(request())
            assert client.head()["content-type"] == "text/event-stream"
            for gate in gates:
                assert client.chunk() == b"data: x\n\n"
                gate.reached()
                assert client.is_silent()
                gate.open()
            assert client.chunk() == b""

    def test_written_pieces_too(self) -> None:
        gate = Gate()

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            write = start_response("200 OK", [])
            write(b"first")
            gate.wait()
            return [b"second"]

        with serving(app) as server, RawClient(server.address) as client:
            client.send(request()).head()
            assert client.chunk() == b"first"
            gate.reached()
            gate.open()
            assert [client.chunk(), client.chunk()] == [b"second", b""]

    def test_many_small_ones(self) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [])
            return (b"%d," % number for number in range(5000))

        with serving(app) as server, RawClient(server.address) as client:
            for _ in range(2):
                assert client.get().pieces == [b"%d," % number for number in range(5000)]

    def test_an_endless_answer_leaves_the_others_their_turn(self) -> None:
        class App(Routes):
            def endless(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                start_response("200 OK", [])
                while True:
                    yield b"x" * 100

        with serving(App()) as server, RawClient(server.address) as endless:
            endless.send(request("/endless"))
            for number in range(20):
                assert endless.sock.recv(65536)
                assert ask(server.address, request(f"/{number}")).body == b"/%d" % number
            endless.reset()
            becomes_quiet(server)


class TestSlowReaders:
    """A client that reads slowly gets all; what it costs is the answer, not a turn of anybody else's."""

    @pytest.mark.parametrize("kind", ["list", "pieces", "file"])
    def test_the_whole_answer(self, kind: str, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(_LARGE)

        class App(Routes):
            def list(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                start_response("200 OK", [])
                return [_LARGE]

            def pieces(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                start_response("200 OK", [])
                return (_LARGE[at : at + 100_000] for at in range(0, len(_LARGE), 100_000))

            def file(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                start_response("200 OK", [])
                wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"]((tmp_path / "file").open("rb"))
                return wrapped

        with serving(App()) as server, RawClient(server.address, receive_buffer=1 << 17) as slow:
            slow.send(request(f"/{kind}"))
            assert ask(server.address, request("/other")).body == b"/other"
            assert slow.answer().body == _LARGE
            slow.send(request("/next"))
            assert slow.answer().body == b"/next"

    def test_a_whole_answer_holds_no_slot(self) -> None:
        class App(Routes):
            def large(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                start_response("200 OK", [])
                return [_LARGE]

        with serving(App(), pool=1) as server, RawClient(server.address, receive_buffer=1 << 17) as slow:
            slow.send(request("/large") + request("/next")).head()
            assert ask(server.address, request("/other")).body == b"/other"
            eventually(lambda: server.stats.active == 0)  # its client may know before the server counts it
            assert slow.take(len(_LARGE)) == _LARGE
            assert slow.answer().body == b"/next"

    def test_a_client_that_goes_away_in_the_middle(self, caplog: pytest.LogCaptureFixture) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [])
            return [_LARGE]

        with serving(app) as server:
            for end in (RawClient.close, RawClient.reset):
                client = RawClient(server.address)
                client.send(request()).head()
                end(client)
                becomes_quiet(server)
        assert not caplog.records


class TestFiles:
    @pytest.mark.parametrize("sendfile", [True, False])
    def test_the_bytes_are_counted(self, sendfile: bool, tmp_path: Path) -> None:
        content = _LARGE[:3_000_000]
        (tmp_path / "file").write_bytes(content)
        log = tmp_path / "access"

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [])
            file = (tmp_path / "file").open("rb")
            file.seek(1000)
            wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
            return wrapped

        with serving(app, sendfile=sendfile, access_logfile=str(log), access_log_format="%B") as server:
            assert ask(server.address, request()).body == content[1000:]
            eventually(lambda: log.read_text() == f"{len(content) - 1000}\n")

    def test_without_a_descriptor(self) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [("Content-Length", "500000")])
            wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(_LARGE[:500_000]))
            return wrapped

        with serving(app) as server:
            assert ask(server.address, request()).body == _LARGE[:500_000]

    def test_one_that_does_not_know_its_size(self, caplog: pytest.LogCaptureFixture) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [])
            file = Path("/proc/self/status").open("rb")  # noqa: SIM115  # the server closes it
            wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
            return wrapped

        with serving(app) as server:
            assert b"Pid:" in ask(server.address, request()).body
        assert not caplog.records

    def test_a_client_that_goes_away_in_the_middle(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "file").write_bytes(_LARGE)
        files: list[Any] = []

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [])
            files.append((tmp_path / "file").open("rb"))
            wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](files[-1])
            return wrapped

        with serving(app) as server:
            for end in (RawClient.close, RawClient.reset):
                client = RawClient(server.address)
                client.send(request()).head()
                end(client)
                becomes_quiet(server)
            assert all(file.closed for file in files)
        assert not caplog.records


class TestPosthooks:
    def test_the_client_has_its_answer_before(self) -> None:
        gate = Gate()
        done: list[str] = []

        def hook(environ: Environ, word: str) -> None:
            gate.wait()
            done.append(word + environ["PATH_INFO"])

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            environ["greenserve.posthooks"].append((hook, ("after ",), {}))
            return path(environ, start_response)

        with serving(app) as server, RawClient(server.address) as client:
            assert client.get("/a").body == b"/a"
            gate.reached()
            assert done == []
            gate.open()
            client.send(request("/b"))
            assert client.answer().body == b"/b"
            assert done[0] == "after /a"

    def test_one_that_fails_harms_nobody(self, caplog: pytest.LogCaptureFixture) -> None:
        def hook(environ: Environ) -> None:
            raise SystemExit(3)

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            environ["greenserve.posthooks"].append((hook, (), {}))
            return path(environ, start_response)

        with serving(app) as server, RawClient(server.address) as client:
            assert [client.get("/a").body, client.get("/b").body] == [b"/a", b"/b"]
            eventually(lambda: len(caplog.records) == 2)
        assert "post-hook" in caplog.text


class TestFields:
    def test_date_and_server(self) -> None:
        with serving(path) as server:
            answer = ask(server.address, request())
            assert answer["date"].endswith(" GMT")
            assert answer["server"] == "greenserve"

    def test_server_can_be_switched_off(self) -> None:
        with serving(path, server_header=False) as server:
            assert "server" not in ask(server.address, request())
            assert "server" not in ask(server.address, b"BAD\r\n\r\n")

    def test_the_access_log_tells_of_each(self, tmp_path: Path) -> None:
        log = tmp_path / "access"
        with serving(path, access_logfile=str(log), access_log_format="json") as server:
            ask(server.address, request("/a?b"))
            ask(server.address, request("/c", "HEAD"))
            ask(server.address, b"BAD\r\n\r\n")
            becomes_quiet(server)
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert [(line["status"], line["method"], line["bytes_sent"]) for line in lines] == [
            (200, "GET", 2),
            (200, "HEAD", 0),
            (400, "", lines[2]["bytes_sent"]),
        ]
        assert lines[2]["bytes_sent"] > 10

    def test_wsgi_errors_can_be_written_to(
        self, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            errors = environ["wsgi.errors"]
            errors.write("one\n")
            errors.writelines(["two\n"])
            errors.flush()
            return path(environ, start_response)

        with caplog.at_level(logging.DEBUG), serving(app) as server:
            ask(server.address, request())
        assert "one" in capsys.readouterr().err + caplog.text
