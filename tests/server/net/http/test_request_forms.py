"""What an app sees of requests that are written in one of the rarer ways, over a socket; in RFC 9112's order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import Environ, Start
from tests.support.servers.running import serving

from greenserve import Server


def _app(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Answers with what it was told."""
    body = environ["wsgi.input"].read(-1)
    told: dict[str, Any] = {key: value for key, value in environ.items() if isinstance(value, str)}
    told["body"] = body.decode("latin-1")
    told["trailers"] = environ["greenserve.trailers"]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]


@pytest.fixture(scope="module")
def server(on_hub: None) -> Iterator[Server]:
    with serving(validator(_app)) as server:
        yield server


def _told(server: Server, data: bytes) -> dict[str, Any]:
    with RawClient(server.address) as client:
        answer = client.send(data).answer()
        assert answer.status == 200, answer.body
        told: dict[str, Any] = json.loads(answer.body)
        return told


def test_9112_2_2_empty_lines_before_the_request_line_are_skipped(server: Server) -> None:
    with RawClient(server.address) as client:
        for lines in (b"\r\n", b"\r\n\r\n", b"\r\n"):
            assert json.loads(client.send(lines + request("/a")).answer().body)["PATH_INFO"] == "/a"


def test_9112_3_2_1_the_path_is_decoded_and_the_target_kept(server: Server) -> None:
    told = _told(server, b"GET //a%2Fb/%C3%A4%252F;p?c=%20&d=[1]|{} HTTP/1.1\r\nHost: x\r\n\r\n")
    assert told["PATH_INFO"] == "//a/b/\xc3\xa4%2F;p"
    assert told["QUERY_STRING"] == "c=%20&d=[1]|{}"
    assert told["RAW_URI"] == told["REQUEST_URI"] == "//a%2Fb/%C3%A4%252F;p?c=%20&d=[1]|{}"
    assert told["SCRIPT_NAME"] == ""


def test_9112_3_2_2_an_absolute_target_is_taken_apart(server: Server) -> None:
    told = _told(server, b"GET http://X:80/a?b HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (told["PATH_INFO"], told["QUERY_STRING"], told["HTTP_HOST"]) == ("/a", "b", "X:80")
    assert told["RAW_URI"] == "http://X:80/a?b"
    assert told["wsgi.url_scheme"] == "http"


def test_9112_3_2_4_the_asterisk_has_no_path(server: Server) -> None:
    told = _told(server, b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (told["PATH_INFO"], told["RAW_URI"], told["REQUEST_METHOD"]) == ("", "*", "OPTIONS")


def test_9112_3_3_without_a_host_the_name_is_the_servers(server: Server) -> None:
    assert "HTTP_HOST" not in _told(server, b"GET / HTTP/1.0\r\n\r\n")
    assert _told(server, b"GET / HTTP/1.1\r\nHost:\r\n\r\n")["HTTP_HOST"] == ""


def test_9110_7_4_an_https_target_wants_tls(server: Server) -> None:
    with RawClient(server.address) as client:
        answer = client.send(b"GET https://x/ HTTP/1.1\r\nHost: x\r\n\r\n" + request()).answer()
        assert (answer.status, answer.closes, client.rest()) == (421, True, b"")


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_9112_7_1_2_trailers_are_offered_apart(server: Server, size: int) -> None:
    data = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    data += b"3\r\nabc\r\n0\r\nX-Sum: \xe4\r\nx-sum: 2\r\n\r\n"
    with RawClient(server.address) as client:
        for start in range(0, len(data), size):
            client.send(data[start : start + size])
        told = json.loads(client.answer().body)
        assert (told["body"], told["trailers"]) == ("abc", [["X-Sum", "\xe4"], ["x-sum", "2"]])
        assert "HTTP_X_SUM" not in told
        # What came at the end of one request is no part of the next.
        assert json.loads(client.get().body)["trailers"] == []


@pytest.mark.parametrize("method", ["PROPFIND", "QUERY", "VERSION-CONTROL", "BREW", "SETUP"])
def test_9110_9_1_any_method_is_the_apps(method: str) -> None:
    with serving(_app) as server:  # the validator knows fewer methods
        told = _told(server, request("/a", method, b"abc"))
    assert (told["REQUEST_METHOD"], told["body"]) == (method, "abc")


def test_9110_5_3_doubles(server: Server) -> None:
    fields = ("Accept: a", "Cookie: b=1", "accept: c", "cookie: d=2", "User-Agent: e", "user-agent: e")
    told = _told(server, request("/", "GET", b"", *fields))
    assert (told["HTTP_ACCEPT"], told["HTTP_COOKIE"], told["HTTP_USER_AGENT"]) == ("a, c", "b=1; d=2", "e")


def test_9110_10_1_1_http_1_0_expects_nothing(server: Server) -> None:
    for expectation in (b"100-continue", b"more"):
        told = _told(server, b"POST / HTTP/1.0\r\nExpect: %b\r\nContent-Length: 3\r\n\r\nabc" % expectation)
        assert told["body"] == "abc"
