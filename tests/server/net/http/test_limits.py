"""Each limit_request_ setting at its very edge, over a socket: what has just the size is served, one more is not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from tests.support.clients.raw import RawClient, ask, request
from tests.support.servers.apps import Environ, Start, echo, path
from tests.support.servers.running import serving

_CHUNKED = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def _line(size: int) -> bytes:
    return b"GET /" + b"a" * (size - len("GET / HTTP/1.1")) + b" HTTP/1.1\r\nHost: x\r\n\r\n"


def _field(size: int) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: x\r\nAbc: " + b"d" * (size - 3) + b"\r\n\r\n"


def _fields(count: int) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * (count - 1) + b"\r\n"


def _head(size: int) -> bytes:
    start = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: bbbbbbbbbb\r\n" * 10
    return start + b"A: " + b"b" * (size - len(start) - 7) + b"\r\n\r\n"


def _length(size: int) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b"a" * size


def _one_chunk(size: int) -> bytes:
    return _CHUNKED + b"%x\r\n" % size + b"a" * size + b"\r\n0\r\n\r\n"


def _small_chunks(size: int) -> bytes:
    return _CHUNKED + b"1\r\na\r\n" * size + b"0\r\n\r\n"


def _trailers(size: int) -> bytes:
    return _CHUNKED + b"0\r\nA: " + b"b" * (size - 5) + b"\r\n\r\n"  # the CRLF at the end is no trailer


def _many_trailers(count: int) -> bytes:
    return _CHUNKED + b"0\r\n" + b"A: b\r\n" * count + b"\r\n"


@pytest.mark.parametrize(
    ("setting", "make", "most", "status"),
    [
        ("limit_request_line", _line, 100, 414),
        ("limit_request_field_size", _field, 100, 431),
        ("limit_request_field_size", _trailers, 100, 431),
        ("limit_request_fields", _fields, 5, 431),
        ("limit_request_fields", _many_trailers, 5, 431),
        ("limit_request_head", _head, 400, 431),
        ("limit_request_body", _length, 1000, 413),
        ("limit_request_body", _one_chunk, 1000, 413),
        ("limit_request_body", _small_chunks, 1000, 413),
    ],
)
def test_at_its_edge(setting: str, make: Any, most: int, status: int) -> None:
    parts = dict.fromkeys(
        ["limit_request_line", "limit_request_field_size"], most
    )  # not longer than the whole
    with serving(echo, **{**(parts if setting == "limit_request_head" else {}), setting: most}) as server:
        for data in (make(most), make(most) * 2):
            assert ask(server.address, data).status == 200
        answer = ask(server.address, make(most + 1))
        assert (answer.status, answer.closes) == (status, True)
        assert setting in answer.body.decode()


@pytest.mark.parametrize("make", [_length, _one_chunk, _small_chunks])
def test_limit_request_discard_at_its_edge(make: Any) -> None:
    with serving(path, limit_request_discard=1000) as server:
        with RawClient(server.address) as client:
            client.send(make(1000) + request("/next"))
            assert [client.answer().status for _ in range(2)] == [200, 200]
        with RawClient(server.address) as client:
            client.send(make(1001) + request("/next"))
            assert (client.answer().status, client.rest()) == (200, b"")


def test_what_the_defaults_are_at_their_edges() -> None:
    with serving(echo) as server:
        for make, most, status in ((_line, 8190, 414), (_field, 8190, 431), (_fields, 100, 431)):
            assert ask(server.address, make(most)).status == 200
            assert ask(server.address, make(most + 1)).status == status


def test_header_map_is_each_servers_own() -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [repr(sorted(key for key in environ if key.startswith("HTTP_"))).encode()]

    data = request("/", "GET", b"", "X_Forwarded_For: 1", "Accept: a")
    with serving(app) as drops, serving(app, header_map="refuse") as refuses:
        for _ in range(3):
            assert ask(drops.address, data).body == b"['HTTP_ACCEPT', 'HTTP_HOST']"
            answer = ask(refuses.address, data)
            assert (answer.status, b"header_map" in answer.body, answer.closes) == (400, True, True)
            assert ask(refuses.address, request("/", "GET", b"", "Proxy: x")).body == b"['HTTP_HOST']"
