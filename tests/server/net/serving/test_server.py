"""server: when and in what context requests run, and how it starts. test_stopping.py has how it stops."""

from __future__ import annotations

import contextvars
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.raw import RawClient, ask, request
from tests.support.servers.apps import Environ, Routes, Start, path
from tests.support.servers.running import Gate, becomes_quiet, in_one_hub, own_hub, serving
from tests.support.times import MS, eventually

from greenserve import Config, ConfigError, Event, GreenSocket, Server, getcurrent, sleep, spawn
from greenserve.errors import ProtocolError
from greenserve.net.serving.listeners import Given
from greenserve.net.serving.parts import Manners

_variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="fresh")


def _client(server: Server) -> RawClient:
    return RawClient(server.address, green=True)


@contextmanager
def _clients(server: Server) -> Iterator[tuple[RawClient, RawClient]]:
    with _client(server) as one, _client(server) as other:
        yield one, other


class TestPool:
    def test_so_many_run_at_once_and_the_rest_in_turn(self, tmp_path: Path) -> None:
        running: list[str] = []
        most: list[int] = []

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            running.append(environ["PATH_INFO"])
            most.append(len(running))
            sleep(1)
            running.pop(0)
            return path(environ, start_response)

        with in_one_hub(app, tmp_path, pool=3) as (server, clock):
            began = clock()

            def get(number: int) -> float:
                with _client(server) as client:
                    assert client.get(f"/{number}").body == b"/%d" % number
                return clock() - began

            asking = [spawn(get, number) for number in range(9)]
            assert sorted(one.wait() for one in asking) == [1, 1, 1, 2, 2, 2, 3, 3, 3]
            assert max(most) == 3

    def test_waiting_clients_cost_no_slot(self) -> None:
        # 400 idle connections and 50 that drip a head: 8 slots are as free as ever.
        with serving(path, pool=8) as server, ExitStack() as clients:
            idle, dripping = (
                [clients.enter_context(RawClient(server.address)) for _ in range(count)]
                for count in (400, 50)
            )
            for client in idle:
                client.send(request())
            for client in idle:
                assert client.answer().status == 200
            for client in dripping:
                client.send(b"GET / HTT")
            eventually(lambda: server.stats.accepted == 450 and not server.stats.active)
            assert server.stats.queued == 0
            for _ in range(20):
                assert ask(server.address, request("/now")).body == b"/now"
            for client in dripping:
                client.send(b"P/1.1\r\nHost: x\r\n\r\n")
                assert client.answer().status == 200
            clients.close()
            becomes_quiet(server)

    def test_requests_run_side_by_side(self, tmp_path: Path) -> None:
        events = [Event(), Event()]

        class App(Routes):
            def one(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                events[0].send()
                events[1].wait()
                return path(environ, start_response)

            def other(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
                events[0].wait()
                events[1].send()
                return path(environ, start_response)

        with in_one_hub(App(), tmp_path, pool=2) as (server, _), _clients(server) as (one, other):
            one.send(request("/one"))
            other.send(request("/other"))
            assert [one.answer().body, other.answer().body] == [b"/one", b"/other"]

    def test_a_worker_is_used_again_and_keeps_nothing(self, tmp_path: Path) -> None:
        workers: list[Any] = []

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            workers.append(getcurrent())
            return path(environ, start_response)

        with in_one_hub(app, tmp_path) as (server, _), _client(server) as client:
            for _ in range(5):
                client.get()
        assert len(set(workers)) == 1


class TestContext:
    def test_each_request_begins_with_the_servers_own(self) -> None:
        seen: list[str] = []

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            seen.append(_variable.get())
            _variable.set(environ["PATH_INFO"])
            sleep(0)
            seen.append(_variable.get())
            return path(environ, start_response)

        _variable.set("of the program")
        with serving(app, pool=1) as server, RawClient(server.address) as client:
            client.send(request("/1") + request("/2")).answer()
            client.answer()
        assert seen == ["fresh", "/1", "fresh", "/2"]  # the server's thread never saw what this one has set

    def test_in_a_hub_it_is_that_of_the_starter(self, tmp_path: Path) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [])
            return [_variable.get().encode()]

        token = _variable.set("of the starter")
        try:
            with in_one_hub(app, tmp_path) as (server, _):
                _variable.set("later")
                with _client(server) as client:
                    assert client.get().body == b"of the starter"
        finally:
            _variable.reset(token)

    def test_requests_that_run_at_once_do_not_meet(self) -> None:
        gate = Gate()

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            _variable.set(environ["PATH_INFO"])
            gate.wait()
            start_response("200 OK", [])
            yield _variable.get().encode()
            sleep(0)
            yield _variable.get().encode()

        with serving(app) as server, RawClient(server.address) as one, RawClient(server.address) as other:
            one.send(request("/1"))
            other.send(request("/2"))
            gate.reached(2)
            gate.open()
            assert [one.answer().body, other.answer().body] == [b"/1/1", b"/2/2"]


class TestStart:
    def test_at_several_addresses(self, tmp_path: Path) -> None:
        binds = ["127.0.0.1:0", "[::1]:0", f"unix:{tmp_path}/socket"]
        with serving(path, bind=binds) as server:
            assert len(server.urls) == 3
            for listener in server.listeners:
                name = listener.name if isinstance(listener.name, str) else listener.name[:2]
                assert ask(name, request("/a")).body == b"/a"
            assert server.url == f"http://127.0.0.1:{server.port}"
            assert server.urls[1].startswith("http://[::1]:")
            assert repr(server) == f"<Server {' '.join(server.urls)}>"

    def test_one_bad_address_and_none_is_left_open(self, tmp_path: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            file = tmp_path / "socket"
            with own_hub() as hub:
                server = Server(path, Config.from_settings(bind=[f"unix:{file}", address]))
                with pytest.raises(ConfigError, match=address):
                    server.start()
                assert not hub.descriptors
                server.stop()

    def test_on_sockets_of_the_programs_own(self) -> None:
        with own_hub():
            sock = socket.create_server(("127.0.0.1", 0))
            server = Server(path, sockets=[sock])
            server.start()
            with _client(server) as client:
                assert client.get("/a").body == b"/a"
            server.stop(0)
            assert sock.fileno() == -1

    def test_settings_are_given_in_one_way(self) -> None:
        assert Server(path, pool=3).config.pool == 3
        with pytest.raises(ConfigError, match="not both"):
            Server(path, Config.from_settings(), pool=3)
        with pytest.raises(ConfigError, match="poool"):
            Server(path, poool=3)


class TestManners:
    """What a program changes that stands in for another server."""

    def test_environ_app_and_log(self) -> None:
        logged: list[int] = []

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [])
            return [f"{environ['mine']} {environ['HTTP_X_REAL_IP']}".encode()]

        manners = Manners(
            environ={"mine": "yes"},
            app_of=lambda exchange: app,
            log_access=lambda finished, began: logged.append(finished.record(0, 0).status),
            lenient=True,
            passes_all=True,
        )
        with Server(path, bind="127.0.0.1:0", manners=manners) as server, _client(server) as client:
            client.send(b"GET / HTTP/1.1\r\nX-Real-IP: 1.2.3.4\r\n\r\n")
            assert client.answer().body == b"yes 1.2.3.4"
        assert logged == [200]

    def test_a_request_gives_its_socket(self) -> None:
        def app_of(exchange: Any) -> Any:
            def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
                exchange.offer_socket().sendall(b"mine")
                return []

            return app

        with (
            Server(path, bind="127.0.0.1:0", manners=Manners(app_of=app_of)) as server,
            _client(server) as client,
        ):
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.rest() == b"mine"

    def test_an_error_in_other_words(self) -> None:
        def refusal_of(error: ProtocolError) -> bytes | None:
            if error.status == 501:
                return None
            return b"HTTP/1.0 400 Mine\r\n\r\n" if error.status == 431 else b""

        manners = Manners(refusal_of=refusal_of)
        with Server(path, bind="127.0.0.1:0", manners=manners) as server:
            with _client(server) as client:
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\nA: %b\r\n\r\n" % (b"a" * 9000))
                assert client.rest() == b"HTTP/1.0 400 Mine\r\n\r\n"
            with _client(server) as client:
                client.send(b"GET / HTTP/1.1\r\n\r\n")
                assert client.rest().startswith(b"HTTP/1.1 400 Bad Request")
            with _client(server) as client:
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n")
                assert client.rest() == b""

    @pytest.mark.parametrize("prefetches", [False, True])
    def test_an_app_may_begin_before_the_body(self, prefetches: bool) -> None:
        begun = Event()

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            begun.send()
            start_response("200 OK", [])
            return [environ["wsgi.input"].read()]

        manners = Manners(prefetches=prefetches)
        with Server(app, bind="127.0.0.1:0", manners=manners) as server, _client(server) as client:
            client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")
            while not begun.ready() and "reading a body" not in repr([*server.connections]):
                sleep(MS)
            assert begun.ready() is (not prefetches)
            client.send(b"a")
            assert client.answer().body == b"a"


class TestServeConnection:
    def test_returns_when_it_closes(self) -> None:
        server = Server(path, given=Given([], []))
        server.start()
        ours, theirs = socket.socketpair()
        green = spawn(server.serve_connection, theirs, ("192.0.2.1", 1))
        with socket_for(ours) as client:
            client.sendall(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            received = b""
            while piece := client.recv(1000):
                received += piece
        green.wait()
        assert received.endswith(b"/a")
        assert not server.connections
        server.stop()

    def test_ends_the_connection_if_it_is_killed(self) -> None:
        server = Server(path, given=Given([], []))
        server.start()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            theirs, address = listener.accept()
        green = spawn(server.serve_connection, theirs, address)
        sleep(0)
        assert theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert len(server.connections) == 1
        green.kill()
        with socket_for(ours) as client:
            assert client.recv(10) == b""
        assert not server.connections
        server.stop()


def socket_for(sock: socket.socket) -> GreenSocket:
    return GreenSocket(sock.family, sock.type, sock.proto, sock.detach())


def test_stats() -> None:
    gate = Gate()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        gate.wait()
        return path(environ, start_response)

    with serving(app, pool=1) as server, RawClient(server.address) as one, RawClient(server.address) as other:
        one.send(request())
        gate.reached()
        other.send(request())
        eventually(lambda: server.stats.queued == 1)
        stats = server.stats
        assert (stats.connections, stats.active, stats.queued, stats.accepted, stats.refused) == (
            2,
            1,
            1,
            2,
            0,
        )
        gate.open()
        one.answer()
        other.answer()
        eventually(lambda: server.stats.requests == 2 and not server.stats.active)
