"""connection: a response that is whole with the first piece of an iterable, as frameworks give it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import Environ, Start
from tests.support.servers.running import Gate, becomes_quiet, serving

from greenserve.net.http.request import Request
from greenserve.net.serving.batching import Batch
from greenserve.net.sockets.stream import Stream


class Closing:
    """What a framework returns: pieces, and what is to be done behind them."""

    def __init__(self, pieces: Iterable[bytes], on_close: Callable[[], object]) -> None:
        self._pieces = iter(pieces)
        self._on_close = on_close

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        self._on_close()


def _start(start_response: Start, length: int = 7) -> None:
    start_response("200 OK", [("Content-Length", str(length))])


@pytest.mark.over_tls_too
@pytest.mark.parametrize("content", [b"content", b""])
def test_the_client_has_its_answer_before_a_close_that_waits(content: bytes) -> None:
    gates = [Gate(), Gate()]
    left = iter(gates)
    closed: list[int] = []

    def close() -> None:
        next(left).wait()
        closed.append(1)

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        _start(start_response, len(content))
        return Closing([content], close)

    with serving(app) as server, RawClient(server.address) as client:
        for before, gate in enumerate(gates):
            client.send(request())
            gate.reached()
            assert client.answer().body == content
            assert len(closed) == before
            gate.open()
    assert len(closed) == 2


def test_the_client_has_its_answer_before_a_generator_that_waits_behind_its_last_piece() -> None:
    gate = Gate()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        _start(start_response)
        yield b""
        yield b"content"
        gate.wait()

    with serving(app) as server, RawClient(server.address) as client:
        client.send(request())
        assert client.answer().body == b"content"
        gate.reached()
        gate.open()


def test_a_response_that_gave_its_turn_away_before_is_not_held() -> None:
    """Nothing would tell that its app gives way again."""
    first, second = Gate(), Gate()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        first.wait()
        _start(start_response)
        yield b"content"
        second.wait()

    with serving(app) as server, RawClient(server.address) as client:
        client.send(request())
        first.reached()
        first.open()
        assert client.answer().body == b"content"
        second.reached()
        second.open()


def test_it_goes_out_with_those_of_other_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[Any] = []
    sends: list[bytes] = []
    hold, send_now = Batch.hold, Stream.send_now

    def note(batch: Batch, one: Any) -> bool:
        held.append(hold(batch, one))
        return bool(held[-1])

    def count(stream: Stream, first: bytes, second: bytes = b"") -> int:
        sends.append(first)
        return send_now(stream, first, second)

    monkeypatch.setattr(Batch, "hold", note)
    monkeypatch.setattr(Stream, "send_now", count)
    monkeypatch.setattr("greenserve.net.serving.request_queue.HOLDS", 60)

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        _start(start_response)
        return Closing([b"content"], lambda: None)

    with serving(app) as server, RawClient(server.address) as client:
        for _ in range(3):
            assert client.get().body == b"content"
    assert held == [True] * 3
    assert len(sends) == 3


def test_one_that_the_kernel_takes_in_part_comes_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    send_now = Stream.send_now

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        _start(start_response)
        return Closing([b"content"], gate.wait)

    def in_part(stream: Stream, first: bytes, second: bytes = b"") -> int:
        monkeypatch.setattr(Stream, "send_now", send_now)
        return send_now(stream, first[:-3])

    with serving(app) as server, RawClient(server.address) as client:
        monkeypatch.setattr(Stream, "send_now", in_part)
        client.send(request())
        gate.reached()
        assert client.head().status == 200
        assert client.take(4) == b"cont"
        gate.open()
        assert client.take(3) == b"ent"


def test_a_client_that_leaves_while_its_app_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    closed: list[int] = []

    def close() -> None:
        gate.wait()
        closed.append(1)

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        client.reset()
        _start(start_response)
        return Closing([b"content"], close)

    with serving(app) as server:
        client = RawClient(server.address)
        client.send(request())
        gate.reached()
        gate.open()
        becomes_quiet(server)
    assert closed == [1]
    assert not caplog.records


def test_an_error_of_the_server_costs_the_connection_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        _start(start_response)
        return Closing([b"content"], gate.wait)

    def fail(_: Request) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(Request, "send_held", fail)
    with serving(app) as server, RawClient(server.address) as client:
        client.send(request())
        gate.reached()
        assert client.rest() == b""
        gate.open()
        becomes_quiet(server)
    assert [record.exc_info[1].args for record in caplog.records if record.exc_info] == [("broken",)]  # type: ignore[union-attr]


@pytest.mark.parametrize("where", ["next", "close"])
def test_an_error_behind_it_is_logged_and_closes_the_connection(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("late")

    def pieces() -> Iterator[bytes]:
        yield b"content"
        if where == "next":
            fail()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        _start(start_response)
        return Closing(pieces(), fail if where == "close" else lambda: None)

    with serving(app) as server, RawClient(server.address) as client:
        client.send(request())
        assert client.answer().body == b"content"
        assert client.rest() == b""
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "GET /: error in the app")


def test_more_behind_it_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        _start(start_response)
        return Closing([b"content", b"more"], lambda: None)

    with serving(app) as server, RawClient(server.address) as client:
        client.send(request())
        assert client.answer().body == b"content"
        assert client.rest() == b""
    assert [record.getMessage() for record in caplog.records] == [
        "GET /: the app sent more than its Content-Length of 7: cut off, the connection closes"
    ]


def test_a_hook_runs_when_the_client_has_its_answer() -> None:
    gate = Gate()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        environ["greenserve.posthooks"].append((lambda environ: gate.wait(), (), {}))
        _start(start_response)
        return Closing([b"content"], lambda: None)

    with serving(app) as server, RawClient(server.address) as client:
        client.send(request())
        gate.reached()
        assert client.answer().body == b"content"
        gate.open()
