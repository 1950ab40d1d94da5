"""connection: 100 Continue, bodies that nobody reads, and how a connection is closed over them."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterable

import pytest
from tests.support.clients.raw import RawClient, ask, request
from tests.support.servers.apps import Environ, Start, echo, path
from tests.support.servers.running import Gate, becomes_quiet, serving
from tests.support.times import MS, PATIENCE, eventually

pytestmark = pytest.mark.over_tls_too

_LARGE = bytes(range(256)) * 20_000  # more than the sockets hold


def _send_until(error: type[OSError], client: RawClient, data: bytes) -> None:
    client.sock.settimeout(0 if error is BlockingIOError else PATIENCE)
    with contextlib.suppress(error, ssl.SSLEOFError):
        for _ in range(10_000):
            client.sock.send(data)
        raise AssertionError(f"no {error.__name__}")


class TestContinue:
    """RFC 9110 §10.1.1."""

    _HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

    def test_comes_at_the_apps_first_read(self) -> None:
        gate = Gate()

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            gate.wait()
            return echo(environ, start_response)

        with serving(app) as server, RawClient(server.address) as client:
            client.send(self._HEAD)
            gate.reached()
            assert client.is_silent()
            gate.open()
            assert client.head().line == "HTTP/1.1 100 Continue"
            assert client.send(b"hello").answer().body == b"hello"
            assert client.get().status == 200

    def test_is_not_sent_when_the_body_is_there(self) -> None:
        with serving(echo) as server:
            assert ask(server.address, self._HEAD + b"hello").status == 200

    def test_is_not_sent_when_nobody_reads_and_the_connection_closes(self) -> None:
        with serving(path) as server, RawClient(server.address) as client:
            answer = client.send(self._HEAD).answer()
            assert (answer.status, answer.closes, client.rest()) == (200, True, b"")

    def test_and_what_such_a_client_sends_is_no_request(self) -> None:
        with serving(path) as server, RawClient(server.address) as client:
            client.send(self._HEAD).answer()
            client.send(request("/smuggled"))
            assert client.rest() == b""
            assert server.stats.requests == 1

    def test_http_1_0_is_not_answered_so(self) -> None:
        with serving(echo) as server, RawClient(server.address) as client:
            client.send(b"POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
            assert client.answer().body == b"hello"

    def test_the_apps_own_fields(self) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            environ["wsgi.input"].set_hundred_continue_response_headers([("X-Quota", "7")])
            environ["wsgi.input"].send_hundred_continue_response()
            return echo(environ, start_response)

        with serving(app) as server, RawClient(server.address) as client:
            assert client.send(self._HEAD).head()["x-quota"] == "7"
            assert client.send(b"hello").answer().body == b"hello"


class TestUnreadBodies:
    """What the app left is thrown away within limit_request_discard, or the connection closes."""

    @pytest.mark.parametrize("chunked", [False, True])
    def test_a_little_is_thrown_away(self, chunked: bool) -> None:
        body = b"x" * 50_000
        if chunked:
            data = (
                b"POST /1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nC350\r\n"
                + body
                + b"\r\n0\r\n\r\n"
            )
        else:
            data = request("/1", "POST", body)
        with serving(path) as server, RawClient(server.address) as client:
            for _ in range(3):
                answer = client.send(data).answer()
                assert (answer.body, answer.closes) == (b"/1", False)

    def test_also_when_it_comes_late(self) -> None:
        with serving(path) as server, RawClient(server.address) as client:
            data = request("/1", "POST", b"x" * 20_000)
            assert client.send(data[:-500]).answer().body == b"/1"
            client.send(data[-500:] + request("/2"))
            assert client.answer().body == b"/2"

    @pytest.mark.parametrize("chunked", [False, True])
    def test_much_closes_and_the_client_still_sees_the_answer(self, chunked: bool) -> None:
        body = b"x" * 500_000
        if chunked:
            data = (
                b"POST /1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7A120\r\n"
                + body
                + b"\r\n0\r\n\r\n"
            )
        else:
            data = request("/1", "POST", body)
        with serving(path) as server, RawClient(server.address) as client:
            client.send(data)
            assert (client.answer().body, client.rest()) == (b"/1", b"")

    def test_none_is_read_when_it_is_switched_off(self) -> None:
        with serving(path, limit_request_discard=0) as server, RawClient(server.address) as client:
            assert client.send(request("/1", "POST", b"abc")).answer().body == b"/1"
            assert client.rest() == b""

    def test_a_malformed_rest_closes(self) -> None:
        with serving(path) as server, RawClient(server.address) as client:
            client.send(
                b"POST /1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + request("/2")
            )
            assert (client.answer().body, client.rest()) == (b"/1", b"")

    def test_a_client_that_goes_away_meanwhile(self) -> None:
        with serving(path) as server:
            with RawClient(server.address) as client:
                client.send(request("/1", "POST", b"x" * 20_000)[:-1]).answer()
            becomes_quiet(server)

    def test_the_app_that_reads_a_part(self) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            part = environ["wsgi.input"].read(3)
            start_response("200 OK", [])
            return [part]

        with serving(app) as server, RawClient(server.address) as client:
            client.send((request(method="POST", body=b"abcdef")) * 3)
            assert [client.answer().body for _ in range(3)] == [b"abc"] * 3


class TestClosing:
    """RFC 9112 §9.6: the client can read its answer, whatever it still sends."""

    def test_an_answer_is_not_lost_to_what_the_client_sends_after_it(self) -> None:
        gate = Gate()

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            gate.wait()
            start_response("200 OK", [])
            return [_LARGE]

        with serving(app) as server, RawClient(server.address) as client:
            client.send(request("/", "GET", b"", "Connection: close"))
            gate.reached()
            client.send(request() * 100)
            gate.open()
            assert client.answer().body == _LARGE
            assert client.rest() == b""

    def test_an_upload_that_nobody_wants(self) -> None:
        with serving(path, limit_request_body=1000) as server, RawClient(server.address) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000)
            answer = client.answer()
            assert (answer.status, answer.closes, client.rest()) == (413, True, b"")

    def test_a_client_that_never_closes_is_closed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("greenserve.net.http.connection._LINGER_TIME", 50 * MS)
        with serving(path) as server, RawClient(server.address) as client:
            assert client.send(b"BAD\r\n\r\n").answer().status == 400
            eventually(lambda: not server.stats.connections)

    def test_a_client_that_never_stops_sending_is_closed(self) -> None:
        with serving(path) as server, RawClient(server.address) as client:
            client.send(b"BAD\r\n\r\n")
            _send_until(ConnectionError, client, b"x" * 65536)
            becomes_quiet(server)
