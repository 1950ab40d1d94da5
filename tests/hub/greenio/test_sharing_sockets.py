"""sockets: timeouts, several green threads at one socket, and copies of it, on every poller."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator

import pytest
from tests.support.hubs.green import LARGE, Pair, tcp_pair, tcp_socket
from tests.support.hubs.green import hub as hub

from greenserve_hub.errors import ConcurrentUseError, IOClosed
from greenserve_hub.greenio.sockets import GreenSocket, socketpair
from greenserve_hub.greenthreads.greenthreads import spawn
from greenserve_hub.greenthreads.timeouts import Timeout
from greenserve_hub.loop.current import get_hub
from greenserve_hub.testing import wait_all_blocked


@pytest.fixture
def pair() -> Iterator[Pair]:
    one, other = socketpair()
    with one, other:
        yield one, other


@pytest.fixture
def tcp() -> Iterator[Pair]:
    with tcp_pair() as pair:
        yield pair


class TestTimeouts:
    def test_settimeout_and_setblocking(self) -> None:
        with GreenSocket() as sock:
            assert (sock.gettimeout(), sock.timeout, sock.getblocking()) == (None, None, True)
            sock.settimeout(2)
            assert (sock.gettimeout(), sock.timeout, sock.getblocking()) == (2.0, 2.0, True)
            sock.setblocking(False)
            assert (sock.gettimeout(), sock.getblocking()) == (0.0, False)
            sock.setblocking(True)
            assert sock.gettimeout() is None
            with pytest.raises(ValueError, match="range"):
                sock.settimeout(-1)
            with pytest.raises((TypeError, ValueError)):
                sock.settimeout("soon")  # type: ignore[arg-type]

    def test_the_default_timeout(self) -> None:
        socket.setdefaulttimeout(3)
        try:
            with GreenSocket() as sock:
                assert sock.gettimeout() == 3
        finally:
            socket.setdefaulttimeout(None)

    def test_a_timeout_of_the_green_thread_leaves_the_socket_usable(self, pair: Pair) -> None:
        with Timeout(0.001, False):
            pair[0].recv(10)
        pair[1].send(b"x")
        assert pair[0].recv(10) == b"x"
        with Timeout(0.001, False):
            pair[0].sendall(LARGE)
        assert len(pair[1].recv(10)) == 10

    def test_data_that_comes_with_the_timeout_is_not_lost(self, pair: Pair) -> None:
        reading = spawn(pair[0].recv, 10)
        wait_all_blocked()
        pair[1].send(b"x")
        get_hub().call_soon(reading.throw, ValueError)
        with pytest.raises(ValueError):  # noqa: PT011  # it has no text
            reading.wait()
        assert pair[0].recv(10) == b"x"


class TestTwoGreenThreads:
    def test_one_reads_and_one_writes(self, tcp: Pair) -> None:
        writing = spawn(tcp[0].sendall, LARGE)
        reading = spawn(tcp[0].recv, 10)
        wait_all_blocked()
        tcp[1].send(b"back")
        assert reading.wait() == b"back"
        received = 0
        while received < len(LARGE):
            received += len(tcp[1].recv(65536))
        writing.wait()

    def test_a_second_reader_is_told_who_the_first_is_with_both_stacks(self, pair: Pair) -> None:
        def read_first() -> bytes:
            return pair[0].recv(10)

        def read_second() -> bytes:
            return pair[0].recv(10)

        first = spawn(read_first)
        first.name = "Ada"
        wait_all_blocked()
        with pytest.raises(ConcurrentUseError) as caught:
            read_second()
        told, first_stack, second_stack = re.split("The one that .*:\n", str(caught.value))
        assert (
            f"the main green thread would read fd {pair[0].fileno()} while Ada (GreenThread {id(first):#x})"
            in told
        )
        assert "read_first\n    return pair[0].recv(10)" in first_stack
        assert "read_second\n    return pair[0].recv(10)" in second_stack
        pair[1].send(b"x")
        assert first.wait() == b"x"

    def test_a_second_writer_too(self, pair: Pair) -> None:
        first = spawn(pair[0].sendall, LARGE)
        wait_all_blocked()
        with pytest.raises(ConcurrentUseError, match="write fd"):
            pair[0].send(b"x")
        pair[1].close()
        with pytest.raises(ConnectionError):
            first.wait()

    def test_both_sides_are_woken_by_close(self, pair: Pair, errors: list[BaseException]) -> None:
        spawn(pair[0].recv, 1)
        spawn(pair[0].sendall, LARGE)
        wait_all_blocked()
        pair[0].close()
        wait_all_blocked()
        assert [type(error) for error in errors] == [IOClosed, IOClosed]
        errors.clear()

    def test_a_number_used_again_never_meets_an_old_waiter(
        self, pair: Pair, errors: list[BaseException]
    ) -> None:
        old = spawn(pair[0].recv, 1)
        wait_all_blocked()
        number = pair[0].fileno()
        pair[0].close()
        one, other = socketpair()
        with one, other:
            assert number in (one.fileno(), other.fileno())
            new = spawn((one if one.fileno() == number else other).recv, 1)
            wait_all_blocked()
            (other if one.fileno() == number else one).send(b"n")
            assert new.wait() == b"n"
        with pytest.raises(IOClosed):
            old.wait()
        errors.clear()

    def test_shutdown_wakes_the_reader(self, tcp: Pair) -> None:
        reading = spawn(tcp[0].recv, 10)
        wait_all_blocked()
        tcp[0].shutdown(socket.SHUT_RD)
        assert reading.wait() == b""


class TestCopies:
    def test_dup_is_a_second_way_to_the_same_connection(self, pair: Pair) -> None:
        pair[0].settimeout(5)
        with pair[0].dup() as twin:
            assert isinstance(twin, GreenSocket)
            assert (twin.gettimeout(), twin.get_inheritable()) == (5, False)
            reading = spawn(twin.recv, 10)
            wait_all_blocked()
            pair[0].close()
            pair[1].send(b"x")
            assert reading.wait() == b"x"

    def test_detach_gives_the_number_and_wakes_who_waits(self, pair: Pair) -> None:
        number = pair[0].fileno()
        reading = spawn(pair[0].recv, 10)
        wait_all_blocked()
        assert pair[0].detach() == number
        with pytest.raises(IOClosed):
            reading.wait()
        assert pair[0].fileno() == -1
        with GreenSocket(fileno=number) as again:
            pair[1].send(b"x")
            assert again.recv(1) == b"x"

    def test_close_waits_for_makefile(self, pair: Pair) -> None:
        with pair[0].makefile("rwb") as file:
            pair[0].close()
            pair[1].sendall(b"line\nrest")
            assert file.readline() == b"line\n"
            file.write(b"back")
            file.flush()
            assert pair[1].recv(10) == b"back"
        assert pair[0].fileno() == -1
        assert pair[1].recv(1) == b""

    def test_makefile_in_text(self, pair: Pair) -> None:
        with pair[0].makefile("r", encoding="utf-8", newline="\n") as file:
            reading = spawn(file.readlines)
            wait_all_blocked()
            pair[1].sendall("ä\nb".encode())
            pair[1].close()
            assert reading.wait() == ["ä\n", "b"]

    def test_it_is_a_socket(self, pair: Pair) -> None:
        assert isinstance(pair[0], socket.socket)
        assert os.get_blocking(pair[0].fileno()) is False
        assert pair[0].family == socket.AF_UNIX
        assert "GreenSocket" in repr(pair[0])

    def test_close_is_repeatable(self, pair: Pair) -> None:
        pair[0].close()
        pair[0].close()


@pytest.mark.parametrize(("timeout", "blocking"), [(None, True), (5.0, False), (0.0, False)])
def test_detached_it_is_in_the_mode_that_its_timeout_stands_for(timeout: float | None, blocking: bool):
    with tcp_socket() as sock:
        sock.settimeout(timeout)
        fd = sock.detach()
    assert os.get_blocking(fd) is blocking
    os.close(fd)


def test_one_that_is_closed_behind_its_back_is_detached_all_the_same():
    sock = tcp_socket()
    fd = sock.fileno()
    os.close(fd)
    assert sock.detach() == fd
    assert sock.detach() == -1
