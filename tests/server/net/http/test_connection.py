"""connection: from one request to the next on the wire, in the order of RFC 9112. Timeouts: test_timeouts.py."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterable
from typing import Any

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import Environ, Start, echo, mirror, path
from tests.support.servers.running import Gate, becomes_quiet, serving
from tests.support.times import PATIENCE, eventually

pytestmark = pytest.mark.over_tls_too

_LARGE = bytes(range(256)) * 20_000  # more than the sockets hold


def _send_until(error: type[OSError], client: RawClient, data: bytes) -> None:
    client.sock.settimeout(0 if error is BlockingIOError else PATIENCE)
    with contextlib.suppress(error, ssl.SSLWantWriteError):
        for _ in range(10_000):
            client.sock.send(data)
        raise AssertionError(f"no {error.__name__}")


class TestKeepAlive:
    """RFC 9112 §9.3."""

    def test_one_connection_serves_many_requests(self) -> None:
        with serving(path) as server, RawClient(server.address) as client:
            for number in range(20):
                answer = client.get(f"/{number}")
                assert (answer.status, answer.body, "connection" in answer) == (200, b"/%d" % number, False)
            stats = server.stats
            assert (stats.accepted, stats.connections, stats.requests) == (1, 1, 20)

    def test_close_is_said_and_done(self) -> None:
        with serving(path) as server, RawClient(server.address) as client:
            assert client.get("/", "Connection: close").closes
            assert client.rest() == b""
            becomes_quiet(server)

    def test_http_1_0_closes(self) -> None:
        with serving(path) as server, RawClient(server.address) as client:
            answer = client.send(b"GET /a HTTP/1.0\r\n\r\n").answer()
            assert (answer.body, answer.closes, client.rest()) == (b"/a", True, b"")

    def test_http_1_0_may_ask_to_stay(self) -> None:
        with serving(path) as server, RawClient(server.address) as client:
            for _ in range(3):
                answer = client.send(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").answer()
                assert (answer.body, answer["connection"]) == (b"/a", "keep-alive")

    def test_the_app_may_close(self) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [("Connection", "close")])
            return [b"x"]

        with serving(app) as server, RawClient(server.address) as client:
            assert client.get().closes
            assert client.rest() == b""

    def test_empty_lines_between_requests(self) -> None:
        with serving(path) as server, RawClient(server.address) as client:
            client.send(b"\r\n" + request("/1") + b"\r\n\r\n" + request("/2"))
            assert [client.answer().body, client.answer().body] == [b"/1", b"/2"]

    def test_a_client_that_has_finished_sending_is_answered(self) -> None:
        with serving(path) as server, RawClient(server.address) as client:
            client.send(request("/1") + request("/2")).finish_sending()
            assert [client.answer().body, client.answer().body, client.rest()] == [b"/1", b"/2", b""]
            becomes_quiet(server)


class TestPipelining:
    """RFC 9112 §9.3.2."""

    def test_answers_come_in_order(self) -> None:
        with serving(path) as server, RawClient(server.address) as client:
            client.send(b"".join(request(f"/{number}") for number in range(200)))
            assert [client.answer().body for _ in range(200)] == [b"/%d" % number for number in range(200)]

    def test_bodies_and_requests_in_one_packet(self) -> None:
        chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        with serving(echo) as server, RawClient(server.address) as client:
            client.send((request(method="POST", body=b"hello") + chunked + request()) * 10)
            for _ in range(10):
                assert [client.answer().body for _ in range(3)] == [b"hello", b"abc", b""]

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
    def test_in_pieces(self, size: int) -> None:
        data = (request(method="POST", body=b"hello") + request("/x")) * 3
        with serving(echo) as server, RawClient(server.address) as client:
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for start in range(0, len(data), size):
                client.send(data[start : start + size])
            assert [client.answer().body for _ in range(6)] == [b"hello", b""] * 3

    def test_a_pipelining_client_cannot_keep_another_out(self) -> None:
        order: list[str] = []
        gate = Gate()

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            if not order:
                order.append("first")
                gate.wait()
            order.append(environ["PATH_INFO"])
            return path(environ, start_response)

        with (
            serving(app, pool=1) as server,
            RawClient(server.address) as greedy,
            RawClient(server.address) as other,
        ):
            greedy.send(request("/greedy") * 100)
            gate.reached()
            other.send(request("/other"))
            eventually(lambda: server.stats.queued == 1)
            gate.open()
            assert other.answer().body == b"/other"
            for _ in range(100):
                assert greedy.answer().body == b"/greedy"
        assert order.index("/other") <= 3

    def test_an_error_ends_the_line(self) -> None:
        with serving(path) as server, RawClient(server.address) as client:
            client.send(request("/1") + b"BAD\r\n\r\n" + request("/2"))
            assert client.answer().body == b"/1"
            answer = client.answer()
            assert (answer.status, answer.closes, client.rest()) == (400, True, b"")

    def test_what_is_sent_ahead_is_not_read_ahead(self) -> None:
        # What a client sends while its request runs stays in the kernel, where the client's own window bounds it.
        gate = Gate()

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            gate.wait()
            return path(environ, start_response)

        with serving(app) as server, RawClient(server.address) as client:
            client.send(request())
            gate.reached()
            _send_until(BlockingIOError, client, request() * 1000)
            (connection,) = server.connections
            assert len(connection.ahead) <= 16 * 1024
            gate.open()


class TestFraming:
    """RFC 9112 §6 and §7, both ways."""

    @pytest.mark.parametrize("body", [b"", b"x", _LARGE])
    def test_6_2_a_length(self, body: bytes) -> None:
        with serving(echo) as server, RawClient(server.address) as client:
            answer = client.send(request(method="POST", body=body)).answer()
            assert (answer.body == body, answer["content-length"]) == (True, str(len(body)))
            assert client.get().status == 200

    def test_7_1_chunks_both_ways_while_they_come(self) -> None:
        with serving(mirror) as server, RawClient(server.address) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in (b"a" * 1000, b"b" * 3000, b"c"):
                client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            client.send(b"0\r\nX-Sum: x\r\n\r\n" + request("/next"))
            answer = client.answer()
            assert answer.body == b"a" * 1000 + b"b" * 3000 + b"c"
            assert [len(piece) for piece in answer.pieces] == [1000, 1000, 1000, 1000, 1]
            assert client.answer().status == 200

    def test_7_1_a_large_body_streams_through(self) -> None:
        with serving(mirror) as server, RawClient(server.address) as client:
            data = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            data += b"%x\r\n%b\r\n0\r\n\r\n" % (100_000, _LARGE[:100_000])
            assert client.send(data).answer().body == _LARGE[:100_000]

    def test_6_3_the_end_of_the_connection_for_http_1_0(self) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [])
            yield b"a"
            yield b"b"

        with serving(app) as server, RawClient(server.address) as client:
            answer = client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").answer()
            assert (answer.body, answer.closes) == (b"ab", True)

    def test_9110_9_3_2_head(self) -> None:
        with serving(path) as server, RawClient(server.address) as client:
            client.send(request("/1", "HEAD") + request("/2"))
            assert client.answer("HEAD").status == 200
            assert client.answer().body == b"/2"

    @pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
    def test_9110_6_4_1_no_content(self, status: str) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response(status, [])
            return [b"content"]

        with serving(app) as server, RawClient(server.address) as client:
            for _ in range(2):
                assert client.get().line == f"HTTP/1.1 {status}"

    def test_a_length_that_is_too_short_closes(self, caplog: pytest.LogCaptureFixture) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [("Content-Length", "9")])
            yield b"short"

        with serving(app) as server, RawClient(server.address) as client:
            client.send(request()).head()
            assert client.rest() == b"short"
        assert "less than its Content-Length" in caplog.text

    def test_one_that_is_too_long_is_cut(self, caplog: pytest.LogCaptureFixture) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [("Content-Length", "3")])
            return [b"longHTTP/1.1 200 OK\r\n\r\n"]

        with serving(app) as server, RawClient(server.address) as client:
            assert client.send(request() * 2).answer().body == b"lon"
            assert client.rest() == b""
        assert "more than its Content-Length" in caplog.text


class TestClientDisconnected:
    def test_not_while_the_client_is_there(self) -> None:
        told: list[bool] = []
        gate = Gate()

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            told.append(environ["greenserve.client_disconnected"]())
            gate.wait()
            told.append(environ["greenserve.client_disconnected"]())
            return path(environ, start_response)

        with serving(app) as server, RawClient(server.address) as client:
            client.send(request())
            gate.reached()
            client.send(b"GET /next")  # nor while it pipelines
            gate.open()
            assert client.answer().status == 200
        assert told == [False, False]

    def test_when_it_has_gone(self) -> None:
        told: list[bool] = []
        gate = Gate()

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            gate.wait()
            told.append(environ["greenserve.client_disconnected"]())
            return path(environ, start_response)

        for end in (RawClient.close, RawClient.reset):
            with serving(app) as server:
                client = RawClient(server.address)
                client.send(request())
                gate.reached()
                end(client)
                gate.open()
                becomes_quiet(server)
            gate = Gate()
        assert told == [True, True]


def test_peer_and_environ_are_those_of_the_connection() -> None:
    seen: list[Any] = []

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        seen.append((environ["REMOTE_ADDR"], environ["REMOTE_PORT"], environ["SERVER_PORT"]))
        return path(environ, start_response)

    with serving(app) as server, RawClient(server.address) as client:
        client.get()
        address, port = client.sock.getsockname()
        assert seen == [(address, str(port), str(server.port))]
