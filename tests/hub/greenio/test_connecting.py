"""sockets: connect, accept and create_connection, on every poller."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.support.hubs.green import hub as hub
from tests.support.hubs.green import listening, tcp_pair, tcp_socket

from greenserve_hub.errors import IOClosed
from greenserve_hub.greenio.connecting import create_connection
from greenserve_hub.greenio.sockets import GreenSocket
from greenserve_hub.greenthreads.greenthreads import spawn
from greenserve_hub.osthreads import dns
from greenserve_hub.testing import wait_all_blocked


class TestConnecting:
    def test_accept_gives_green_sockets(self) -> None:
        with tcp_pair() as tcp:
            assert isinstance(tcp[1], GreenSocket)
            assert tcp[1].getpeername() == tcp[0].getsockname()
            assert not tcp[1].get_inheritable()
            tcp[1].send(b"x")
            assert tcp[0].recv(1) == b"x"

    def test_refused(self) -> None:
        with tcp_socket() as one:
            one.bind(("127.0.0.1", 0))
            with tcp_socket() as other, pytest.raises(ConnectionRefusedError):
                other.connect(one.getsockname())
            with tcp_socket() as other:
                assert other.connect_ex(one.getsockname()) == errno.ECONNREFUSED

    def test_a_second_time(self) -> None:
        with listening() as listener, tcp_socket() as one:
            assert one.connect_ex(listener.getsockname()) == 0
            assert one.connect_ex(listener.getsockname()) in (
                0,
                errno.EISCONN,
            )  # Linux tells once more of the first
            with pytest.raises(OSError, match="already connected"):
                one.connect(listener.getsockname())

    def test_not_to_wait(self) -> None:
        with listening() as listener, tcp_socket() as one:
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.accept()
            one.setblocking(False)
            with pytest.raises(BlockingIOError):
                one.connect(listener.getsockname())

    def test_accept_times_out(self, clock: Any) -> None:
        with listening() as listener:
            listener.settimeout(5)
            with pytest.raises(TimeoutError):
                listener.accept()

    def test_accept_is_woken_by_close(self) -> None:
        with listening() as listener:
            accepting = spawn(listener.accept)
            wait_all_blocked()
            listener.close()
            with pytest.raises(IOClosed):
                accepting.wait()

    def test_unix(self, tmp_path: Path) -> None:
        path = str(tmp_path / "socket")
        with (
            GreenSocket(socket.AF_UNIX, socket.SOCK_STREAM) as listener,
            GreenSocket(socket.AF_UNIX, socket.SOCK_STREAM) as one,
        ):
            with pytest.raises(FileNotFoundError):
                one.connect(path)
            listener.bind(path)
            listener.listen()
            accepting = spawn(listener.accept)
            one.connect(path)
            with accepting.wait()[0] as server:
                server.send(b"x")
                assert one.recv(1) == b"x"

    def test_unix_waits_for_a_full_backlog(self, clock: Any, tmp_path: Path) -> None:
        path = str(tmp_path / "socket")
        socks = [GreenSocket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(4)]
        listener, first, second, third = socks
        listener.bind(path)
        listener.listen(0)
        first.connect(path)
        second.settimeout(3)
        began = clock()
        assert second.connect_ex(path) == errno.EAGAIN
        with pytest.raises(TimeoutError):
            second.connect(path)
        assert clock() - began <= 6
        third.setblocking(False)
        with pytest.raises(BlockingIOError):
            third.connect(path)
        connecting = spawn(third.connect, path) if third.setblocking(True) is None else None
        wait_all_blocked()
        listener.accept()[0].close()
        assert connecting is not None
        connecting.wait()
        for sock in socks:
            sock.close()

    def test_ipv6(self) -> None:
        with GreenSocket(socket.AF_INET6, socket.SOCK_STREAM) as listener:
            listener.bind(("::1", 0))
            listener.listen()
            with create_connection(listener.getsockname()[:2]) as client, listener.accept()[0] as server:
                server.send(b"x")
                assert client.recv(1) == b"x"


class TestCreateConnection:
    def test_tries_each_address_of_a_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with listening() as listener, tcp_socket() as none:
            none.bind(("127.0.0.1", 0))
            found = [
                (socket.AF_INET, socket.SOCK_STREAM, 0, "", sock.getsockname()) for sock in (none, listener)
            ]
            monkeypatch.setattr(dns, "getaddrinfo", lambda *args, **kwargs: found)
            with create_connection(("name", 80), timeout=9) as sock:
                assert sock.getpeername() == listener.getsockname()
                assert sock.gettimeout() == 9
            found.pop()
            with pytest.raises(ConnectionRefusedError):
                create_connection(("name", 80))
            found *= 2
            with pytest.raises(ExceptionGroup) as caught:
                create_connection(("name", 80), all_errors=True)
            assert len(caught.value.exceptions) == 2

    def test_the_standards_own_default_timeout(self) -> None:
        with listening() as listener:
            default = socket._GLOBAL_DEFAULT_TIMEOUT  # type: ignore[attr-defined]  # what http.client passes on
            with create_connection(listener.getsockname(), default) as sock:
                assert sock.gettimeout() is None

    def test_from_an_address(self) -> None:
        with (
            listening() as listener,
            create_connection(listener.getsockname(), source_address=("127.0.0.2", 0)) as sock,
        ):
            assert sock.getsockname()[0] == "127.0.0.2"
