"""timeouts: send_timeout and send_min_rate, for clients that do not read."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import Environ, Routes, Start
from tests.support.servers.running import in_one_hub, serving
from tests.support.times import MS, PATIENCE

from greenserve import sleep

pytestmark = pytest.mark.over_tls_too

_LARGE = bytes(30_000_000)


def _client(server: Any) -> RawClient:
    return RawClient(server.address, green=True)


class TestSend:
    """send_timeout: a client that never reads. send_min_rate: one that hardly does."""

    class App(Routes):
        """Large answers of every kind."""

        def __init__(self, folder: Path) -> None:
            self.folder = folder
            self.ended: list[str] = []

        def list(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [])
            self.ended.append("list")
            return [_LARGE]

        def pieces(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [])
            try:
                for _ in range(1000):
                    yield _LARGE[:100_000]
            finally:
                self.ended.append("pieces")

        def write(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
            try:
                start_response("200 OK", [])(_LARGE)
            finally:
                self.ended.append("write")
            return []

        def file(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [])
            (self.folder / "large").write_bytes(_LARGE)
            self.ended.append("file")
            wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"]((self.folder / "large").open("rb"))
            return wrapped

    @pytest.mark.parametrize("kind", ["list", "pieces", "write", "file"])
    @pytest.mark.parametrize(("rate", "seconds"), [(0, 30), (500, 10)])
    def test_the_request_ends(
        self, kind: str, rate: int, seconds: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = self.App(tmp_path)
        with (
            in_one_hub(app, tmp_path, send_timeout=30, send_min_rate=rate) as (server, _),
            _client(server) as client,
        ):
            client.send(request(f"/{kind}"))
            sleep(seconds - 1)
            assert server.stats.connections == 1
            sleep(2)
            assert (server.stats.connections, server.stats.active, app.ended) == (0, 0, [kind])
        assert not caplog.records

    @pytest.mark.parametrize("kind", ["list", "pieces", "write", "file"])
    def test_the_connection_is_reset_so_that_the_kernel_holds_nothing_for_it(
        self, kind: str, tmp_path: Path
    ) -> None:
        app = self.App(tmp_path)
        with (
            serving(app, send_timeout=50 * MS) as server,
            RawClient(server.address, receive_buffer=1 << 17) as client,
        ):
            client.send(request(f"/{kind}"))
            broken = select.poll()
            broken.register(client.sock, 0)
            assert broken.poll(PATIENCE * 1000)
            assert client.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET

    @pytest.mark.parametrize("kind", ["list", "pieces", "write", "file"])
    def test_one_that_reads_a_little_goes_on(self, kind: str, tmp_path: Path) -> None:
        with (
            in_one_hub(self.App(tmp_path), tmp_path, send_timeout=30) as (server, _),
            _client(server) as client,
        ):
            client.send(request(f"/{kind}")).head()
            client.take(1_000_000)  # has earned time
            for _ in range(20):
                sleep(29)
                client.take(500_000)
            assert client.take(10_000_000)

    @pytest.mark.parametrize("kind", ["list", "pieces", "write", "file"])
    def test_one_that_takes_bytes_now_and_then_does_not(self, kind: str, tmp_path: Path) -> None:
        app = self.App(tmp_path)
        with in_one_hub(app, tmp_path, send_timeout=30) as (server, clock), _client(server) as client:
            client.send(request(f"/{kind}"))
            began = clock()
            with contextlib.suppress(ConnectionError):
                while not clock() - began or server.stats.connections:
                    sleep(4)
                    client.sock.recv(1)
            # Over TLS the first byte takes a whole record off the socket, which earns half a minute.
            assert 10 <= clock() - began <= (50 if server.url.startswith("https") else 20)
            assert not server.stats.active

    @pytest.mark.parametrize("kind", ["list", "pieces", "write", "file"])
    def test_what_it_has_taken_counts_before_the_kernel_wants_more(self, kind: str, tmp_path: Path) -> None:
        # A unix socket is writable again when three quarters of its 200 KiB are gone: after 16 s, at this client's
        # pace.
        with (
            in_one_hub(self.App(tmp_path), tmp_path, send_timeout=9) as (server, clock),
            _client(server) as client,
        ):
            client.send(request(f"/{kind}")).head()
            began = clock()
            for _ in range(60):
                sleep(4)
                client.take(40_000)
            assert (server.stats.connections, clock() - began) == (1, 240)

    def test_an_app_that_is_slow_itself_is_not_the_clients_fault(self, tmp_path: Path) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [("Content-Type", "text/event-stream")])
            for number in range(50):
                yield b"data: %d\n\n" % number
                sleep(3600)

        with in_one_hub(app, tmp_path) as (server, _), _client(server) as client:
            client.send(request()).head()
            assert [client.chunk() for _ in range(50)][-1] == b"data: 49\n\n"

    def test_a_refusal_waits_behind_answers_that_were_not_read(self, tmp_path: Path) -> None:
        # `flush` of the answers is over when the kernel has them; what follows is refused, and must not be cut.
        with (
            in_one_hub(self.App(tmp_path), tmp_path, limit_request_line=100) as (server, _),
            _client(server) as client,
        ):
            client.send(request("/list"))
            wrong = b"GET /" + b"x" * 200 + b" HTTP/1.1\r\nHost: x\r\n\r\n"
            client.send(wrong)
            sleep(5)
            assert client.answer().body == _LARGE
            answer = client.answer()
            assert (answer.status, client.rest()) == (414, b"")
