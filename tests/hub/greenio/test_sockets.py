"""sockets: reading and writing, on every poller. The rest: test_connecting.py and test_sharing_sockets.py."""

from __future__ import annotations

import array
import io
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.hubs.green import LARGE, Pair, tcp_pair
from tests.support.hubs.green import hub as hub

from greenserve_hub.errors import IOClosed
from greenserve_hub.greenio.sockets import GreenSocket, socketpair
from greenserve_hub.greenthreads.greenthreads import sleep, spawn
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


def _udp() -> GreenSocket:
    return GreenSocket(socket.AF_INET, socket.SOCK_DGRAM)


def _read_all(sock: socket.socket) -> bytes:
    pieces = []
    while piece := sock.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


class TestReading:
    """Each way to read: what is there at once; what comes later; the end; a timeout; not to wait."""

    @pytest.fixture(
        params=[
            "recv",
            "recv_into",
            "recv_into n",
            "recvfrom",
            "recvfrom_into",
            "recvmsg",
            "recvmsg_into",
            "read",
        ]
    )
    def read(self, request: pytest.FixtureRequest) -> Callable[[GreenSocket], bytes]:
        def recv_into(sock: GreenSocket) -> bytes:
            buffer = bytearray(10)
            return bytes(buffer[: sock.recv_into(buffer)])

        def recv_into_n(sock: GreenSocket) -> bytes:
            buffer = bytearray(20)
            return bytes(buffer[: sock.recv_into(buffer, 10)])

        def recvfrom_into(sock: GreenSocket) -> bytes:
            buffer = bytearray(10)
            return bytes(buffer[: sock.recvfrom_into(buffer)[0]])

        def recvmsg_into(sock: GreenSocket) -> bytes:
            one, other = bytearray(2), bytearray(8)
            count = sock.recvmsg_into(iter([one, other]))[0]
            return bytes((one + other)[:count])

        calls: dict[str, Callable[[GreenSocket], bytes]] = {
            "recv": lambda sock: sock.recv(10),
            "recv_into": recv_into,
            "recv_into n": recv_into_n,
            "recvfrom": lambda sock: sock.recvfrom(10)[0],
            "recvfrom_into": recvfrom_into,
            "recvmsg": lambda sock: sock.recvmsg(10)[0],
            "recvmsg_into": recvmsg_into,
            "read": lambda sock: _read_raw(sock, 10),
        }
        return calls[request.param]

    def test_what_is_there(self, pair: Pair, read: Callable[[GreenSocket], bytes]) -> None:
        pair[1].send(b"hello")
        assert read(pair[0]) == b"hello"

    def test_what_comes_later(self, pair: Pair, read: Callable[[GreenSocket], bytes]) -> None:
        for data in (b"one", b"0123456789", b"three"):  # short, as long as was asked for, and after it
            reading = spawn(read, pair[0])
            wait_all_blocked()
            pair[1].send(data)
            assert reading.wait() == data

    def test_what_came_while_nobody_waited(self, pair: Pair, read: Callable[[GreenSocket], bytes]) -> None:
        reading = spawn(read, pair[0])
        wait_all_blocked()
        pair[1].send(b"one")
        reading.wait()
        pair[1].send(b"two")
        wait_all_blocked()
        assert read(pair[0]) == b"two"

    def test_the_end(self, pair: Pair, read: Callable[[GreenSocket], bytes]) -> None:
        reading = spawn(read, pair[0])
        wait_all_blocked()
        pair[1].send(b"last")
        pair[1].close()
        assert reading.wait() == b"last"
        assert [read(pair[0]), read(pair[0])] == [b"", b""]

    def test_a_timeout(self, clock: Any, read: Callable[[GreenSocket], bytes]) -> None:
        one, other = socketpair()
        with one, other:
            one.settimeout(7)
            began = clock()
            with pytest.raises(TimeoutError):
                read(one)
            assert clock() - began == 7
            other.send(b"late")
            assert read(one) == b"late"

    def test_not_to_wait(self, pair: Pair, read: Callable[[GreenSocket], bytes]) -> None:
        pair[0].setblocking(False)
        for _ in range(2):
            with pytest.raises(BlockingIOError):
                read(pair[0])
        pair[1].send(b"x")
        assert read(pair[0]) == b"x"
        with pytest.raises(BlockingIOError):
            read(pair[0])

    def test_closed_by_another(self, pair: Pair, read: Callable[[GreenSocket], bytes]) -> None:
        reading = spawn(read, pair[0])
        wait_all_blocked()
        pair[0]._real_close()  # what close() does, where no makefile() puts it off
        with pytest.raises(IOClosed, match="was closed"):
            reading.wait()
        with pytest.raises(OSError, match="Bad file descriptor"):
            pair[0].recv(1)


def _read_raw(sock: GreenSocket, size: int) -> bytes:
    with sock.makefile("rb", buffering=0) as file:
        data = file.read(size)
        if data is None:
            raise BlockingIOError
        return data


class TestFlags:
    def test_a_peek_takes_nothing(self, tcp: Pair) -> None:
        tcp[1].send(b"hello")
        assert tcp[0].recv(2, socket.MSG_PEEK) == b"he"
        assert tcp[0].recv(10, socket.MSG_PEEK) == b"hello"
        assert tcp[0].recv(10) == b"hello"

    def test_a_short_peek_does_not_count_as_drained(self, tcp: Pair) -> None:
        reading = spawn(tcp[0].recv, 10, socket.MSG_PEEK)
        wait_all_blocked()
        tcp[1].send(b"hello")
        assert reading.wait() == b"hello"
        assert tcp[0].recv(10) == b"hello"

    def test_datagrams_keep_their_bounds(self) -> None:
        one, other = socketpair(type=socket.SOCK_DGRAM)
        with one, other:
            reading = spawn(lambda: [one.recv(100), one.recv(3), one.recv(100)])
            wait_all_blocked()
            for data in (b"first", b"second", b"third"):
                other.send(data)
            assert reading.wait() == [b"first", b"sec", b"third"]

    def test_udp(self) -> None:
        with (
            _udp() as one,
            _udp() as other,
        ):
            one.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            reading = spawn(one.recvfrom, 100)
            wait_all_blocked()
            assert other.sendto(b"hello", one.getsockname()) == 5
            assert reading.wait() == (b"hello", other.getsockname())
            assert one.sendto(b"back", 0, other.getsockname()) == 4
            assert other.recvfrom(10) == (b"back", one.getsockname())

    def test_udp_to_a_port_that_nobody_has(self) -> None:
        with (
            _udp() as one,
            _udp() as other,
        ):
            one.bind(("127.0.0.1", 0))
            other.connect(one.getsockname())
            address = one.getsockname()
            one.close()
            other.send(b"x")
            with pytest.raises(ConnectionRefusedError):
                other.recv(10)
            with _udp() as again:
                again.bind(address)
                reading = spawn(other.recv, 10)
                wait_all_blocked()
                again.sendto(b"here", other.getsockname())
                assert reading.wait() == b"here"

    def test_descriptors_travel_and_bytes_behind_them_are_not_lost(self, pair: Pair) -> None:
        # A message with descriptors ends a read early (unix(7)), so a short one does not say that nothing is left.
        one, other = pair
        read, write = os.pipe()
        try:
            reading = spawn(one.recvmsg, 100, socket.CMSG_SPACE(4))
            wait_all_blocked()
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [read]))]
            assert other.sendmsg([b"a", b"b"], rights) == 2
            other.send(b"c")
            data, ancillary, _, _ = reading.wait()
            assert data == b"ab"
            passed = array.array("i", ancillary[0][2])[0]
            os.write(write, b"x")
            assert os.read(passed, 1) == b"x"
            os.close(passed)
            assert one.recv(100) == b"c"
            for text in (b"d", b"e"):
                other.sendmsg([text], rights)
            assert [one.recv(100), one.recv(100)] == [b"d", b"e"]
        finally:
            os.close(read)
            os.close(write)


class TestWriting:
    """Each way to write: what fits; what has to wait for room; a timeout; not to wait; nobody there."""

    @pytest.fixture(params=["sendall", "send", "sendmsg", "sendto", "write", "sendfile", "sendfile by hand"])
    def write(self, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[GreenSocket, bytes], object]:
        def repeat(step: Callable[[GreenSocket, memoryview], int]) -> Callable[[GreenSocket, bytes], object]:
            def run(sock: GreenSocket, data: bytes) -> None:
                left = memoryview(data)
                while left:
                    left = left[step(sock, left) :]

            return run

        def write(sock: GreenSocket, data: bytes) -> None:
            with sock.makefile("wb") as file:
                file.write(data)

        def sendfile(sock: GreenSocket, data: bytes) -> None:
            (tmp_path / "file").write_bytes(data)
            with (tmp_path / "file").open("rb") as file:
                assert sock.sendfile(file) == len(data)

        def by_hand(sock: GreenSocket, data: bytes) -> None:
            assert sock.sendfile(io.BytesIO(data)) == len(data)

        return {
            "sendall": lambda sock, data: sock.sendall(data),
            "send": repeat(lambda sock, left: sock.send(left)),
            "sendmsg": repeat(lambda sock, left: sock.sendmsg(iter([left[:7], left[7:]]))),
            "sendto": repeat(lambda sock, left: sock.send(left, 0)),
            "write": write,
            "sendfile": sendfile,
            "sendfile by hand": by_hand,
        }[request.param]

    def test_what_fits(self, tcp: Pair, write: Callable[[GreenSocket, bytes], object]) -> None:
        write(tcp[0], b"hello")
        assert tcp[1].recv(10) == b"hello"

    def test_more_than_there_is_room_for(
        self, tcp: Pair, write: Callable[[GreenSocket, bytes], object]
    ) -> None:
        writing = spawn(write, tcp[0], LARGE)
        writing.link(lambda _: tcp[0].close())
        assert _read_all(tcp[1]) == LARGE
        writing.wait()

    def test_nobody_there(self, tcp: Pair, write: Callable[[GreenSocket, bytes], object]) -> None:
        writing = spawn(write, tcp[0], LARGE)
        wait_all_blocked()
        tcp[1].close()
        with pytest.raises(ConnectionError):
            writing.wait()

    def test_closed_by_another(self, tcp: Pair, write: Callable[[GreenSocket, bytes], object]) -> None:
        writing = spawn(write, tcp[0], LARGE)
        wait_all_blocked()
        tcp[0]._real_close()
        with pytest.raises(OSError, match=r"closed|Bad file descriptor"):
            writing.wait()

    def test_a_timeout(self, clock: Any) -> None:
        one, other = socketpair()
        with one, other:
            one.settimeout(7)
            began = clock()
            with pytest.raises(TimeoutError):
                one.sendall(LARGE)
            assert clock() - began == 7
            with pytest.raises(TimeoutError):
                one.send(LARGE)
            with pytest.raises(TimeoutError):
                one.sendmsg([LARGE])
            assert clock() - began == 21

    def test_the_timeout_of_sendall_is_for_all_of_it(self, clock: Any) -> None:
        one, other = socketpair()

        def drip() -> None:
            while other.recv(50_000):
                sleep(3)

        with one, other:
            dripping = spawn(drip)
            one.settimeout(10)
            began = clock()
            with pytest.raises(TimeoutError):
                one.sendall(LARGE)
            assert clock() - began == 10
            dripping.kill()

    def test_not_to_wait(self, pair: Pair) -> None:
        pair[0].setblocking(False)
        with pytest.raises(BlockingIOError):
            pair[0].sendall(LARGE)
        for call in (pair[0].send, lambda data: pair[0].sendmsg([data])):
            with pytest.raises(BlockingIOError):
                call(LARGE)

    def test_nothing(self, pair: Pair) -> None:
        pair[0].sendall(b"")
        assert pair[0].send(b"") == 0
        pair[1].close()
        with pytest.raises(BrokenPipeError):
            pair[0].sendall(b"x")

    def test_anything_with_a_buffer(self, pair: Pair) -> None:
        for data in (bytearray(b"ab"), memoryview(b"cd"), array.array("H", [1, 2])):
            pair[0].sendall(data)
            assert pair[1].recv(100) == bytes(data)


class TestSendfile:
    def test_a_part(self, pair: Pair, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"0123456789")
        with (tmp_path / "file").open("rb") as file:
            assert pair[0].sendfile(file, 2, 3) == 3
            assert (pair[1].recv(100), file.tell()) == (b"234", 5)
            assert pair[0].sendfile(file, 8) == 2
            assert (pair[1].recv(100), file.tell()) == (b"89", 10)
            assert pair[0].sendfile(file, 9, 100) == 1
            assert pair[0].sendfile(file, 99) == 0

    def test_what_the_standard_refuses(self, pair: Pair, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"x")
        with (tmp_path / "file").open() as text, pytest.raises(ValueError, match="binary"):
            pair[0].sendfile(text)  # type: ignore[arg-type]
        with (tmp_path / "file").open("rb") as file, pytest.raises(ValueError, match="positive"):
            pair[0].sendfile(file, 0, 0)
