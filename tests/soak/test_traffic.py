"""The soak's traffic in small, and that it sees what it is there to see. `make soak` does it whole."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.soak import app as soaked
from tests.soak import kinds
from tests.soak.clients import Client
from tests.soak.served import Held
from tests.soak.traffic import Traffic
from tests.support.clients.raw import ask, request
from tests.support.servers.running import serving
from tests.support.times import PATIENCE

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")

Environ = dict[str, Any]
App = Callable[[Environ, Any], Iterable[bytes]]
COUNT = 300  # enough for each kind of request to come


def test_every_request_is_answered_once_and_nothing_is_left() -> None:
    traffic = Traffic(3000, clients=6)
    traffic.run()
    assert not traffic.failures
    assert {kind.__name__ for kind in kinds.EVERY} == set(traffic.answered)
    assert traffic.abuses >= 16
    assert len(traffic.looks) > 20


def test_a_server_that_runs_a_request_twice_is_found_out() -> None:
    traffic = Traffic(200, app="tests.soak.test_traffic:runs_twice", clients=2, abusive=False)
    traffic.patience = 1
    traffic.run()
    assert any("the app was run once for" in failure for failure in traffic.failures)
    assert "the log says: a line that nobody expects" in traffic.failures
    assert any("left behind: 0 connections, 1 descriptors" in failure for failure in traffic.failures)


def _look(requests: int, mebibytes: int) -> Held:
    return Held(0.0, requests, mebibytes << 20, 0, 0, 0, 0)


def test_memory_is_compared_from_a_quarter_on() -> None:
    traffic = Traffic(100, clients=1)
    traffic.looks = [
        _look(0, 20),
        _look(20, 30),
        _look(26, 40),
        _look(50, 60),
        _look(100, 47),
        _look(100, 45),
    ]
    assert traffic.growth == 7 << 20


_kept: list[socket.socket] = []


def runs_twice(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """What the clients can't see; the second run, a line in the log, and a descriptor that is never closed."""
    if environ["PATH_INFO"].startswith("/get/1/") and not _kept:
        list(soaked.app(environ, lambda status, fields: None))
        _kept.append(socket.socket())
        logging.getLogger("greenserve.error").error("a line that nobody expects")
    return soaked.app(environ, start_response)


# Whatever is wrong with an answer is seen by the client -----------------------------------------------------


def _seen(app: App, count: int = COUNT) -> list[str]:
    """What a client says of a server with this app."""
    with serving(app) as server:
        ask(server.address, request(f"/begin/0/{count}"))
        client = Client(server.address, 0, count)
        client.run()
    assert client.asked == count
    return client.failures


def test_a_good_server_has_no_failures() -> None:
    assert _seen(soaked.app) == []


class _Captured:
    """An app's answer, to be played with."""

    def __init__(self, app: App, environ: Environ) -> None:
        self.status, self.fields = "", []
        pieces = app(environ, self._start)
        self.body = b"".join(pieces)

    def _start(
        self, status: str, fields: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        self.status, self.fields = status, fields
        return lambda data: None


def test_a_doubled_body_is_seen() -> None:
    def doubles(environ: Environ, start_response: Any) -> Iterable[bytes]:
        answer = soaked.app(environ, start_response)
        return list(answer) * 2 if environ["PATH_INFO"].startswith("/get/") else answer

    assert any("the content is wrong" in failure for failure in _seen(doubles))


def test_an_answer_of_another_request_is_seen() -> None:
    last: list[_Captured] = []

    def swaps(environ: Environ, start_response: Any) -> Iterable[bytes]:
        if not environ["PATH_INFO"].startswith("/get/"):
            return soaked.app(environ, start_response)
        last.append(_Captured(soaked.app, environ))
        answer = last[-2] if len(last) % 20 == 0 else last[-1]
        start_response(answer.status, answer.fields)
        return [answer.body]

    failures = _seen(swaps)
    assert failures
    assert all("where that of" in failure for failure in failures)


def test_a_lost_answer_is_seen() -> None:
    def loses(environ: Environ, start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/get/") and environ["PATH_INFO"].endswith("7"):
            start_response("200 OK", [])
            return []
        return soaked.app(environ, start_response)

    assert any("the answer of  where that of" in failure for failure in _seen(loses))


@pytest.mark.parametrize(
    ("answers", "seen"),
    [
        ([b"0", b"1"], []),
        ([b"1", b"0"], ["the answer of 0.1.GET.0 where that of 0.0.GET.0 was due"]),
        ([b"0"], ["the connection ended behind b''"]),
        ([b"0", b"1", b"1"], ["more answers than requests"]),
        ([b"0", b"", b"1"], ["no answer: b'HTTP/1.1"]),
    ],
    ids=["right", "swapped", "lost", "doubled", "cut in two"],
)
def test_the_order_on_a_connection(answers: list[bytes], seen: list[str]) -> None:
    """By a server that sends what it is told, for two requests that come together."""

    class Two(Client):
        def _batches(self) -> Any:
            yield from self._made([kinds.get, kinds.get])

    data = b"".join(_answer(number) for number in answers)
    with _answering(data) as address:
        client = Two(address, 0, 2)
        client.run()
    assert len(client.failures) == len(seen)
    for failure, what in zip(client.failures, seen, strict=True):
        assert what in failure


def _answer(number: bytes) -> bytes:
    if not number:
        return b"HTTP/1.1"  # and no more of it
    body = b"%b?q=%b&r=a%%20b" % (number, number)
    return b"HTTP/1.1 200 OK\r\nX-Soak: 0.%b.GET.0\r\nContent-Length: %d\r\n\r\n%b" % (
        number,
        len(body),
        body,
    )


@contextmanager
def _answering(data: bytes) -> Any:
    """A server of one connection, which answers two GETs at once with `data`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)

        def serve() -> None:
            with listener.accept()[0] as sock:
                sock.settimeout(PATIENCE)
                got = b""
                while got.count(b"\r\n\r\n") < 2:
                    got += sock.recv(65536)
                sock.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            thread.join(PATIENCE)
