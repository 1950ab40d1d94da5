"""serving: listen, connect and serve, with real clients."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.programs.patched import run
from tests.support.servers.certificates import authority, issue
from tests.support.times import MS, PATIENCE

from greenserve_hub.errors import HubError, IOClosed
from greenserve_hub.greenio.serving import StopServe, connect, listen, serve
from greenserve_hub.greenio.sockets import GreenSocket
from greenserve_hub.greenio.tls_sockets import GreenSSLSocket
from greenserve_hub.greenthreads.greenthreads import (
    GreenletExit,
    GreenThread,
    kill,
    sleep,
    spawn,
    spawn_after,
)
from greenserve_hub.greenthreads.timeouts import Timeout
from greenserve_hub.sync.events import Event
from greenserve_hub.testing import wait_all_blocked


class Context(ssl.SSLContext):
    """What monkey patching makes of every SSLContext."""

    sslsocket_class = GreenSSLSocket


def _echo(connection: GreenSocket, address: Any) -> None:
    while data := connection.recv(100):
        connection.sendall(data)


def _start(handle: Any, concurrency: int = 1000) -> tuple[GreenSocket, GreenThread[None]]:
    sock = listen(("127.0.0.1", 0))
    return sock, spawn(serve, sock, handle, concurrency)


def _stop(sock: GreenSocket, serving: GreenThread[None]) -> None:
    kill(serving)
    sock.close()
    with pytest.raises(GreenletExit):
        serving.wait()


class TestListen:
    def test_at_a_free_port(self) -> None:
        with listen(("127.0.0.1", 0)) as sock:
            assert isinstance(sock, GreenSocket)
            assert sock.getsockname()[1] > 0
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)

    def test_at_a_port_that_is_taken(self) -> None:
        with listen(("127.0.0.1", 0)) as sock, pytest.raises(OSError, match="in use") as caught:
            listen(sock.getsockname())
        assert caught.value.errno == errno.EADDRINUSE

    def test_at_a_port_that_is_shared(self) -> None:
        with (
            listen(("127.0.0.1", 0), reuse_port=True) as one,
            listen(one.getsockname(), reuse_port=True) as other,
        ):
            assert one.getsockname() == other.getsockname()

    def test_without_reuse(self) -> None:
        with listen(("127.0.0.1", 0), reuse_addr=False) as sock:
            assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)

    def test_at_a_path(self, tmp_path: Path) -> None:
        path = str(tmp_path / "socket")
        with (
            listen(path, socket.AF_UNIX) as sock,
            connect(path, socket.AF_UNIX) as client,
            sock.accept()[0] as server,
        ):
            server.send(b"x")
            assert client.recv(1) == b"x"

    def test_on_ipv6(self) -> None:
        with (
            listen(("::1", 0), socket.AF_INET6) as sock,
            connect(sock.getsockname(), socket.AF_INET6) as client,
        ):
            assert client.getpeername()[0] == "::1"


class TestConnect:
    def test_from_a_local_address(self) -> None:
        with listen(("127.0.0.1", 0)) as sock, connect(sock.getsockname(), bind=("127.0.0.2", 0)) as client:
            assert client.getsockname()[0] == "127.0.0.2"

    def test_to_nobody(self) -> None:
        with listen(("127.0.0.1", 0)) as sock:
            address = sock.getsockname()
        with pytest.raises(ConnectionRefusedError):
            connect(address)


class TestServe:
    def test_many_clients_side_by_side(self) -> None:
        sock, serving = _start(_echo)
        clients = [connect(sock.getsockname()) for _ in range(20)]
        for number, client in enumerate(clients):
            client.send(b"%d" % number)
        assert [client.recv(9) for client in clients] == [b"%d" % number for number in range(20)]
        for client in clients:
            client.close()
        wait_all_blocked()
        _stop(sock, serving)

    def test_the_handler_gets_the_address_and_its_connection_is_closed_for_it(self) -> None:
        seen: list[Any] = []
        sock, serving = _start(lambda connection, address: seen.append((connection, address)))
        with connect(sock.getsockname()) as client:
            assert client.recv(1) == b""
            ((connection, address),) = seen
            assert address == client.getsockname()
            assert connection.fileno() == -1
        _stop(sock, serving)

    def test_a_handler_that_fails_harms_nobody(self, errors: list[BaseException]) -> None:
        def handle(connection: GreenSocket, address: Any) -> None:
            if connection.recv(1) == b"x":
                raise ValueError("handler")
            connection.send(b"fine")

        sock, serving = _start(handle)
        with connect(sock.getsockname()) as one, connect(sock.getsockname()) as other:
            one.send(b"x")
            assert one.recv(9) == b""
            other.send(b"y")
            assert other.recv(9) == b"fine"
        assert [str(error) for error in errors] == ["handler"]
        errors.clear()
        _stop(sock, serving)

    def test_no_more_at_once_than_asked_for(self) -> None:
        gate = Event()
        running: list[Any] = []

        def handle(connection: GreenSocket, address: Any) -> None:
            running.append(address)
            gate.wait()

        sock, serving = _start(handle, 2)
        clients = [connect(sock.getsockname()) for _ in range(4)]
        wait_all_blocked()
        assert len(running) == 2
        gate.send()
        assert [client.recv(1) for client in clients] == [b""] * 4
        assert len(running) == 4
        for client in clients:
            client.close()
        _stop(sock, serving)

    def test_stop_serve_returns_and_lets_the_others_finish(self) -> None:
        def handle(connection: GreenSocket, address: Any) -> None:
            if connection.recv(1) == b"s":
                raise StopServe
            connection.send(b"later")

        sock, serving = _start(handle)
        with connect(sock.getsockname()) as one, connect(sock.getsockname()) as other:
            one.send(b"s")
            assert one.recv(1) == b""
            serving.wait()
            other.send(b"y")
            assert other.recv(9) == b"later"
        with sock:
            assert sock.fileno() > 0  # it is the caller's

    def test_stop_serve_twice(self) -> None:
        gate = Event()

        def handle(connection: GreenSocket, address: Any) -> None:
            gate.wait()
            raise StopServe

        sock, serving = _start(handle)
        clients = [connect(sock.getsockname()) for _ in range(2)]
        wait_all_blocked()
        gate.send()
        serving.wait()
        sleep()
        for one in [*clients, sock]:
            one.close()

    def test_in_the_main_greenlet(self) -> None:
        def handle(connection: GreenSocket, address: Any) -> None:
            raise StopServe

        with listen(("127.0.0.1", 0)) as sock:
            connecting = spawn(connect, sock.getsockname())
            serve(sock, handle)
            connecting.wait().close()

    def test_killed_while_a_client_waits_for_its_turn(self) -> None:
        gate = Event()
        sock, serving = _start(lambda connection, address: gate.wait(), 1)
        clients = [connect(sock.getsockname()) for _ in range(2)]
        wait_all_blocked()
        _stop(sock, serving)
        assert clients[1].recv(1) == b""  # closed, not forgotten
        gate.send()
        assert clients[0].recv(1) == b""
        for client in clients:
            client.close()

    def test_a_listener_that_is_closed(self) -> None:
        sock, serving = _start(_echo)
        wait_all_blocked()
        sock.close()
        with pytest.raises(IOClosed):
            serving.wait()

    @pytest.mark.parametrize(
        ("number", "pause"),
        [(errno.ECONNABORTED, False), (errno.EMFILE, True), (errno.ENFILE, True), (errno.ENOBUFS, True)],
    )
    def test_what_goes_by(self, clock: Any, number: int, pause: bool) -> None:
        failures = [OSError(number, "no")] * 3
        if number == errno.ECONNABORTED:
            failures = [ConnectionAbortedError(number, "no")] * 3

        class Failing(GreenSocket):
            def accept(self) -> tuple[GreenSocket, Any]:
                if failures:
                    raise failures.pop()
                return super().accept()

        sock = Failing(socket.AF_INET, socket.SOCK_STREAM)
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        began = clock()
        serving = spawn(serve, sock, _echo)
        with connect(sock.getsockname()) as client:
            client.send(b"x")
            while failures:
                sleep(0.01)
            assert client.recv(1) == b"x"
        wait_all_blocked()
        assert (clock() - began >= 0.1) is pause
        _stop(sock, serving)

    def test_what_does_not(self) -> None:
        with listen(("127.0.0.1", 0)) as sock:
            with pytest.raises(HubError, match="concurrency"):
                serve(sock, _echo, 0)
            not_listening = GreenSocket(socket.AF_INET, socket.SOCK_STREAM)
            with not_listening, pytest.raises(OSError, match="Invalid argument"):
                serve(not_listening, _echo)


class TestEnd:
    def test_the_client_is_told_although_a_child_holds_the_socket(self) -> None:
        copies: list[int] = []

        def handle(connection: GreenSocket, address: Any) -> None:
            copies.append(os.dup(connection.fileno()))  # as the child of a fork has one
            connection.sendall(b"all of it")

        sock, serving = _start(handle)
        with connect(sock.getsockname()) as client, Timeout(PATIENCE):
            assert client.recv(100) == b"all of it"
            assert client.recv(100) == b""
        _stop(sock, serving)
        os.close(copies[0])

    def test_a_childs_own_end_is_not_the_clients(self) -> None:
        assert run(_FORKING, patch=False) == "b'from the parent'\n"

    def test_a_file_made_of_it_may_still_be_written_to(self) -> None:
        files: list[Any] = []
        sock, serving = _start(lambda connection, address: files.append(connection.makefile("wb")))
        with connect(sock.getsockname()) as client, Timeout(PATIENCE):
            wait_all_blocked()
            files[0].write(b"later")
            files[0].close()
            assert client.recv(100) == b"later"
            assert client.recv(100) == b""
        _stop(sock, serving)


_FORKING = """
import os
from greenserve import connect, get_hub, kill, listen, spawn
from greenserve_hub import serve

def handle(connection, address):
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        connection.sendall(b"from the parent")
    else:
        get_hub().call_after(0.01, os._exit, 0)  # when this has returned, and its connection is closed

with listen(("127.0.0.1", 0)) as sock:
    serving = spawn(serve, sock, handle)
    with connect(sock.getsockname()) as client:
        print(client.recv(100))
    kill(serving)
"""


class TestTLS:
    @pytest.fixture
    def tls(self, tmp_path: Path) -> Iterator[tuple[GreenSocket, Any]]:
        """A listening socket that speaks TLS, and a way to a client's end of it."""
        context = Context(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issue(tmp_path / "server.pem", "localhost"))
        client = Context(ssl.PROTOCOL_TLS_CLIENT)
        authority().configure_trust(client)
        with context.wrap_socket(listen(("127.0.0.1", 0)), server_side=True) as sock:

            def secure() -> Any:
                return client.wrap_socket(connect(sock.getsockname()), server_hostname="localhost")

            yield sock, secure

    def test_one_silent_client_keeps_nobody_out(self, tls: Any, errors: list[BaseException]) -> None:
        sock, secure = tls
        serving = spawn(serve, sock, _echo)
        with Timeout(PATIENCE), connect(sock.getsockname()), connect(sock.getsockname()) as other:
            other.send(b"GET / HTTP/1.1\r\n\r\n")  # no TLS at all
            for _ in range(2):
                with secure() as client:
                    client.sendall(b"hello")
                    assert client.recv(100) == b"hello"
            with suppress(ConnectionResetError):  # what it sent is not read to the end
                while other.recv(100):
                    continue  # an alert
        assert not serving.dead
        _stop(sock, serving)
        wait_all_blocked()  # the handlers have seen the end

    def test_a_handler_gets_clients_that_have_agreed(self, tls: Any) -> None:
        sock, secure = tls
        seen: list[Any] = []
        serving = spawn(serve, sock, lambda connection, address: seen.append(connection.version()))
        with Timeout(PATIENCE), secure() as client:
            assert client.recv(1) == b""
        assert seen == ["TLSv1.3"]
        _stop(sock, serving)
        wait_all_blocked()  # the handlers have seen the end

    def test_or_that_have_not_begun(self, tls: Any) -> None:
        sock, secure = tls
        sock.do_handshake_on_connect = False
        seen: list[Any] = []

        def handle(connection: Any, address: Any) -> None:
            seen.append(connection.version())
            _echo(connection, address)

        serving = spawn(serve, sock, handle)
        with Timeout(PATIENCE), secure() as client:
            client.sendall(b"hello")  # and this shakes hands
            assert client.recv(100) == b"hello"
        assert seen == [None]
        _stop(sock, serving)
        wait_all_blocked()  # the handlers have seen the end

    def test_a_client_has_ten_seconds(self, clock: Any, tls: Any) -> None:
        sock, _ = tls
        serving = spawn(serve, sock, _echo)
        with connect(sock.getsockname()) as client:
            began = clock()
            assert client.recv(1) == b""
            assert 9 < clock() - began < 11
        _stop(sock, serving)
        wait_all_blocked()  # the handlers have seen the end

    def test_who_resets_at_once_is_no_error(self, tls: Any, errors: list[BaseException]) -> None:
        sock, secure = tls
        with connect(sock.getsockname()) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        serving = spawn(serve, sock, _echo)
        with Timeout(PATIENCE), secure() as client:
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"
        _stop(sock, serving)
        wait_all_blocked()  # the handlers have seen the end


@pytest.mark.parametrize("how", ["never listened", "shut down", "closed"])
def test_a_socket_that_does_not_listen_any_more_ends_it(how: str) -> None:
    if how == "never listened":
        sock = GreenSocket()
        sock.bind(("127.0.0.1", 0))
    else:
        sock = listen(("127.0.0.1", 0))
    serving = spawn(serve, sock, _echo)
    if how != "never listened":
        spawn_after(MS, sock.close if how == "closed" else partial(sock.shutdown, socket.SHUT_RDWR))
    with Timeout(PATIENCE), pytest.raises(OSError, match=r"Invalid argument|closed"):
        serving.wait()
    sock.close()
