"""stream: a non-blocking socket under the hub; whatever goes wrong with the peer is PeerGone."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.hubs.faulty import Fault, FaultySocket, FaultyStream, Plan, at
from tests.support.hubs.waits import within

from greenserve import spawn
from greenserve.errors import PeerGone
from greenserve.net.sockets.stream import Stream
from greenserve_hub.loop.current import get_hub
from greenserve_hub.testing import FakeClock, fake_clock, wait_all_blocked

_LARGE = bytes(range(256)) * 10_000


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    """A hub of the test's own."""
    with fake_clock() as clock:
        yield clock


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    """The other side."""
    with socket.socket() as peer:
        yield peer


@pytest.fixture
def stream(clock: FakeClock, peer: socket.socket) -> Iterator[Stream]:
    """A stream to `peer`."""
    one, other = socket.socketpair()
    os.dup2(other.fileno(), peer.fileno())
    other.close()
    peer.setblocking(False)
    one.setblocking(False)
    stream = Stream(get_hub(), one)
    yield stream
    stream.close()
    assert not get_hub().descriptors


def _drain(peer: socket.socket) -> int:
    taken = 0
    try:
        while data := os.read(peer.fileno(), 1 << 20):
            taken += len(data)
    except BlockingIOError:
        pass
    return taken


class TestFromCallbacks:
    def test_receive(self, stream: Stream, peer: socket.socket) -> None:
        with pytest.raises(BlockingIOError):
            stream.receive_now(10)
        peer.send(b"hello")
        assert stream.receive_now(3) == b"hel"
        assert stream.descriptor.readable is False or stream.receive_now(10) == b"lo"

    def test_a_short_read_has_drained_it(self, clock: FakeClock) -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname()) as peer,
        ):
            stream = Stream(get_hub(), server.accept()[0])
            stream.descriptor.readable = True
            peer.send(b"abc")
            stream.receive_now(3)
            assert stream.descriptor.readable
            peer.send(b"ab")
            assert len(stream.receive_now(3)) < 3
            assert not stream.descriptor.readable
            stream.close()

    def test_on_a_unix_socket_it_has_not(self, stream: Stream, peer: socket.socket) -> None:
        peer.send(b"ab")
        stream.receive_now(3)
        assert stream.descriptor.readable

    def test_the_end_is_readable_for_ever(self, stream: Stream, peer: socket.socket) -> None:
        peer.close()
        assert [stream.receive_now(3), stream.receive_now(3)] == [b"", b""]

    def test_send(self, stream: Stream, peer: socket.socket) -> None:
        assert stream.send_now(b"abc") == 3
        assert stream.send_now(b"def", b"ghi") == 6
        assert peer.recv(100) == b"abcdefghi"
        sent = 0
        while count := stream.send_now(_LARGE, _LARGE):
            sent += count
        assert _drain(peer) == sent

    def test_nobody_there(self, stream: Stream, peer: socket.socket) -> None:
        peer.close()
        with pytest.raises(PeerGone):
            stream.send_now(b"x")
        with pytest.raises(PeerGone):
            stream.send_now(b"x", b"y")


class TestFromGreenThreads:
    def test_receive_waits(self, stream: Stream, peer: socket.socket) -> None:
        reading = spawn(stream.receive, 10, within(stream, None))
        wait_all_blocked()
        peer.send(b"hello")
        assert reading.wait() == b"hello"

    def test_receive_times_out(self, stream: Stream, clock: FakeClock) -> None:
        began = clock()
        with pytest.raises(TimeoutError):
            stream.receive(10, within(stream, 7))
        assert clock() - began == 7

    @pytest.mark.parametrize("way", ["send", "send_pieces", "send_file"])
    def test_send_waits_for_room(
        self, way: str, stream: Stream, peer: socket.socket, tmp_path: Path, clock: FakeClock
    ) -> None:
        sending = spawn(_send, way, stream, tmp_path, 7)
        taken = 0
        while not sending.dead:
            wait_all_blocked()
            clock.advance(6)  # each step forward has its own time
            taken += _drain(peer)
        sending.wait()
        assert taken + _drain(peer) == len(_LARGE)

    @pytest.mark.parametrize("way", ["send", "send_pieces", "send_file"])
    def test_send_gives_up(self, way: str, stream: Stream, tmp_path: Path, clock: FakeClock) -> None:
        began = clock()
        with pytest.raises(PeerGone, match="send_timeout"):
            _send(way, stream, tmp_path, 7)
        assert clock() - began == 7

    @pytest.mark.parametrize("way", ["send", "send_pieces", "send_file"])
    def test_the_peer_goes_away(self, way: str, stream: Stream, peer: socket.socket, tmp_path: Path) -> None:
        sending = spawn(_send, way, stream, tmp_path, None)
        wait_all_blocked()
        peer.close()
        with pytest.raises(PeerGone):
            sending.wait()

    @pytest.mark.parametrize("way", ["send", "send_pieces", "send_file", "receive"])
    def test_closed_meanwhile(self, way: str, stream: Stream, tmp_path: Path) -> None:
        waiting = (
            spawn(stream.receive, 10, within(stream, None))
            if way == "receive"
            else spawn(_send, way, stream, tmp_path, None)
        )
        wait_all_blocked()
        stream.close()
        with pytest.raises(PeerGone, match="closed"):
            waiting.wait()

    def test_a_file_that_cannot_be_sent_so(self, stream: Stream) -> None:
        read, write = os.pipe()
        try:
            with pytest.raises(OSError, match=r"Illegal seek|Invalid argument") as caught:
                stream.send_file(read, 0, 10, within(stream, None))
            assert not isinstance(caught.value, PeerGone)
        finally:
            os.close(read)
            os.close(write)

    def test_a_file_that_is_shorter(self, stream: Stream, peer: socket.socket, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"0123456789")
        with (tmp_path / "file").open("rb") as file:
            assert stream.send_file(file.fileno(), 4, 100, within(stream, None)) == 6
        assert peer.recv(100) == b"456789"


def _send(way: str, stream: Stream, folder: Path, timeout: float | None) -> None:
    wait = within(stream, timeout)
    if way == "send":
        stream.send(_LARGE, wait)
    elif way == "send_pieces":
        stream.send_pieces(_LARGE[:1000], _LARGE[1000:], wait)
    else:
        (folder / "file").write_bytes(_LARGE)
        with (folder / "file").open("rb") as file:
            assert stream.send_file(file.fileno(), 0, len(_LARGE), wait) == len(_LARGE)


def test_is_peer_gone_takes_nothing(stream: Stream, peer: socket.socket) -> None:
    assert not stream.is_peer_gone()
    peer.send(b"x")
    assert not stream.is_peer_gone()
    assert stream.has_unread()
    assert stream.receive_now(1) == b"x"
    assert not stream.has_unread()
    peer.close()
    assert stream.is_peer_gone()
    assert not stream.has_unread()
    stream.close()
    assert stream.is_peer_gone()
    assert not stream.has_unread()


def test_shut_sending_tells_the_peer(stream: Stream, peer: socket.socket) -> None:
    stream.shut_sending()
    assert peer.recv(1) == b""
    stream.close()
    stream.shut_sending()
    stream.reset_on_close()
    stream.close()


def test_the_second_piece_goes_out_with_what_is_left_of_the_first(clock: FakeClock) -> None:
    # The kernel took a part of the head only. Epoll tells of the room for its rest, and of no more than that.
    plan = Plan(at(0, Fault(size=3)))
    one, peer = socket.socketpair()
    with peer:
        stream = FaultyStream(get_hub(), FaultySocket.around(one, plan))
        stream.send_pieces(b"a head and", b" a body", within(stream, 7))
        assert peer.recv(100) == b"a head and a body"
        stream.close()
    assert plan.calls == ["sendmsg", "sendmsg", "shutdown", "close"]
