"""sockets.c: what is there is read, what fits is sent, and nothing waits."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from tests.support.protocols.heads import LIMITS, raw

from greenserve.core import core
from greenserve.wsgi import Ordinary, find_ordinary
from greenserve.wsgi.environ.forwarding import DIRECT

pytestmark = [
    pytest.mark.no_hub,
    pytest.mark.skipif(core is None, reason="without the compiled core"),
]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()  # which block: only MSG_DONTWAIT keeps a call from waiting
    with one, other:
        yield one, other


@pytest.fixture
def ordinary() -> Ordinary:
    found = find_ordinary(LIMITS, DIRECT)
    assert found is not None
    return found


class TestReceive:
    def test_what_has_come(self, ordinary: Ordinary, pair: tuple[socket.socket, socket.socket]) -> None:
        ours, peer = pair
        peer.send(raw())
        assert ordinary.receive(ours.fileno(), {}, "", "") == raw()
        assert ordinary.received == len(raw())

    def test_a_head_that_is_known(
        self, ordinary: Ordinary, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        ours, peer = pair
        ordinary.take(raw(), {}, "", "")
        ordinary.learn(_python_head())
        peer.send(raw("GET /a HTTP/1.1") + b"behind")
        head = ordinary.receive(ours.fileno(), {"KEY": 1}, "192.0.2.1", "80")
        assert (head.target, head.rest, head.environ["KEY"]) == ("/a", b"behind", 1)
        assert ordinary.received == len(raw("GET /a HTTP/1.1")) + 6

    def test_no_more_than_16_kib(self, ordinary: Ordinary, pair: tuple[socket.socket, socket.socket]) -> None:
        ours, peer = pair
        peer.send(b"x" * 20_000)
        assert len(ordinary.receive(ours.fileno(), {}, "", "")) == ordinary.received == 16 * 1024

    def test_nothing_is_there_yet(
        self, ordinary: Ordinary, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        with pytest.raises(BlockingIOError):
            ordinary.receive(pair[0].fileno(), {}, "", "")

    def test_the_end(self, ordinary: Ordinary, pair: tuple[socket.socket, socket.socket]) -> None:
        ours, peer = pair
        peer.close()
        assert ordinary.receive(ours.fileno(), {}, "", "") == b""
        assert ordinary.received == 0

    @pytest.mark.parametrize("fd", [-1, 2**40])
    def test_no_such_descriptor(self, fd: int, ordinary: Ordinary) -> None:
        with pytest.raises(OSError, match="Bad file descriptor"):
            ordinary.receive(fd, {}, "", "")

    def test_wrong_arguments(self, ordinary: Ordinary) -> None:
        for arguments in ((), ("x", {}, "", ""), (0, None, "", "")):
            with pytest.raises(TypeError):
                ordinary.receive(*arguments)


def _python_head():  # type: ignore[no-untyped-def]
    from greenserve.http1 import read_whole_head

    whole = read_whole_head(raw(), LIMITS)
    assert whole is not None
    return whole[0]


class TestSend:
    @pytest.mark.parametrize("second", [b"", b" two", memoryview(b"  two")[1:]], ids=["one", "two", "view"])
    def test_what_fits(self, second: bytes, pair: tuple[socket.socket, socket.socket]) -> None:
        assert core is not None
        ours, peer = pair
        assert core.send_now(ours.fileno(), b"one", second) == 3 + len(second)
        assert peer.recv(100) == b"one" + second

    def test_a_part_of_what_does_not_fit(self, pair: tuple[socket.socket, socket.socket]) -> None:
        assert core is not None
        ours, peer = pair
        sent, last = 0, 1
        while last:
            last = core.send_now(ours.fileno(), b"x" * 40_000, b"y" * 20_000)
            sent += last
        assert sent > 60_000
        got = 0
        while got < sent:
            got += len(peer.recv(1 << 20))
        assert got == sent

    def test_too_much_is_left_to_python(self, pair: tuple[socket.socket, socket.socket]) -> None:
        assert core is not None
        ours, peer = pair
        assert core.send_now(ours.fileno(), b"x" * 60_000, b"x" * 6000) is None
        peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.recv(1)

    def test_a_peer_that_has_gone(self, pair: tuple[socket.socket, socket.socket]) -> None:
        assert core is not None
        ours, peer = pair
        peer.close()
        with pytest.raises(BrokenPipeError):  # and no SIGPIPE
            core.send_now(ours.fileno(), b"x", b"")

    def test_no_such_descriptor(self) -> None:
        assert core is not None
        reader, writer = os.pipe()
        os.close(reader)
        os.close(writer)
        for fd in (-1, writer):
            with pytest.raises(OSError, match="Bad file descriptor"):
                core.send_now(fd, b"x", b"")

    def test_wrong_arguments(self) -> None:
        assert core is not None
        for arguments in ((), (0, "x", b""), (0, b"", "x"), (None, b"", b"")):
            with pytest.raises(TypeError):
                core.send_now(*arguments)
