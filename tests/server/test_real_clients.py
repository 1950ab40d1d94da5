"""The server as the clients of this world see it: curl, requests, http.client, urllib, h11; and a Flask app."""

from __future__ import annotations

import http.client
import io
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path

import flask
import h11
import pytest
import requests
from tests.support.servers.apps import Environ, Routes, Start, echo, mirror, path
from tests.support.servers.running import serving
from tests.support.times import PATIENCE

from greenserve import Server, sleep


class _App(Routes):
    def echo(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        return echo(environ, start_response)

    def mirror(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        return mirror(environ, start_response)

    def refuse(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"no"]

    def events(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        for number in range(5):
            yield b"data: %d\n\n" % number
            sleep(0.001)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One server for all of them."""
    with serving(_App(), limit_request_body="4M") as server:
        yield server


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
class TestCurl:
    def _curl(self, *arguments: str, data: bytes | None = None) -> str:
        ran = subprocess.run(
            ["curl", "-sS", "--max-time", str(PATIENCE), *arguments],
            input=data,
            capture_output=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.decode()

    def test_get_and_head(self, server: Server) -> None:
        assert self._curl(f"{server.url}/a?b") == "/a"
        assert self._curl("-I", server.url).startswith("HTTP/1.1 200 OK\r\n")

    def test_one_connection_for_many(self, server: Server) -> None:
        urls = [f"{server.url}/{number}" for number in range(5)]
        assert self._curl("-w", "[%{num_connects}]", *urls) == "/0[1]/1[0]/2[0]/3[0]/4[0]"

    def test_http_1_0(self, server: Server) -> None:
        out = self._curl("-0", "-i", f"{server.url}/a", f"{server.url}/b", "-w", "[%{num_connects}]")
        assert out.count("[1]") == 2
        assert out.count("Connection: close") == 2

    @pytest.mark.parametrize("route", ["echo", "mirror"])
    def test_an_upload_that_waits_for_100_continue(self, server: Server, route: str) -> None:
        data = b"x" * 2_000_000
        out = self._curl(
            "-T", "-", "-H", "Expect: 100-continue", "-D", "-", f"{server.url}/{route}", data=data
        )
        head, _, rest = out.partition("\r\n\r\n")
        assert head == "HTTP/1.1 100 Continue"
        assert rest.endswith("x" * 2_000_000)

    def test_a_refused_upload_is_not_sent(self, server: Server) -> None:
        out = self._curl(
            *("-d", "@-", "-H", "Expect: 100-continue", "-w", "[%{size_upload}]", f"{server.url}/refuse"),
            data=b"x" * 2_000_000,
        )
        assert out == "no[0]"

    def test_an_upload_that_is_too_large(self, server: Server) -> None:
        data = b"x" * 5_000_000
        out = self._curl(
            "--data-binary", "@-", "-o", "/dev/null", "-w", "%{http_code}", f"{server.url}/echo", data=data
        )
        assert out == "413"

    def test_events(self, server: Server) -> None:
        assert self._curl("-N", f"{server.url}/events") == "".join(
            f"data: {number}\n\n" for number in range(5)
        )

    def test_over_a_unix_socket(self, tmp_path: Path) -> None:
        with serving(path, bind=f"unix:{tmp_path}/socket"):
            assert self._curl("--unix-socket", f"{tmp_path}/socket", "http://x/a") == "/a"

    def test_a_proxy_header_of_version_1(self) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [
                repr(environ["greenserve.proxy_protocol"].source == environ["greenserve.peer"][:2]).encode()
            ]

        for versions in ("v1", "auto"):
            with serving(app, proxy_protocol=versions) as server:
                assert self._curl("--haproxy-protocol", server.url) == "True"

    def test_over_ipv6(self) -> None:
        with serving(path, bind="[::1]:0") as server:
            assert self._curl("-g", f"{server.url}/a") == "/a"


class TestRequests:
    def test_a_session(self, server: Server) -> None:
        with requests.Session() as session:
            for number in range(5):
                assert session.get(f"{server.url}/{number}", timeout=PATIENCE).text == f"/{number}"

    def test_a_body_that_is_streamed_both_ways(self, server: Server) -> None:
        pieces = [b"x" * 1000] * 100
        answer = requests.post(f"{server.url}/mirror", data=iter(pieces), stream=True, timeout=PATIENCE)
        with answer:
            assert b"".join(answer.iter_content(999)) == b"".join(pieces)

    def test_events_line_by_line(self, server: Server) -> None:
        with requests.get(f"{server.url}/events", stream=True, timeout=PATIENCE) as answer:
            lines = [line for line in answer.iter_lines() if line]
        assert lines == [b"data: %d" % number for number in range(5)]

    def test_a_method_of_its_own(self, server: Server) -> None:
        for method in ("PROPFIND", "BREW"):
            assert requests.request(method, f"{server.url}/a", timeout=PATIENCE).text == "/a"


class TestStandardLibrary:
    def test_http_client(self, server: Server) -> None:
        connection = http.client.HTTPConnection(*server.address, timeout=PATIENCE)
        for number in range(3):
            connection.request("POST", "/echo", body=b"%d" % number)
            assert connection.getresponse().read() == b"%d" % number
        connection.request(
            "POST",
            "/mirror",
            body=iter([b"a", b"b"]),
            encode_chunked=True,
            headers={"Transfer-Encoding": "chunked"},
        )
        assert connection.getresponse().read() == b"ab"
        connection.request("HEAD", "/a")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        connection.request("GET", "/a")
        assert connection.getresponse().read() == b"/a"
        connection.close()

    def test_urllib(self, server: Server) -> None:
        with urllib.request.urlopen(f"{server.url}/a", timeout=PATIENCE) as answer:
            assert answer.read() == b"/a"


def test_h11(server: Server) -> None:
    client = h11.Connection(h11.CLIENT)
    with socket.create_connection(server.address, PATIENCE) as sock:

        def next_event() -> object:
            while (event := client.next_event()) is h11.NEED_DATA:
                client.receive_data(sock.recv(65536))
            return event

        for body in (b"hello", b"", b"x" * 100_000):
            headers = [("Host", "x"), ("Transfer-Encoding", "chunked"), ("Expect", "100-continue")]
            sock.sendall(client.send(h11.Request(method="POST", target="/mirror", headers=headers)) or b"")
            assert client.they_are_waiting_for_100_continue is False
            response = next_event()
            assert isinstance(response, h11.InformationalResponse)
            if body:
                sock.sendall(client.send(h11.Data(body)) or b"")
            sock.sendall(client.send(h11.EndOfMessage()) or b"")
            assert isinstance(next_event(), h11.Response)
            received = b""
            while isinstance(event := next_event(), h11.Data):
                received += bytes(event.data)
            assert isinstance(event, h11.EndOfMessage)
            assert received == body
            client.start_next_cycle()


def _flask_app() -> flask.Flask:
    app = flask.Flask(__name__)
    app.secret_key = "a test's"

    @app.get("/hello/<name>")
    def hello(name: str) -> str:
        return f"Hello, {name}"

    @app.post("/upload")
    def upload() -> dict[str, object]:
        file = flask.request.files["file"]
        return {"name": file.filename, "size": len(file.read()), "field": flask.request.form["field"]}

    @app.get("/stream")
    def stream() -> flask.Response:
        def pieces() -> Iterator[str]:
            for number in range(3):
                sleep(0)
                yield f"{flask.request.args['x']}{number},"

        return flask.Response(flask.stream_with_context(pieces()), mimetype="text/plain")

    @app.get("/count")
    def count() -> str:
        flask.session["count"] = flask.session.get("count", 0) + 1
        return str(flask.session["count"])

    @app.get("/file")
    def file() -> flask.Response:
        return flask.send_file(io.BytesIO(b"0123456789"), mimetype="text/plain", conditional=True)

    @app.get("/module")
    def module() -> flask.Response:
        return flask.send_file(__file__)

    @app.get("/fail")
    def fail() -> str:
        raise ValueError("secret")

    return app


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Where the Flask app is."""
    with serving(_flask_app()) as server:
        yield server.url


class TestFlask:
    def test_routes(self, url: str) -> None:
        assert requests.get(f"{url}/hello/W%C3%B6rld", timeout=PATIENCE).text == "Hello, Wörld"
        assert requests.get(f"{url}/none", timeout=PATIENCE).status_code == 404
        assert requests.post(f"{url}/hello/x", data=b"x" * 100, timeout=PATIENCE).status_code == 405

    def test_an_upload(self, url: str) -> None:
        files = {"file": ("ä.txt", b"x" * 100_000)}
        answer = requests.post(f"{url}/upload", files=files, data={"field": "f"}, timeout=PATIENCE)
        assert answer.json() == {"name": "ä.txt", "size": 100_000, "field": "f"}

    def test_a_chunked_upload(self, url: str) -> None:
        request = requests.Request(
            "POST", f"{url}/upload", files={"file": ("a", b"x" * 9)}, data={"field": "f"}
        ).prepare()
        body = request.body
        assert isinstance(body, bytes)
        headers = {"Content-Type": request.headers["Content-Type"]}
        answer = requests.post(
            f"{url}/upload", data=iter([body[:50], body[50:]]), headers=headers, timeout=PATIENCE
        )
        assert answer.json()["size"] == 9

    def test_a_stream_with_its_request(self, url: str) -> None:
        assert requests.get(f"{url}/stream?x=n", timeout=PATIENCE).text == "n0,n1,n2,"

    def test_a_session(self, url: str) -> None:
        with requests.Session() as session:
            assert [session.get(f"{url}/count", timeout=PATIENCE).text for _ in range(3)] == ["1", "2", "3"]

    def test_files_and_ranges(self, url: str) -> None:
        answer = requests.get(f"{url}/file", headers={"Range": "bytes=2-4"}, timeout=PATIENCE)
        assert (answer.status_code, answer.text) == (206, "234")
        assert requests.get(f"{url}/module", timeout=PATIENCE).text == Path(__file__).read_text()

    def test_an_error(self, url: str) -> None:
        answer = requests.get(f"{url}/fail", timeout=PATIENCE)
        assert answer.status_code == 500
        assert "secret" not in answer.text
