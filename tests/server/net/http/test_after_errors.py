"""Behind an error of framing nothing is a request, and its client sees it and no reset (RFC 9112 §9.6, §11.2)."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.server.net.http.test_refusals import REFUSED
from tests.support.clients.raw import RawClient, request
from tests.support.examples import examples
from tests.support.protocols.heads import split
from tests.support.servers.apps import Environ, Start, echo
from tests.support.servers.running import becomes_quiet, serving

from greenserve import Server

_SHORT = [(status, data) for status, data in REFUSED if len(data) < 400]
# Whole requests, and what could become one together with what stands before it.
_BEHIND = st.lists(
    st.sampled_from(
        [
            request("/smuggled"),
            request("/smuggled", "POST", b"abc"),
            b"\r\n",
            b"\n",
            b"x",
            b"0\r\n\r\n",
            b"Host: x\r\n\r\n",
            b"GET /smuggled HTTP/1.0\r\n\r\n",
        ]
    ),
    max_size=6,
).map(b"".join)


class _App:
    def __init__(self) -> None:
        self.paths: list[str] = []

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        self.paths.append(environ["PATH_INFO"])
        return echo(environ, start_response)


@pytest.fixture(scope="module")
def app() -> _App:
    return _App()


@pytest.fixture(scope="module")
def server(app: _App, on_hub: None) -> Iterator[Server]:
    with serving(app, limit_request_body=1000) as server:
        yield server


@given(
    st.integers(0, 2),
    st.sampled_from(_SHORT),
    _BEHIND,
    st.lists(st.integers(0, 2000), max_size=6),
    st.booleans(),
)
@settings(examples(250), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_9112_11_2_nothing_behind_an_error_is_a_request(
    server: Server,
    app: _App,
    before: int,
    refused: tuple[int, bytes],
    behind: bytes,
    cuts: list[int],
    in_pieces: bool,
) -> None:
    status, bad = refused
    app.paths.clear()
    # What needs more to be refused than it has would take what stands behind for its own; that is no error yet.
    data = request("/good") * before + bad + (behind if b"\r\n\r\n" in bad else b"")
    with RawClient(server.address) as client:
        with contextlib.suppress(ConnectionError):
            for piece in split(data, cuts) if in_pieces else [data]:
                client.send(piece)
        assert [client.answer().status for _ in range(before)] == [200] * before
        answer = client.answer()
        assert (answer.closes, answer.status >= 400) == (True, True)
        assert in_pieces or answer.status == status
        assert client.rest() == b""  # the end of the stream, and no reset
    assert "/smuggled" not in app.paths
    assert app.paths.count("/good") == before


_MEGABYTE = bytes(1 << 20)


@pytest.mark.parametrize(
    ("status", "head"),
    [
        (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +9\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        (413, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (12 << 20)),
        (413, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nC00000\r\n"),
        (417, b"POST / HTTP/1.1\r\nHost: x\r\nExpect: x\r\nContent-Length: %d\r\n\r\n" % (12 << 20)),
        (431, b"POST / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 70_000 + b"\r\n\r\n"),
        (501, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n"),
    ],
)
def test_9_6_who_goes_on_to_upload_sees_the_error_and_no_reset(
    server: Server, status: int, head: bytes
) -> None:
    with RawClient(server.address) as client:
        client.send(head)
        for _ in range(12):
            client.send(_MEGABYTE)
        # Only now, as many clients do.
        answer = client.answer()
        assert (answer.status, answer.closes, client.rest()) == (status, True, b"")


def test_9_6_who_half_closes_sees_the_error_too(server: Server) -> None:
    with RawClient(server.address) as client:
        client.send(b"BAD\r\n\r\n").finish_sending()
        assert (client.answer().status, client.rest()) == (400, b"")


def test_9_6_an_upload_without_end_is_not_read_without_end() -> None:
    with serving(echo) as server:
        stop = threading.Event()
        with RawClient(server.address) as client:
            client.send(b"BAD\r\n\r\n")
            sent = 0
            with contextlib.suppress(ConnectionError):
                while sent < 200 << 20 and not stop.is_set():
                    sent += client.sock.send(_MEGABYTE)
            assert sent < 200 << 20
        becomes_quiet(server)
