"""apps/streams/proxy between a client and servers that do all that servers do."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
import requests
from apps.streams import proxy
from tests.support.clients.raw import RawClient, ask, request
from tests.support.servers.running import Gate, becomes_quiet, serving
from tests.support.times import MS, PATIENCE


class Upstream:
    """An app that says what it was asked, and does as the path says."""

    def __init__(self):
        self.gate = Gate()
        self.first = []

    def __call__(self, environ, start_response):
        path, body = environ["PATH_INFO"], environ["wsgi.input"]
        if path == "/stream":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return self.stream()
        if path == "/dialogue":
            self.first.append(body.read(3))
            start_response("200 OK", [])
            return iter([b"got ", self.first[0], b" ", body.read()])
        if path == "/early":
            start_response("413 Content Too Large", [("Content-Length", "3")])
            return [b"no\n"]
        if path == "/short":
            start_response("200 OK", [("Content-Length", "10")])
            return [b"half"]
        told = {key: value for key, value in environ.items() if key.startswith(("HTTP_", "CONTENT_", "RAW_"))}
        told |= {"method": environ["REQUEST_METHOD"], "body": body.read().decode()}
        content = json.dumps(told).encode()
        fields = [("X-Own", "yes"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
        start_response("203 Anything", [*fields, ("Content-Length", str(len(content)))])
        return [content]

    def stream(self):
        yield b"first"
        self.gate.wait()
        yield b"second"


@contextmanager
def behind(monkeypatch, address):
    monkeypatch.setattr(proxy, "UPSTREAM", urlsplit(f"//{address}"))
    with serving(proxy.app, body_timeout=2000 * MS) as server:
        yield server


@pytest.fixture
def upstream():
    return Upstream()


@pytest.fixture
def server(upstream, monkeypatch):
    with serving(upstream) as behind_it, behind(monkeypatch, urlsplit(behind_it.url).netloc) as server:
        server.behind_it = behind_it
        yield server
        becomes_quiet(behind_it)


def test_passes_a_request_and_a_response_on(server):
    fields = {"Cookie": "c=1", "X-Hop": "1", "Connection": "x-hop, keep-alive", "X-Forwarded-For": "10.1.1.1"}
    answer = requests.post(f"{server.url}/a%2Fb?c=%20d", data="body", headers=fields, timeout=PATIENCE)
    assert (answer.status_code, answer.reason) == (203, "Non-Authoritative Information")
    assert answer.raw.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
    assert answer.headers["X-Own"] == "yes"
    told = answer.json()
    assert (told["method"], told["RAW_URI"], told["body"]) == ("POST", "/a%2Fb?c=%20d", "body")
    assert told["HTTP_COOKIE"] == "c=1"
    assert told["HTTP_HOST"] == urlsplit(server.url).netloc
    assert told["HTTP_X_FORWARDED_PROTO"] == "http"
    assert told["HTTP_X_FORWARDED_FOR"] == "10.1.1.1"
    assert "HTTP_X_HOP" not in told


def test_the_absolute_form_becomes_a_path(server):
    told = ask(server.address, request("http://x/a?b")).body
    assert json.loads(told)["RAW_URI"] == "/a?b"


def test_a_response_comes_piece_by_piece(server, upstream):
    with RawClient(server.address) as client:
        client.send(request("/stream"))
        client.head()
        assert client.chunk() == b"first"
        upstream.gate.reached()
        upstream.gate.open()
        assert [client.chunk(), client.chunk()] == [b"second", b""]


def test_a_body_without_a_length_arrives_whole(server):
    body = [b"abc", bytes(200_000).replace(b"\0", b"x"), b"end"]
    answer = requests.put(f"{server.url}/dialogue", data=iter(body), timeout=PATIENCE)
    assert answer.content == b"got abc " + b"".join(body[1:])


def test_a_head_has_no_body(server):
    answer = requests.head(server.url, timeout=PATIENCE)
    assert answer.status_code == 203
    assert int(answer.headers["Content-Length"]) > 0


def test_an_answer_before_the_end_of_the_body_arrives(server):
    answer = requests.post(f"{server.url}/early", data=bytes(1_000_000), timeout=PATIENCE)
    assert (answer.status_code, answer.text) == (413, "no\n")


def test_a_response_that_breaks_off_is_not_taken_for_a_whole_one(server):
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.get(f"{server.url}/short", timeout=PATIENCE)


def test_an_error_of_the_client_is_answered_as_such(server):
    with RawClient(server.address) as client:
        client.send(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n"
        )
        assert client.answer().status == 400


def test_a_client_that_leaves_ends_the_connection_behind(server, upstream):
    with RawClient(server.address) as client:
        client.send(request("/stream"))
        client.head()
    upstream.gate.reached()
    upstream.gate.open()  # what it says next goes nowhere; `becomes_quiet` sees the end


def test_without_a_server_behind_it_502(monkeypatch):
    with socket.socket() as unbound:
        unbound.bind(("127.0.0.1", 0))  # and never listens
        with behind(monkeypatch, f"127.0.0.1:{unbound.getsockname()[1]}") as server:
            answer = requests.get(server.url, timeout=PATIENCE)
    assert (answer.status_code, answer.text) == (
        502,
        "Bad Gateway: the server behind this one gave no answer. Try again later.\n",
    )


@contextmanager
def answering(said):
    """A server that reads once, says this to whatever it was asked, and closes. Its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_once():
            sock, _ = listener.accept()
            with sock:
                sock.recv(65_536)
                sock.sendall(said)

        thread = threading.Thread(target=answer_once)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"", 502),
        (b"SSH-2.0-OpenSSH\r\n", 502),
        (b"HTTP/1.1 200 " + b"x" * 70_000, 502),
        (
            b"HTTP/1.1 200 \xff\x01\r\nA: b\r\n  c\r\nConnection: Hop\r\nHop: x\r\nContent-Length: 0\r\n\r\n",
            200,
        ),
    ],
)
def test_whatever_is_behind_it_the_client_gets_http(monkeypatch, said, status):
    with answering(said) as address, behind(monkeypatch, address) as server:
        answer = requests.get(server.url, timeout=PATIENCE)
    assert answer.status_code == status
    assert (answer.headers.get("A"), "Hop" in answer.headers) == ("b c" if status == 200 else None, False)


def test_an_answer_arrives_of_a_server_that_closes_over_the_body(monkeypatch):
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno\n"
    with answering(refusal) as address, behind(monkeypatch, address) as server:
        answer = requests.post(server.url, data=bytes(10_000_000), timeout=PATIENCE)
    assert (answer.status_code, answer.text) == (413, "no\n")


def test_a_silent_server_behind_it_504(monkeypatch):
    monkeypatch.setattr(proxy, "SILENT_SECONDS", 0.05)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        behind(monkeypatch, f"127.0.0.1:{silent.getsockname()[1]}") as server,
    ):
        assert requests.get(server.url, timeout=PATIENCE).status_code == 504
