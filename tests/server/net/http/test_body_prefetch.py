"""body_prefetch: the beginning of a body is read before the request takes a slot, and what of it is not waited for."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import Environ, Start, echo, path
from tests.support.servers.running import in_one_hub, serving

from greenserve import sleep

_BODY = bytes(range(256)) * 64  # 16 KiB
_CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_client_that_drips_holds_no_slot_and_no_green_thread(tmp_path: Path) -> None:
    with in_one_hub(echo, tmp_path, pool=1) as (server, _), ExitStack() as stack:
        slow = [stack.enter_context(RawClient(server.address, green=True)) for _ in range(50)]
        for client in slow:
            client.send(request("/", "POST", b"x" * 100)[:-50])
        sleep(1)
        assert (server.stats.active, server.stats.queued, server.stats.connections) == (0, 0, 50)
        other = stack.enter_context(RawClient(server.address, green=True))
        assert other.send(request("/", "POST", b"now")).answer().body == b"now"
        for client in slow:
            client.send(b"x" * 50)
        assert [client.answer().body for client in slow] == [b"x" * 100] * 50


@pytest.mark.parametrize("cut", [1, 100, len(_BODY) - 1])
@pytest.mark.parametrize("more", [0, 1, 50_000])
def test_the_body_is_whole_however_it_comes(cut: int, more: int, tmp_path: Path) -> None:
    body = _BODY + b"z" * more
    with in_one_hub(echo, tmp_path) as (server, _), RawClient(server.address, green=True) as client:
        data = request("/", "POST", body) + request("/", "POST", b"next")
        end = data.index(b"\r\n\r\n") + 4
        for piece in (data[: end - 1], data[end - 1 : end + cut], data[end + cut :]):
            client.send(piece)
            sleep(1)
        assert [client.answer().body, client.answer().body] == [body, b"next"]


def test_byte_by_byte(tmp_path: Path) -> None:
    with in_one_hub(echo, tmp_path) as (server, _), RawClient(server.address, green=True) as client:
        for byte in request("/", "POST", b"0123456789" * 20):
            client.send(bytes([byte]))
            sleep(0)
        assert client.answer().body == b"0123456789" * 20


def test_a_longer_one_is_the_apps_to_read(tmp_path: Path) -> None:
    with in_one_hub(path, tmp_path) as (server, _), RawClient(server.address, green=True) as client:
        client.send(request("/", "POST", _BODY + b"x")[:-2])
        sleep(1)
        assert client.is_silent()
        client.send(b"x")  # 16 KiB are here
        assert client.answer().status == 200


@pytest.mark.parametrize("first", [b"5", b"5\r\nhello\r\n"])
def test_any_byte_of_a_chunked_one_is_enough(first: bytes, tmp_path: Path) -> None:
    with in_one_hub(path, tmp_path) as (server, _), RawClient(server.address, green=True) as client:
        client.send(_CHUNKED)
        sleep(1)
        assert (client.is_silent(), server.stats.active) == (True, 0)
        assert client.send(first).answer().status == 200


def test_an_interactive_client_gets_its_answers_between_its_chunks(tmp_path: Path) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        while piece := environ["wsgi.input"].readline():
            yield piece.upper()

    with in_one_hub(app, tmp_path) as (server, _), RawClient(server.address, green=True) as client:
        client.send(_CHUNKED).send(b"2\r\na\n\r\n").head()
        assert client.chunk() == b"A\n"
        client.send(b"2\r\nb\n\r\n0\r\n\r\n")
        assert [client.chunk(), client.chunk()] == [b"B\n", b""]


def test_one_that_expects_100_continue_is_the_apps_to_ask(tmp_path: Path) -> None:
    with in_one_hub(echo, tmp_path) as (server, _), RawClient(server.address, green=True) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert client.head().status == 100
        assert client.send(b"hello").answer().body == b"hello"


@pytest.mark.parametrize("how", ["close", "reset", "finish_sending"])
def test_a_client_that_goes_away_is_closed_at_once(how: str, tmp_path: Path) -> None:
    with in_one_hub(echo, tmp_path) as (server, clock), RawClient(server.address, green=True) as client:
        client.send(request("/", "POST", b"x" * 100)[:-1])
        sleep(1)
        assert server.stats.connections == 1
        began = clock()
        getattr(client, how)()
        sleep(0.001)
        assert (server.stats.connections, server.stats.requests) == (0, 0)
        assert clock() - began < 0.1


def test_a_stop_lets_it_come(tmp_path: Path) -> None:
    with (
        in_one_hub(echo, tmp_path, graceful_timeout=20) as (server, _),
        RawClient(server.address, green=True) as client,
    ):
        client.send(request("/", "POST", b"hello")[:-1])
        sleep(1)
        server._stop.begin(20, 0, False)
        sleep(5)
        answer = client.send(b"o").answer()
        assert (answer.body, answer.closes, client.rest()) == (b"hello", True, b"")
        assert server.wait(1)


def test_and_is_over_when_the_grace_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with in_one_hub(echo, tmp_path) as (server, _), RawClient(server.address, green=True) as client:
        client.send(request("/", "POST", b"hello")[:-1])
        sleep(1)
        server.stop(3)
        assert client.answer().status == 503
    assert "reading a body's beginning" in caplog.text


def test_the_answer_to_a_late_body_is_no_slower_than_to_one_that_came_at_once() -> None:
    with serving(echo) as server, RawClient(server.address) as client:
        for _ in range(100):
            head, _, body = request("/", "POST", b"hello").partition(b"\r\n\r\n")
            client.send(head + b"\r\n\r\n")
            assert client.send(body).answer().body == b"hello"
