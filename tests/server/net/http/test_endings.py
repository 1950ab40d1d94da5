"""connection: how an answer ends, and whether the client can tell: lengths, versions, Connection, errors on the way."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest
import requests
from tests.support.clients.raw import RawClient, ask, request
from tests.support.servers.apps import Environ, Routes, Start
from tests.support.servers.running import Gate, becomes_quiet, serving
from tests.support.times import PATIENCE, eventually

from greenserve import Server

_PLAIN = [("Content-Type", "text/plain")]


class _App(Routes):
    def pieces(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", _PLAIN)
        return iter([b"a", b"b"])

    def fails(self, environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", _PLAIN)
        yield b"part"
        raise ValueError("on the way")

    def fails_with_a_length(self, environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [*_PLAIN, ("Content-Length", "99")])
        yield b"part"
        raise ValueError("on the way")

    def short(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [*_PLAIN, ("Content-Length", "99")])
        return [b"part"]

    def long(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [*_PLAIN, ("Content-Length", "4")])
        return [b"partHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]

    def injects(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [("X", environ["PATH_INFO"] + "\r\nSet-Cookie: stolen=1")])
        return [b"x"]

    def upgrades(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [("Upgrade", "x"), ("Connection", "upgrade")])
        return [b"x"]

    def none(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response(environ["QUERY_STRING"].replace("%20", " "), _PLAIN)
        return [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]

    def closes(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [*_PLAIN, ("Connection", environ["QUERY_STRING"])])
        return [b"x"]

    def hints(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
        environ["wsgi.early_hints"]([("Link", "</b.css>; rel=preload")])
        body = environ["wsgi.input"].read()
        start_response("200 OK", _PLAIN)
        return [b"hinted", body]


@pytest.fixture(scope="module")
def server(on_hub: None) -> Iterator[Server]:
    with serving(_App()) as server:
        yield server


class TestConnection:
    """RFC 9112 §9.3: whether the connection goes on, for both versions and all spellings."""

    @pytest.mark.parametrize(
        ("version", "fields", "stays"),
        [
            ("1.1", [], True),
            ("1.1", ["Connection: close"], False),
            ("1.1", ["connection: CLOSE"], False),
            ("1.1", ["Connection: close, x"], False),
            ("1.1", ["Connection: x ,\tClose"], False),
            ("1.1", ["Connection: x", "Connection: close"], False),
            ("1.1", ["Connection: close", "Connection: keep-alive"], False),
            ("1.1", ["Connection: keep-alive, close"], False),
            ("1.1", ["Connection: Keep-Alive"], True),
            ("1.1", ["Connection: closed, not-close"], True),
            ("1.1", ["Connection:"], True),
            ("1.0", [], False),
            ("1.0", ["Connection: close"], False),
            ("1.0", ["Connection: keep-alive"], True),
            ("1.0", ["Connection: Keep-Alive"], True),
            ("1.0", ["connection: x, KEEP-ALIVE"], True),
            ("1.0", ["Connection: x", "Connection: keep-alive"], True),
            ("1.0", ["Connection: keep-alive, close"], False),
            ("1.0", ["Connection: keep-alive", "Connection: close"], False),
            ("1.0", ["Keep-Alive: timeout=5"], False),
            ("1.0", ["Connection: x-keep-alive"], False),
        ],
    )
    def test_9_3_as_the_client_asks(
        self, version: str, fields: list[str], stays: bool, server: Server
    ) -> None:
        lines = "".join(f"{line}\r\n" for line in ["Host: x", *fields])
        with RawClient(server.address) as client:
            answer = client.send(f"GET /a HTTP/{version}\r\n{lines}\r\n".encode()).answer()
            assert (answer.body, answer.line) == (b"/a", "HTTP/1.1 200 OK")
            assert answer.closes is not stays
            if stays:
                assert ("connection" in answer) is (version == "1.0")
                assert client.get("/b").body == b"/b"
            else:
                assert client.rest() == b""

    @pytest.mark.parametrize(
        ("option", "stays"), [("close", False), ("Close,x", False), ("keep-alive", True), ("x-close", True)]
    )
    def test_9_6_as_the_app_asks(self, option: str, stays: bool, server: Server) -> None:
        with RawClient(server.address) as client:
            answer = client.get(f"/closes?{option}")
            assert answer.closes is not stays
            assert "x" not in answer
            if stays:
                assert client.get("/b").body == b"/b"
            else:
                assert client.rest() == b""

    def test_6_3_http_1_0_without_a_length_ends_with_the_connection(self, server: Server) -> None:
        with RawClient(server.address) as client:
            answer = client.send(b"GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").answer()
            assert (answer.body, answer.closes) == (b"ab", True)
            assert "transfer-encoding" not in answer

    @pytest.mark.parametrize("status", ["204%20x", "205%20x", "304%20x"])
    @pytest.mark.parametrize("version", ["1.0", "1.1"])
    def test_6_3_without_content_the_next_answer_follows_at_once(
        self, status: str, version: str, server: Server
    ) -> None:
        head = f"GET /none?{status} HTTP/{version}\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"
        with RawClient(server.address) as client:
            answer = client.send(head.encode()).answer()
            assert (answer.status, answer.body) == (int(status[:3]), b"")
            assert client.get("/next").body == b"/next"


class TestWhatAnAppDoesWrong:
    """The client sees an error or the end, and never bytes of the app's in the place of a head."""

    @pytest.mark.parametrize("path", ["/injects", "/upgrades", "/none?100%20Continue", "/none?OK"])
    def test_9110_15_6_1_a_500_and_a_loud_log(
        self, path: str, server: Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        with RawClient(server.address) as client:
            answer = client.get(path)
            assert (answer.status, answer.closes) == (500, True)
            assert answer["content-type"].startswith("text/plain")
            assert answer.body == b"500 Internal Server Error\n"
            assert "set-cookie" not in answer
            assert client.rest() == b""
        assert [record.levelname for record in caplog.records] == ["ERROR"]

    def test_9112_7_1_chunked_without_a_last_chunk(self, server: Server) -> None:
        with RawClient(server.address) as client:
            client.send(request("/fails") + request("/next")).head()
            assert client.chunk() == b"part"
            assert client.rest() == b""  # nothing of an error, nor of the next answer
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            requests.get(f"{server.url}/fails", timeout=PATIENCE)

    @pytest.mark.parametrize("path", ["/fails_with_a_length", "/short"])
    def test_9112_8_shorter_than_it_says(self, path: str, server: Server) -> None:
        with RawClient(server.address) as client:
            assert client.send(request(path) + request("/next")).head()["content-length"] == "99"
            assert client.rest() == b"part"
        with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
            requests.get(f"{server.url}{path}", timeout=PATIENCE)

    def test_9112_8_reset_where_only_the_end_would_tell(self, server: Server) -> None:
        with RawClient(server.address) as client:
            client.send(b"GET /fails HTTP/1.0\r\n\r\n").head()
            with pytest.raises(ConnectionResetError):
                client.rest()

    def test_9110_8_6_longer_than_it_says(self, server: Server) -> None:
        with RawClient(server.address) as client:
            assert client.send(request("/long") + request("/next")).answer().body == b"part"
            assert client.rest() == b""


def _hints(client: RawClient) -> list[str]:
    links = []
    for _ in range(2):
        head = client.head()
        assert (head.line, len(head.fields)) == ("HTTP/1.1 103 Early Hints", 1)
        links.append(head["link"])
    return links


_PAGE = "Sec-Fetch-Mode: navigate"  # as a browser asks for one


class TestEarlyHints:
    """RFC 8297."""

    _LINKS = ["</a.css>; rel=preload", "</b.css>; rel=preload"]  # noqa: RUF012  # a test's, never changed

    def test_8297_2_arrive_while_the_app_still_works(self) -> None:
        gate = Gate()

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
            gate.wait()
            start_response("200 OK", _PLAIN)
            return [b"x"]

        with serving(app) as server, RawClient(server.address) as client:
            head = client.send(request()).head()
            assert (head.status, head["link"]) == (103, "</a.css>; rel=preload")
            gate.reached()
            assert client.is_silent()
            gate.open()
            assert client.answer().body == b"x"

    def test_who_may_take_it_for_the_answer_gets_no_second_one(self, server: Server) -> None:
        """http.client would take each answer for that of its next request."""
        with RawClient(server.address) as client:
            client.send(request("/hints") + request("/a"))
            assert _hints(client) == self._LINKS
            answer = client.answer()
            assert (answer.body, answer.closes, client.rest()) == (b"hinted", True, b"")

    def test_9112_9_3_2_pipelined_each_before_its_answer(self, server: Server) -> None:
        with RawClient(server.address) as client:
            hints, head = (request("/hints", method, b"", _PAGE) for method in ("GET", "HEAD"))
            client.send(hints + request("/a") + head + hints)
            assert _hints(client) == self._LINKS
            assert client.answer().body == b"hinted"
            assert client.answer().body == b"/a"
            assert _hints(client) == self._LINKS
            assert client.answer("HEAD").status == 200
            assert _hints(client) == self._LINKS
            assert client.answer().body == b"hinted"

    def test_9110_10_1_1_and_100_continue(self, server: Server) -> None:
        with RawClient(server.address) as client:
            client.send(b"POST /hints HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n")
            client.send(b"Expect: 100-continue\r\n\r\n")
            assert _hints(client) == self._LINKS
            assert client.head().status == 100
            assert client.send(b"ab").answer().body == b"hintedab"

    def test_9110_15_2_http_1_0_gets_none(self, server: Server) -> None:
        with RawClient(server.address) as client:
            client.send(b"GET /hints HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert client.answer().body == b"hinted"
            assert client.get("/b").body == b"/b"

    def test_what_an_app_keeps_is_of_no_use_to_the_next_request(self) -> None:
        # Behind a proxy the next one on this connection may be another user's.
        kept: list[Any] = []

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            for hint in kept:
                hint([("Link", "</of-the-one-before>; rel=preload")])
            kept.append(environ["wsgi.early_hints"])
            start_response("200 OK", _PLAIN)
            return [b"x"]

        with serving(app) as server, RawClient(server.address) as client:
            assert [client.get().status, client.get().status] == [200, 200]

    def test_a_client_that_goes_away_between_hints(self, caplog: pytest.LogCaptureFixture) -> None:
        gate = Gate()

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            gate.wait()
            while True:
                environ["wsgi.early_hints"]([("Link", "x" * 1000)])

        with serving(app) as server:
            client = RawClient(server.address)
            client.send(request())
            gate.reached()
            client.reset()
            gate.open()
            becomes_quiet(server)
        assert not caplog.records

    @pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
    def test_curl_shows_them(self, server: Server) -> None:
        ran = subprocess.run(
            ["curl", "-sSv", "--max-time", str(PATIENCE), f"{server.url}/hints", f"{server.url}/a"],
            capture_output=True,
            check=True,
            text=True,
        )
        assert ran.stdout == "hinted/a"
        assert ran.stderr.count("< HTTP/1.1 103 Early Hints") == 2
        assert ran.stderr.index("103 Early Hints") < ran.stderr.index("200 OK")

    def test_httpx_passes_them_by(self, server: Server) -> None:
        # Python's http.client, and with it requests, takes a 103 for the answer: see wsgi/README.md.
        with httpx.Client(timeout=PATIENCE) as client:
            for _ in range(2):
                answer = client.get(f"{server.url}/hints")
                assert (answer.status_code, answer.text, "link" in answer.headers) == (200, "hinted", False)


class TestErrorsOfTheServer:
    """RFC 9110 §15.5, §15.6: plain text, nothing told, and the connection closes."""

    @pytest.mark.parametrize(
        ("data", "status"),
        [
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
            (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
            (b"GET / HTTP/1.1\r\nHost: x\r\nExpect: y\r\n\r\n", 417),
            (b"POST / HTTP/1.0\r\n\r\n", 411),
        ],
    )
    def test_15_5_refusals(self, data: bytes, status: int, server: Server) -> None:
        with RawClient(server.address) as client:
            answer = client.send(data).answer()
            assert (answer.status, answer.closes) == (status, True)
            assert answer["content-type"] == "text/plain; charset=utf-8"
            assert "cache-control" not in answer
            assert answer.body.startswith(b"%d " % status)
            assert b"Traceback" not in answer.body
            assert client.rest() == b""

    def test_9110_9_3_2_of_an_app_that_failed_head_gets_no_content(
        self, server: Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        with RawClient(server.address) as client:
            answer = client.send(request("/injects", "HEAD")).answer("HEAD")
            assert (answer.status, answer.closes, answer["content-length"]) == (500, True, "26")
            assert client.rest() == b""


def test_unread_uploads_do_not_cost_the_client_its_answer() -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("413 Too much", [*_PLAIN, ("Connection", "close")])
        return [b"no"]

    with serving(app) as server:
        upload = request("/", "POST", b"x" * 300_000)
        assert ask(server.address, upload).body == b"no"


def test_a_whole_answer_is_not_reset_by_an_error_in_its_close(caplog: pytest.LogCaptureFixture) -> None:
    content = b"x" * 300_000

    class Pieces:
        def __iter__(self) -> Iterator[bytes]:
            return iter([content[:100_000]] * 3)

        def close(self) -> None:
            raise ValueError("in close")

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", _PLAIN)
        return Pieces()

    with serving(app) as server, RawClient(server.address) as client:
        assert client.send(b"GET / HTTP/1.0\r\n\r\n").answer().body == content
        eventually(lambda: "in close" in caplog.text)
