"""Every kind of descriptor: os.read, the green one, lets others run until something is there, and says what it says."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.support.hubs import descriptors
from tests.support.hubs.green import hub  # noqa: F401  # on every poller
from tests.support.times import MS

from greenserve_hub import sleep, spawn
from greenserve_hub.greenio.kinds import can_call
from greenserve_hub.greenio.transfers import read, write
from greenserve_hub.loop.current import get_hub
from greenserve_hub.unpatched import os as native

# A number to read from, and what has something come.
Made = tuple[int, Callable[[], object]]


@contextmanager
def pipe(folder: Path) -> Iterator[Made]:
    reader, writer = os.pipe()
    yield reader, lambda: os.write(writer, b"x")
    os.close(reader)
    os.close(writer)


@contextmanager
def fifo(folder: Path) -> Iterator[Made]:
    os.mkfifo(folder / "fifo")
    fd = os.open(folder / "fifo", os.O_RDWR)
    yield fd, lambda: os.write(fd, b"x")
    os.close(fd)


@contextmanager
def terminal(folder: Path) -> Iterator[Made]:
    master, slave = os.openpty()
    yield slave, lambda: os.write(master, b"x\n")
    os.close(master)
    os.close(slave)


@contextmanager
def eventfd(folder: Path) -> Iterator[Made]:
    fd = os.eventfd(0)
    yield fd, lambda: os.eventfd_write(fd, 1)
    os.close(fd)


@contextmanager
def inotify(folder: Path) -> Iterator[Made]:
    fd = descriptors.inotify(folder)
    yield fd, lambda: (folder / "file").write_text("x")
    os.close(fd)


@contextmanager
def fanotify(folder: Path) -> Iterator[Made]:
    (folder / "file").write_text("x")
    fd = descriptors.fanotify(folder)

    def look() -> None:
        os.close(os.open(folder / "file", os.O_RDONLY))

    yield fd, look
    os.close(fd)


@contextmanager
def timerfd(folder: Path) -> Iterator[Made]:
    fd, start = descriptors.timerfd()
    yield fd, lambda: start(0)
    os.close(fd)


@contextmanager
def signalfd(folder: Path) -> Iterator[Made]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    fd = descriptors.signalfd(signal.SIGUSR1)
    # To this OS thread: others, of a pool, may have been made before it was blocked.
    yield fd, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
    os.close(fd)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def userfaultfd(folder: Path) -> Iterator[Made]:
    fault = descriptors.UserFault()
    touching = threading.Thread(target=fault.touch)
    yield fault.fd, touching.start
    fault.resolve()
    touching.join()
    os.close(fault.fd)


@contextmanager
def datagrams(folder: Path) -> Iterator[Made]:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        yield one.fileno(), lambda: other.send(b"x")


@contextmanager
def netlink(folder: Path) -> Iterator[Made]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as sock:
        sock.bind((0, 0))
        # RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP
        yield sock.fileno(), lambda: sock.send(struct.pack("IHHII16x", 32, 18, 0x301, 1, 0))


@contextmanager
def packets(folder: Path) -> Iterator[Made]:
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    except PermissionError:
        pytest.skip("needs CAP_NET_RAW")
    with sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        sock.bind(("lo", 0x0800))
        yield sock.fileno(), lambda: other.sendto(b"x", ("127.0.0.1", 9))


WAITING = [
    pipe, fifo, terminal, eventfd, inotify, fanotify, timerfd, signalfd, userfaultfd, datagrams, netlink, packets
]  # fmt: skip


@pytest.mark.parametrize("kind", WAITING, ids=lambda kind: kind.__name__)
def test_others_run_until_something_is_there(kind: Callable[[Path], object], tmp_path: Path):
    with kind(tmp_path) as (fd, have_come):  # type: ignore[attr-defined]
        reading = spawn(read, fd, 4096)
        for _ in range(3):
            sleep(MS)
        if kind is not packets:  # this machine's traffic is not ours alone
            assert not reading.dead
        have_come()
        assert reading.wait()
        if kind is not userfaultfd:  # whose page stays touched
            have_come()
            assert read(fd, 4096)


def epoll() -> int:
    with select.epoll() as one:
        return os.dup(one.fileno())


def message_queue() -> int:
    return descriptors.message_queue(b"/greenserve-%d" % os.getpid())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (message_queue, b"QSIZE:0 "),
        (lambda: os.pidfd_open(os.getpid()), errno.EINVAL),
        (epoll, errno.EINVAL),
        (lambda: os.open("/", os.O_RDONLY), errno.EISDIR),
        (lambda: os.open(__file__, os.O_RDONLY), b'"""Every'),
        (lambda: os.open("/dev/null", os.O_RDONLY), b""),
        (lambda: os.open("/dev/zero", os.O_RDONLY), b"\0\0\0\0"),
        (lambda: os.open(__file__, os.O_PATH), errno.EBADF),
        (lambda: -1, errno.EBADF),
    ],
    ids=["message queue", "pidfd", "epoll", "folder", "file", "null", "zero", "O_PATH", "none"],
)
def test_what_does_not_wait_answers_at_once(make: Callable[[], int], said: object):
    fd = make()
    try:
        if isinstance(said, bytes):
            assert read(fd, 100).startswith(said)
        else:
            with pytest.raises(OSError) as raised:  # noqa: PT011  # by its number
                read(fd, 100)
            assert raised.value.errno == said
    finally:
        with suppress(OSError):
            os.close(fd)


def test_a_device_that_cannot_be_polled_is_read_in_an_os_thread(monkeypatch: pytest.MonkeyPatch):
    try:
        fd = os.open("/dev/hwrng", os.O_RDONLY)
    except OSError:
        pytest.skip("there is no such device here: what the kernel says of one is not to be had")
    threads = []
    monkeypatch.setattr(
        native, "read", lambda fd, length: threads.append(threading.get_ident()) or os.read(fd, length)
    )
    try:
        assert not can_call(get_hub(), fd, select.POLLIN)
        with suppress(OSError):  # ENODEV: a driver without hardware
            read(fd, 4)
    finally:
        os.close(fd)
    assert threads != [threading.get_ident()]


def test_null_is_written_to_at_once():
    fd = os.open("/dev/null", os.O_WRONLY)
    assert write(fd, b"x" * 100_000) == 100_000
    os.close(fd)
