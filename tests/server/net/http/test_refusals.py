"""refusals: what never reaches the app, each with its status, in plain text, and the connection closed behind it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.raw import RawClient, ask, request
from tests.support.servers.apps import Environ, Start, echo, path
from tests.support.servers.running import becomes_quiet, serving

pytestmark = pytest.mark.over_tls_too

_SMUGGLED = request("/smuggled")
_CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

# (status, what was sent): the probes that other servers let pass are among them.
REFUSED = [
    (400, b"nonsense\r\n\r\n"),
    (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),  # a TLS client that has mistaken the port
    (400, b"GET / HTTP/1.1\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: x\r\nA: b\nHost: y\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\n A: b\r\nHost: x\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: x\r\n\xe4: b\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: x:65536\r\n\r\n"),
    (400, b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, b"GET / http/1.1\r\nHost: x\r\n\r\n"),
    (400, b"GET  HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, b"GET /\nHost:x/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, b"GET /<> HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, b"GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, b"GET * HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, b"GET x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n"),
    (400, b"\r\n" * 9),
    (400, b"\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: x\r\nContent-Type: a\r\nContent-Type: b\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n"),
    (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\nabc"),
    (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc"),
    (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
    (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999999999\r\n\r\n"),
    (400, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    (400, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    (400, b"GET / HTTP/1.1\nHost: x\n\n\r\n\r\n"),
    (400, b"G@T / HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, b"GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n"),
    (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
    (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc"),
    (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1_0\r\n\r\nabc"),
    (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (400, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (400, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n"),
    (400, _CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n"),
    (400, _CHUNKED + b"+3\r\nabc\r\n0\r\n\r\n"),
    (400, _CHUNKED + b"-1\r\nabc\r\n0\r\n\r\n"),
    (400, _CHUNKED + b"3\r\nabcjunk\r\n0\r\n\r\n"),
    (400, _CHUNKED + b"3\nabc\n0\n\n"),
    (400, _CHUNKED + b"3;\n\r\nabc\r\n0\r\n\r\n"),
    (400, _CHUNKED + b"3;a\rb\r\nabc\r\n0\r\n\r\n"),
    (400, _CHUNKED + b"3\r\nabcXX0\r\n\r\n"),
    (400, _CHUNKED + b"3;" + b"a" * 1100 + b"\r\nabc\r\n0\r\n\r\n"),
    (400, _CHUNKED + b"0\r\nbad trailer\r\n\r\n"),
    (400, _CHUNKED + b"0\r\nContent-Length: 3\r\n\r\n"),
    (411, b"POST / HTTP/1.0\r\n\r\n"),
    (413, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n"),
    (413, _CHUNKED + b"3E9\r\n"),
    (413, _CHUNKED + b"3e8\r\n" + b"a" * 1000 + b"\r\n1\r\na\r\n0\r\n\r\n"),
    (414, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    (414, b"GET /" + b"a" * 9000),
    (417, b"POST / HTTP/1.1\r\nHost: x\r\nExpect: more\r\nContent-Length: 3\r\n\r\nabc"),
    (431, b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 9000 + b"\r\n\r\n"),
    (431, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 100 + b"\r\n"),
    (431, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20_000),
    (431, _CHUNKED + b"0\r\n" + b"A: b\r\n" * 20_000),
    (431, _CHUNKED + b"0\r\n" + b"A: b\r\n" * 101 + b"\r\n"),
    (417, b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue, more\r\nContent-Length: 3\r\n\r\nabc"),
    (501, b"get / HTTP/1.1\r\nHost: x\r\n\r\n"),
    (501, b"PRI / HTTP/1.1\r\nHost: x\r\n\r\n"),
    (501, b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n"),
    (501, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    (501, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    (505, b"GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
    (505, b"GET / HTTP/1.9\r\nHost: x\r\n\r\n"),
    (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
]


@pytest.mark.parametrize(
    ("status", "data"), REFUSED, ids=[f"{status}-{data[:60]!r}" for status, data in REFUSED]
)
def test_refused(status: int, data: bytes) -> None:
    seen: list[str] = []

    def app(environ: Environ, start_response: Start) -> Any:
        seen.append(environ["PATH_INFO"])
        return echo(environ, start_response)

    with serving(app, limit_request_body=1000) as server:
        for bytes_ in (data, data + _SMUGGLED if b"\r\n\r\n" in data else data):
            with RawClient(server.address) as client:
                answer = client.send(bytes_).answer()
                assert answer.status == status
                assert answer.closes
                assert answer["content-type"] == "text/plain; charset=utf-8"
                assert answer.body.startswith(b"%d " % status)
                assert "python" not in str(answer).lower()  # no fingerprint
                assert client.rest() == b""
        assert "/smuggled" not in seen
        becomes_quiet(server)


@pytest.mark.parametrize("size", [1, 10])
def test_the_same_byte_by_byte(size: int) -> None:
    with serving(echo, limit_request_body=1000) as server:
        for _, data in REFUSED:
            if len(data) < 300:
                with RawClient(server.address) as client:
                    try:
                        for at in range(0, len(data), size):
                            client.send(data[at : at + size])
                    except ConnectionError:
                        pass  # refused long before the end, and no longer read
                    assert client.answer().status >= 400
        becomes_quiet(server)


def test_the_reason_is_told_with_its_rule_and_nothing_of_the_request() -> None:
    with serving(path) as server:
        answer = ask(server.address, b"GET /secret HTTP/1.1\r\nHost: x\r\nHost: secret\r\n\r\n")
        assert b"RFC 9112 \xc2\xa73.2" in answer.body
        assert b"secret" not in answer.body


def test_head_gets_no_body() -> None:
    with serving(path, limit_request_body=1) as server, RawClient(server.address) as client:
        client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        assert client.answer("HEAD").status == 413
        assert client.rest() == b""


def test_they_are_counted_and_logged(tmp_path: Path) -> None:
    log = tmp_path / "access"
    with serving(path, access_logfile=str(log), access_log_format="json", limit_request_body=1) as server:
        ask(server.address, b"nonsense\r\n\r\n")
        ask(server.address, b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        assert (server.stats.refused, server.stats.requests) == (2, 0)
        becomes_quiet(server)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["status"], line["method"], line["target"], line["version"]) for line in lines] == [
        (400, "", "", ""),
        (413, "POST", "/a", "HTTP/1.1"),
    ]
    assert all(line["peer"] == "127.0.0.1" and line["bytes_sent"] > 10 for line in lines)


def test_a_limit_can_be_raised() -> None:
    with serving(echo, limit_request_line="32K", limit_request_head="128K", limit_request_body=0) as server:
        assert ask(server.address, request("/" + "a" * 20_000)).status == 200
        assert len(ask(server.address, request("/", "POST", bytes(17 << 20))).body) == 17 << 20
