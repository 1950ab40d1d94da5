"""Reading and writing by number: what os does, while others run. On every poller."""

from __future__ import annotations

import os
import pty
import select
import socket
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.hubs.green import hub  # noqa: F401
from tests.support.programs.patched import run
from tests.support.times import MS

from greenserve_hub import Timeout, sleep, socketpair, spawn
from greenserve_hub.greenio import transfers
from greenserve_hub.greenio.sockets import GreenSocket

MANY = bytes(range(256)) * 8000  # more than a pipe, a terminal or a socket holds
Ends = tuple[int, int]  # one to write to, and one to read from what was written


class Made:
    """Descriptors of one test."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def keep(self, fd: int) -> int:
        self._stack.callback(os.close, fd)
        return fd

    def pipe(self) -> Ends:
        reader, writer = map(self.keep, os.pipe())
        return writer, reader

    def terminal(self) -> Ends:
        master, slave = map(self.keep, pty.openpty())
        tty.setraw(slave)
        return slave, master

    def terminals_master(self) -> Ends:
        return self.terminal()[::-1]

    def sockets(self) -> Ends:
        """Ordinary ones, in blocking mode."""
        one, other = socket.socketpair()
        return self.keep(one.detach()), self.keep(other.detach())

    def green(self, **how: int) -> tuple[GreenSocket, GreenSocket]:
        one, other = socketpair(**how)
        self._stack.enter_context(one)
        self._stack.enter_context(other)
        return one, other

    def green_sockets(self) -> Ends:
        one, other = self.green()
        return one.fileno(), other.fileno()

    def file(self, path: Path, content: bytes = b"") -> int:
        path.write_bytes(content)
        return self.keep(os.open(path, os.O_RDWR))

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def made() -> Iterator[Made]:
    descriptors = Made()
    yield descriptors
    descriptors.close()


KINDS = ["pipe", "terminal", "terminals_master", "sockets", "green_sockets"]
TWO_PIECES = (MANY[:1000], MANY[1000:])
WRITES: dict[str, Callable[[int], int]] = {
    "write": lambda fd: transfers.write(fd, MANY),
    "writev": lambda fd: transfers.writev(fd, TWO_PIECES),
    "pwritev": lambda fd: transfers.pwritev(fd, TWO_PIECES, -1),
}


def again_and_again(call: Callable[[], object]) -> None:
    while True:
        call()


def take(fd: int, count: int) -> bytes:
    got = b""
    while len(got) < count:
        got += transfers.read(fd, 1 << 16)
    return got


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", WRITES)
def test_all_of_it_is_written_and_others_run_meanwhile(kind: str, call: str, made: Made):
    writer, reader = getattr(made, kind)()
    writing = spawn(WRITES[call], writer)
    sleep()
    assert not writing.dead
    assert take(reader, len(MANY)) == MANY
    assert writing.wait() == len(MANY)


def test_a_terminal_that_makes_two_of_a_lines_end(made: Made):
    master, slave = map(made.keep, pty.openpty())
    writing = spawn(transfers.write, slave, b"\n" * 100_000)
    sleep(MS)
    assert not writing.dead
    assert take(master, 200_000) == b"\r\n" * 100_000
    assert writing.wait() == 100_000
    writing = spawn(transfers.write, master, b"input\n" * 10)
    assert b"".join(transfers.read(slave, 100) for _ in range(10)) == b"input\n" * 10
    assert writing.wait() == 60


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_to_nobody_is_an_error(kind: str, made: Made):
    if "terminal" in kind:
        one, other = pty.openpty()
        os.close(one)
        made.keep(other)
    elif kind == "green_sockets":
        ends = made.green()
        ends[1].close()
        other = ends[0].fileno()
    else:
        other, one = os.pipe()[::-1] if kind == "pipe" else [one.detach() for one in socket.socketpair()]
        os.close(one)
        made.keep(other)
    with pytest.raises(OSError, match=r"Broken pipe|Input/output error"):
        transfers.write(other, MANY)


READS: dict[str, Callable[[int], bytes]] = {
    "read": lambda fd: transfers.read(fd, 100),
    "readv": lambda fd: _into(lambda buffers: transfers.readv(fd, buffers)),
    "preadv": lambda fd: _into(lambda buffers: transfers.preadv(fd, buffers, -1)),
}


def _into(call: Callable[[list[bytearray]], int]) -> bytes:
    buffers = [bytearray(2), bytearray(100)]
    count = call(buffers)
    return b"".join(buffers)[:count]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", READS)
def test_reading_waits_and_others_run_meanwhile(kind: str, call: str, made: Made):
    writer, reader = getattr(made, kind)()
    reading = spawn(READS[call], reader)
    sleep(MS)
    assert not reading.dead
    assert transfers.write(writer, b"hello") == 5
    assert reading.wait() == b"hello"


def test_two_may_read_from_one_green_socket_by_number(made: Made):
    one, other = made.green()
    both = [spawn(transfers.read, one.fileno(), 1) for _ in range(2)]
    sleep(MS)
    other.send(b"ab")
    assert sorted(green.wait() for green in both) == [b"a", b"b"]


def test_a_green_socket_with_a_timeout_does_not_block_by_number(made: Made):
    # As the standard's own: a timeout puts the descriptor into non-blocking mode.
    one, _ = made.green()
    for timeout in (10, 0):
        one.settimeout(timeout)
        with pytest.raises(BlockingIOError):
            transfers.read(one.fileno(), 1)
        with pytest.raises(BlockingIOError):
            again_and_again(lambda: transfers.write(one.fileno(), MANY))


def test_a_datagram_is_written_whole(made: Made):
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        for call in WRITES.values():
            with pytest.raises(OSError, match="too long"):
                call(one.fileno())
        assert transfers.write(one.fileno(), MANY[:20_000]) == 20_000
        assert transfers.writev(one.fileno(), [b"a", b"b"]) == 2
        assert other.recv(1 << 16) == MANY[:20_000]
        assert other.recv(10) == b"ab"


def test_nobodys_default_timeout_gets_into_a_socket(made: Made, monkeypatch: pytest.MonkeyPatch):
    socket.setdefaulttimeout(5)
    try:
        writer, reader = made.keep(os.dup(1)), 0
        one, other = socket.socketpair()
        one.setblocking(True)
        with one, other:
            writer, reader = one.fileno(), other.fileno()
            assert transfers.write(writer, b"x") == 1
            assert os.get_blocking(writer)
            assert os.read(reader, 1) == b"x"
    finally:
        socket.setdefaulttimeout(None)


def test_a_files_place_is_a_files(made: Made, tmp_path: Path):
    fd = made.file(tmp_path / "file", b"hello")
    buffer = bytearray(3)
    assert (transfers.preadv(fd, [buffer], 1), buffer) == (3, b"ell")
    assert (transfers.readv(fd, [buffer]), buffer) == (3, b"hel")
    assert transfers.pwritev(fd, [b"J", b"E"], 0) == 2
    assert transfers.writev(fd, [b"L", b"O"]) == 2
    assert (tmp_path / "file").read_bytes() == b"JElLO"
    writer, reader = made.pipe()
    with pytest.raises(OSError, match="Illegal seek"):
        transfers.preadv(reader, [buffer], 0)
    with pytest.raises(OSError, match="Illegal seek"):
        transfers.pwritev(writer, [b"x"], 0)
    with pytest.raises(BlockingIOError):
        transfers.preadv(reader, [buffer], -1, os.RWF_NOWAIT)


# eventfd --------------------------------------------------------------------------------------------------


def test_an_eventfd_waits_at_both_ends(made: Made):
    fd = made.keep(os.eventfd(0))
    full = (1 << 64) - 2
    reading = spawn(transfers.eventfd_read, fd)
    sleep(MS)
    assert not reading.dead
    transfers.eventfd_write(fd, full)
    assert reading.wait() == full
    ways: list[Callable[[int], object]] = [
        lambda value: transfers.eventfd_write(fd, value),
        lambda value: transfers.write(fd, value.to_bytes(8, "little")),
    ]
    for way in ways:
        for value in (1, 5):
            # For 5 there is no room although poll(2) says that there is some.
            transfers.eventfd_write(fd, full - (value > 1))
            writing = spawn(way, value)
            sleep(10 * MS)
            assert not writing.dead
            transfers.eventfd_read(fd)
            writing.wait()
            assert transfers.eventfd_read(fd) == value


def test_an_eventfd_in_nonblocking_mode_says_so(made: Made):
    fd = made.keep(os.eventfd(0, os.EFD_NONBLOCK))
    with pytest.raises(BlockingIOError):
        transfers.eventfd_read(fd)
    transfers.eventfd_write(fd, (1 << 64) - 2)
    for value in (1, 5):
        with pytest.raises(BlockingIOError):
            transfers.eventfd_write(fd, value)


# From one to another --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pipe", "sockets", "green_sockets"])
def test_sendfile_waits_for_room_and_others_run_meanwhile(kind: str, made: Made, tmp_path: Path):
    writer, reader = getattr(made, kind)()
    source = made.file(tmp_path / "file", MANY)

    def send() -> int:
        sent = 0
        while sent < len(MANY):
            count = transfers.sendfile(writer, source, sent, len(MANY) - sent)
            assert (
                count == len(MANY) or kind == "pipe"
            )  # of which the kernel itself takes what there is room for
            sent += count
        return sent

    sending = spawn(send)
    sleep(MS)
    assert not sending.dead
    assert take(reader, len(MANY)) == MANY
    assert sending.wait() == len(MANY)


def test_sendfile_from_where_the_file_stands_and_into_a_file(made: Made, tmp_path: Path):
    source = made.file(tmp_path / "file", b"hello")
    one, other = made.green()
    os.lseek(source, 1, os.SEEK_SET)
    assert transfers.sendfile(one.fileno(), source, None, 100) == 4
    assert other.recv(10) == b"ello"
    target = made.file(tmp_path / "copy")
    assert transfers.sendfile(target, source, 0, 100) == 5
    assert (tmp_path / "copy").read_bytes() == b"hello"
    one.setblocking(False)
    with pytest.raises(BlockingIOError):
        again_and_again(lambda: transfers.sendfile(one.fileno(), source, 0, 5))


@pytest.mark.parametrize("into", ["sockets", "green_sockets", "pipe"])
def test_splice_waits_on_both_sides(into: str, made: Made):
    source, pipe_reader = made.pipe()
    target, reader = getattr(made, into)()

    def move() -> int:
        moved = 0
        while moved < len(MANY):
            moved += transfers.splice(pipe_reader, target, len(MANY) - moved)
        return moved

    moving = spawn(move)
    sleep(MS)
    assert not moving.dead
    writing = spawn(transfers.write, source, MANY)
    sleep(10 * MS)
    assert not writing.dead
    assert take(reader, len(MANY)) == MANY
    assert (moving.wait(), writing.wait()) == (len(MANY), len(MANY))


def test_splice_from_a_socket_a_file_and_without_waiting(made: Made, tmp_path: Path):
    writer, reader = made.pipe()
    one, other = made.green()
    moving = spawn(transfers.splice, one.fileno(), writer, 100)
    sleep(MS)
    other.send(b"hello")
    assert moving.wait() == 5
    assert transfers.splice(made.file(tmp_path / "file", b"JELLO"), writer, 100, offset_src=0) == 5
    assert os.read(reader, 100) == b"helloJELLO"
    with pytest.raises(BlockingIOError):
        transfers.splice(one.fileno(), writer, 100, flags=os.SPLICE_F_NONBLOCK)
    one.setblocking(False)
    with pytest.raises(BlockingIOError):
        transfers.splice(one.fileno(), writer, 100)


# Others close the number ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "green_sockets"])
def test_who_waits_goes_on_with_what_it_asked_for(kind: str, made: Made):
    # As in the kernel, which holds what a call has begun with. The number is another's by then.
    writer, reader = getattr(made, kind)()
    number = os.dup(reader)
    reading = spawn(transfers.read, number, 100)
    sleep(MS)
    others_reader, others_writer = os.pipe()
    os.dup2(others_reader, number)
    os.write(others_writer, b"not yours")
    transfers.write(writer, b"hello")
    assert reading.wait() == b"hello"
    number = os.dup(writer)
    writing = spawn(transfers.write, number, MANY)
    sleep(MS)
    os.dup2(others_writer, number)
    assert take(reader, len(MANY)) == MANY
    assert writing.wait() == len(MANY)
    for fd in (number, others_reader, others_writer):
        os.close(fd)


def test_a_child_of_a_fork_holds_nothing_for_those_left_behind():
    said = run(
        """
        import os
        from greenserve import sleep, spawn
        reader, writer = os.pipe()
        waiting = spawn(os.read, reader, 1)
        sleep(0.001)
        pid = os.fork()
        if not pid:
            pipes = [os.readlink(f"/proc/self/fd/{fd}") for fd in range(3, 30) if os.path.exists(f"/proc/self/fd/{fd}")]
            here = os.readlink(f"/proc/self/fd/{reader}")
            print(pipes.count(here), flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
        os.write(writer, b"x")
        print(waiting.wait())
        """
    )
    assert said == "2\nb'x'\n"


# Who waits can be reached ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_timeout_ends_the_wait_and_takes_nothing(kind: str, made: Made):
    writer, reader = getattr(made, kind)()
    with Timeout(5 * MS, False):
        transfers.read(reader, 100)
    with Timeout(5 * MS, False):
        transfers.write(writer, MANY)
    os.set_blocking(reader, False)
    got = 0
    while True:
        try:
            got += len(os.read(reader, 1 << 16))
        except BlockingIOError:
            break
    assert 0 < got < len(MANY)
    assert not select.select([reader], [], [], 0)[0]


def test_without_a_hub_they_are_the_systems_own(made: Made):
    writer, reader = made.pipe()
    got = []
    thread = threading.Thread(target=lambda: got.append(transfers.read(reader, 100)))
    thread.start()
    other = threading.Thread(target=transfers.write, args=(writer, b"x"))
    other.start()
    thread.join()
    other.join()
    assert got == [b"x"]
