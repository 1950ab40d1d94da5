"""What clients, apps and stops could once do to others; each shown over a socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient, ask, request
from tests.support.servers.apps import Environ, Start, path
from tests.support.servers.running import in_one_hub, serving
from tests.support.times import MS, eventually

from greenserve import Timeout, sleep, spawn

pytestmark = pytest.mark.over_tls_too


def test_an_endless_iterable_ends_with_the_head_of_a_head_request() -> None:
    closed: list[str] = []

    class Endless:
        def __iter__(self) -> Iterable[bytes]:
            while True:
                yield b"x" * 1000

        def close(self) -> None:
            closed.append("yes")

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        return Endless() if environ["REQUEST_METHOD"] == "HEAD" else [b"x"]

    with serving(app) as server:
        assert ask(server.address, request(method="HEAD")).status == 200
        assert ask(server.address, request()).body == b"x"
    assert closed == ["yes"]


def test_an_endless_iterable_ends_with_its_content_length() -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "5")])
        while True:
            yield b"xxx"

    with serving(app) as server:
        assert [ask(server.address, request()).body for _ in range(3)] == [b"xxxxx"] * 3


def test_a_forgotten_timeout_never_hits_the_next_request_of_its_green_thread() -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/a":
            sleep(50 * MS)
            Timeout(50 * MS)
        else:
            sleep(200 * MS)
        return path(environ, start_response)

    with serving(app, pool=1) as server, RawClient(server.address) as one, RawClient(server.address) as other:
        one.send(request("/a"))
        other.send(request("/b"))
        assert [one.answer().status, other.answer().status] == [200, 200]


def test_nothing_follows_an_answer_that_was_interrupted() -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        with Timeout(100 * MS, False):
            write(b"x" * 50_000_000)
        write(b"INCOMPLETE")
        return [b"END"]

    with serving(app) as server, socket.create_connection(server.address) as client:
        client.sendall(request())
        taken = bytearray()
        threading.Event().wait(300 * MS)
        try:
            while data := client.recv(1 << 20):
                taken += data
        except ConnectionResetError:
            pass
        assert b"INCOMPLETE" not in taken
        assert not taken.endswith(b"0\r\n\r\n")


@pytest.mark.plain_only  # nobody agrees on TLS with a hub that is held
def test_a_stop_serves_what_had_come_before_it() -> None:
    begun = threading.Event()
    go_on = threading.Event()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/holds-the-hub":
            begun.set()
            go_on.wait(5)
        return path(environ, start_response)

    with serving(app, graceful_timeout=5) as server:
        holding = RawClient(server.address).send(request("/holds-the-hub"))
        begun.wait(5)
        early = [RawClient(server.address).send(request(f"/{number}")) for number in range(5)]
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        go_on.set()
        assert [client.answer().body for client in early] == [b"/%d" % number for number in range(5)]
        assert holding.answer().status == 200
        stopping.join()
        for client in [holding, *early]:
            client.close()


def test_a_request_may_stop_its_server() -> None:
    servers = []

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        spawn(servers[0].stop, 200 * MS)
        return path(environ, start_response)

    def ends(environ: Environ, start_response: Start) -> Iterable[bytes]:
        servers[0].stop(100 * MS)
        return []

    for which in (app, ends):
        with serving(which) as server:
            servers[:] = [server]
            with RawClient(server.address) as client:
                client.send(request())
                assert server.wait(5)


def test_a_hard_stop_answers_those_in_line() -> None:
    started: list[str] = []

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        started.append(environ["PATH_INFO"])
        sleep(100)
        return []

    with serving(app, pool=1) as server:
        clients = [RawClient(server.address).send(request(f"/{number}")) for number in range(4)]
        while server.stats.queued < 3:
            threading.Event().wait(MS)
        server.stop(50 * MS)
        assert [client.answer().status for client in clients] == [503] * 4
        for client in clients:
            client.close()
    assert len(started) == 1


def test_a_request_that_came_while_an_app_held_the_hub_is_no_late_one(tmp_path: Path) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/holds-the-hub":
            parked.send(request("/1"))
            fresh.send(request("/2"))
            clock.advance(30)
        return path(environ, start_response)

    with (
        in_one_hub(app, tmp_path, head_timeout=10, keep_alive=10) as (server, clock),
        RawClient(server.address, green=True) as parked,
        RawClient(server.address, green=True) as fresh,
        RawClient(server.address, green=True) as holding,
    ):
        parked.get("/")
        holding.send(request("/holds-the-hub"))
        assert [parked.answer().body, fresh.answer().body] == [b"/1", b"/2"]


def test_an_unread_body_that_costs_the_connection_is_told() -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("401 Unauthorized", [])
        return [b"no"]

    with serving(app) as server, RawClient(server.address) as client:
        body = b"x" * 100_000
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + body)
        answer = client.answer()
        assert (answer.status, answer.closes) == (401, True)


def test_who_has_left_the_line_is_not_served(tmp_path: Path) -> None:
    started: list[str] = []

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        started.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] == "/first":
            sleep(300 * MS)
        return path(environ, start_response)

    with (
        serving(app, bind=["127.0.0.1:0", f"unix:{tmp_path}/socket"], pool=1) as server,
        RawClient(server.address) as first,
    ):
        first.send(request("/first"))
        eventually(lambda: server.stats.active)
        # The end of a TCP connection may be a half-close, its reset and the end of a unix socket's are none.
        for address, leave in ((server.address, RawClient.reset), (f"{tmp_path}/socket", RawClient.close)):
            with RawClient(address) as gone:
                gone.send(request("/gone"))
                eventually(lambda: server.stats.queued)
                leave(gone)
        assert ask(server.address, request("/last")).body == b"/last"
        assert first.answer().status == 200
    assert started == ["/first", "/last"]


def test_a_client_that_left_behind_unread_bytes_is_seen_to_be_gone() -> None:
    seen = threading.Event()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        while not environ["greenserve.client_disconnected"]():
            sleep(10 * MS)
        seen.set()
        return []

    with serving(app) as server:
        with RawClient(server.address) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
        assert seen.wait(5)


def test_a_write_after_the_end_is_the_apps_error() -> None:
    late: list[object] = []

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        write = start_response("200 OK", [])

        def later() -> None:
            sleep(50 * MS)
            try:
                write(b"LATE")
            except Exception as error:
                late.append(error)

        spawn(later)
        return [b"x"]

    with serving(app) as server, RawClient(server.address) as client:
        assert client.get().body == b"x"
        threading.Event().wait(200 * MS)
        assert client.get().body == b"x"
    assert "after the end of the response" in str(late[0])


@pytest.mark.plain_only  # of TLS: net/tls/test_streams.py
def test_an_answer_cut_off_without_a_length_is_reset() -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"half"
        raise ValueError

    with serving(app) as server, socket.create_connection(server.address) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        threading.Event().wait(200 * MS)
        try:
            while client.recv(1000):
                pass
        except ConnectionResetError:
            return
    raise AssertionError("the client saw a proper end")


def test_connect_without_a_target_is_refused() -> None:
    with serving(path) as server:
        for line in (b"CONNECT  HTTP/1.1", b"CONNECT / HTTP/1.1", b"CONNECT x:1 HTTP/1.1"):
            assert ask(server.address, line + b"\r\nHost: x\r\n\r\n").status in (400, 501)
