"""streams: the contract of Stream over TLS, and what only TLS can do wrong. Both ends in one OS thread."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.hubs.waits import all_within, within
from tests.support.servers.certificates import client_context
from tests.support.times import MS

from greenserve import sleep, spawn
from greenserve.errors import PeerGone
from greenserve.net.sockets.stream import Stream
from greenserve.net.tls.streams import TLSStream
from greenserve_hub.loop.current import get_hub
from greenserve_hub.testing import FakeClock, fake_clock, wait_all_blocked

_LARGE = bytes(range(256)) * 10_000
_MORE = _LARGE * 2


class Peer:
    """A client whose TLS is done in memory, so that the test says which bytes travel when."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self.sock = sock
        sock.setblocking(False)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def encrypt(self, data: bytes) -> bytes:
        """The records that hold `data`, not sent yet."""
        self.tls.write(data)
        return self.outgoing.read()

    def send(self, data: bytes) -> None:
        self.sock.sendall(self.encrypt(data))

    def receive(self) -> bytes:
        """All that has come, decrypted; a closing alert is `closed`."""
        got = b""
        while True:
            try:
                while raw := self.sock.recv(1 << 20):
                    self.incoming.write(raw)
            except BlockingIOError:
                pass
            try:
                piece = self.tls.read(1 << 20)
            except ssl.SSLWantReadError:
                return got
            if not piece:
                self.closed = True
                return got
            got += piece

    closed = False

    def shake(self, stream: TLSStream) -> None:
        for _ in range(3):
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
            self.sock.sendall(self.outgoing.read())
            if stream.shake_hands():
                break
            self.incoming.write(self.sock.recv(1 << 16))
        self.receive()  # tickets


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    with fake_clock() as clock:
        yield clock


@pytest.fixture
def sockets(clock: FakeClock) -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        yield one, other


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def version(request: pytest.FixtureRequest) -> ssl.TLSVersion:
    return ssl.TLSVersion[request.param]


@pytest.fixture
def peer(sockets: tuple[socket.socket, socket.socket], version: ssl.TLSVersion) -> Peer:
    return Peer(sockets[1], client_context(maximum_version=version))


@pytest.fixture
def stream(
    peer: Peer, sockets: tuple[socket.socket, socket.socket], server_context: ssl.SSLContext
) -> Iterator[TLSStream]:
    stream = TLSStream(Stream(get_hub(), sockets[0]), server_context, b"")
    peer.shake(stream)
    yield stream
    stream.close()
    assert not get_hub().descriptors


@pytest.fixture
def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


class TestTheHandshake:
    def test_what_was_received_before_is_part_of_it(
        self, peer: Peer, sockets: tuple[socket.socket, socket.socket], server_context: ssl.SSLContext
    ) -> None:
        with pytest.raises(ssl.SSLWantReadError):
            peer.tls.do_handshake()
        hello = peer.outgoing.read()
        stream = TLSStream(Stream(get_hub(), sockets[0]), server_context, hello[:100])
        assert not stream.shake_hands()
        peer.sock.sendall(hello[100:])
        peer.shake(stream)
        assert stream.tls.version() in ("TLSv1.2", "TLSv1.3")
        stream.close()

    @pytest.mark.parametrize(
        "garbage", [b"\x16\x03\x01\x00\x05hello", b"\x16" * 1000, b"\x16\x03\x01\xff\xff"]
    )
    def test_garbage(
        self, garbage: bytes, sockets: tuple[socket.socket, socket.socket], server_context: ssl.SSLContext
    ) -> None:
        stream = TLSStream(Stream(get_hub(), sockets[0]), server_context, garbage)
        sockets[1].shutdown(socket.SHUT_WR)
        with pytest.raises(PeerGone):
            stream.shake_hands()
        stream.close()

    def test_the_client_is_told_why(
        self, sockets: tuple[socket.socket, socket.socket], server_context: ssl.SSLContext
    ) -> None:
        server_context.minimum_version = ssl.TLSVersion.TLSv1_3
        peer = Peer(sockets[1], client_context(maximum_version=ssl.TLSVersion.TLSv1_2))
        stream = TLSStream(Stream(get_hub(), sockets[0]), server_context, b"")
        with pytest.raises(PeerGone, match="UNSUPPORTED_PROTOCOL"):
            peer.shake(stream)
        peer.incoming.write(sockets[1].recv(1000))
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            peer.tls.do_handshake()
        stream.close()


class TestReceiving:
    def test_a_record(self, stream: TLSStream, peer: Peer) -> None:
        with pytest.raises(BlockingIOError):
            stream.receive_now(10)
        peer.send(b"hello")
        assert stream.receive_now(100) == b"hello"
        with pytest.raises(BlockingIOError):
            stream.receive_now(100)

    def test_what_is_in_memory_calls_back(self, clock: FakeClock, server_context: ssl.SSLContext) -> None:
        # No edge of the descriptor would tell of it: the socket, TCP so that a short read says so, is empty.
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            socket.create_connection(listener.getsockname()) as client,
        ):
            server = listener.accept()[0]
            server.setblocking(False)
            stream, peer = (
                TLSStream(Stream(get_hub(), server), server_context),
                Peer(client, client_context()),
            )
            while not stream.descriptor.closed:
                with contextlib.suppress(ssl.SSLWantReadError):
                    peer.tls.do_handshake()
                client.sendall(peer.outgoing.read())
                time.sleep(20 * MS)  # loopback's own time
                if stream.shake_hands():
                    break
                peer.incoming.write(client.recv(1 << 16))
            called: list[bytes] = []

            def take() -> None:
                called.append(stream.receive_now(3))
                if len(called) < 4:
                    stream.when_readable(take)

            client.sendall(peer.encrypt(b"abcdef") + peer.encrypt(b"ghijkl"))
            time.sleep(20 * MS)
            assert stream.receive_now(1) == b"a"
            assert not stream.descriptor.readable
            stream.when_readable(take)
            wait_all_blocked()
            assert called == [b"bcd", b"ef", b"ghi", b"jkl"]
            stream.close()

    def test_a_record_byte_by_byte(self, stream: TLSStream, peer: Peer) -> None:
        record = peer.encrypt(b"hello")
        for byte in record[:-1]:
            peer.sock.send(bytes([byte]))
            with pytest.raises(BlockingIOError):
                stream.receive_now(100)
        peer.sock.send(record[-1:])
        assert stream.receive_now(100) == b"hello"

    def test_waiting_in_a_green_thread(self, stream: TLSStream, peer: Peer) -> None:
        reading = spawn(stream.receive, 10, within(stream, None))
        wait_all_blocked()
        peer.send(b"hello")
        assert reading.wait() == b"hello"

    def test_bytes_of_a_record_are_no_progress(self, stream: TLSStream, peer: Peer, clock: FakeClock) -> None:
        began = clock()
        reading = spawn(stream.receive, 10, all_within(stream, 7))
        record = peer.encrypt(b"hello")
        for byte in record[:10]:
            peer.sock.send(bytes([byte]))
            sleep(1)
            if clock() - began > 7:
                break
        with pytest.raises(TimeoutError):
            reading.wait()
        assert clock() - began == 8

    def test_a_closing_alert_is_the_end(self, stream: TLSStream, peer: Peer) -> None:
        peer.send(b"last")
        with pytest.raises(ssl.SSLWantReadError):
            peer.tls.unwrap()
        peer.sock.sendall(peer.outgoing.read())
        assert stream.receive_now(100) == b"last"
        assert [stream.receive_now(100), stream.receive_now(100)] == [b"", b""]
        assert stream.is_peer_gone()
        assert stream.send_now(b"answer") == 6  # one way is closed, not the other

    def test_an_end_without_it_is_one_too(self, stream: TLSStream, peer: Peer) -> None:
        peer.sock.close()
        assert [stream.receive_now(100), stream.receive_now(100)] == [b"", b""]
        assert stream.is_peer_gone()

    def test_what_is_no_record(self, stream: TLSStream, peer: Peer) -> None:
        peer.sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(PeerGone):
            stream.receive_now(100)
        with pytest.raises(PeerGone):
            stream.send_now(b"x")

    def test_a_record_that_was_changed_on_its_way(self, stream: TLSStream, peer: Peer) -> None:
        record = bytearray(peer.encrypt(b"hello"))
        record[-1] ^= 1
        peer.sock.sendall(record)
        with pytest.raises(PeerGone, match=r"BAD_RECORD_MAC|DECRYPTION_FAILED|RECORD_LAYER_FAILURE"):
            stream.receive_now(100)

    def test_looking_takes_nothing(self, stream: TLSStream, peer: Peer) -> None:
        assert not stream.is_peer_gone()
        assert not stream.has_unread()
        peer.send(b"xy")
        assert stream.has_unread()
        assert stream.receive_now(1) == b"x"
        assert stream.has_unread()
        assert not stream.is_peer_gone()
        assert stream.receive_now(1) == b"y"
        assert not stream.has_unread()


def test_records_without_content_are_not_read_without_end(
    stream: TLSStream, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As KeyUpdates are (RFC 8446 §4.6.3), which Python's ssl cannot send.
    reads: list[int] = []

    def nothing(tls: ssl.SSLObject, size: int) -> bytes:
        reads.append(1)
        raise ssl.SSLWantReadError

    monkeypatch.setattr(TLSStream, "_decrypt", staticmethod(nothing))
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    with contextlib.suppress(BlockingIOError):
        for _ in range(100):
            peer.sock.send(bytes(4096))
    stream.descriptor.readable = True
    with pytest.raises(PeerGone, match="without content"):
        stream.receive_now(100)
    assert 4 <= len(reads) <= 20


class TestSending:
    def test_a_head_and_its_body_are_one_record(self, stream: TLSStream, peer: Peer) -> None:
        assert stream.send_now(b"head", b"body") == 8
        raw = peer.sock.recv(1000)
        assert int.from_bytes(raw[3:5], "big") == len(raw) - 5
        peer.incoming.write(raw)
        assert peer.tls.read(100) == b"headbody"

    @pytest.mark.parametrize("split", [0, 1, 10_000, 16_384, 20_000, len(_LARGE)])
    def test_what_counts_is_what_has_arrived(self, stream: TLSStream, peer: Peer, split: int) -> None:
        # The kernel is full now and then, in the middle of a record; the caller goes on with exactly the rest.
        first, second = memoryview(_LARGE)[:split], memoryview(_LARGE)[split:]
        got = b""
        while first or second:
            sent = stream.send_now(first, second)
            in_first = min(sent, len(first))
            first, second = first[in_first:], second[sent - in_first :]
            if not sent:
                assert stream.has_unsent
                got += peer.receive()
        assert got + peer.receive() == _LARGE

    def test_memory_ahead_of_the_kernel_is_bounded(self, stream: TLSStream) -> None:
        while stream.send_now(_LARGE):
            pass
        assert 0 < len(stream._unsent) < 17_000
        assert stream._counted <= 16_384

    def test_a_fast_reader_does_not_hold_the_hub(self, stream: TLSStream, peer: Peer) -> None:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 23)
        called: list[int] = []
        sent = stream.send_now(_MORE)
        if not stream.has_unsent:
            assert sent == 1 << 20
            stream.when_writable(lambda: called.append(1))
            wait_all_blocked()
            assert called == [1]

    def test_a_green_thread_sends_all(self, stream: TLSStream, peer: Peer) -> None:
        sending = spawn(stream.send_pieces, _LARGE, _MORE, within(stream, None))
        got = b""
        while len(got) < len(_LARGE) + len(_MORE):
            wait_all_blocked()
            got += peer.receive()
        sending.wait()
        assert got == _LARGE + _MORE

    def test_nobody_reads(self, stream: TLSStream, clock: FakeClock) -> None:
        began = clock()
        with pytest.raises(PeerGone, match="send_timeout"):
            stream.send(_LARGE, within(stream, 5))
        assert clock() - began == 5

    def test_nobody_is_there(self, stream: TLSStream, peer: Peer) -> None:
        peer.sock.close()
        with pytest.raises(PeerGone):
            stream.send_now(b"x")

    def test_the_kernel_does_not_encrypt_files(self, stream: TLSStream, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"0123456789")
        with (tmp_path / "file").open("rb") as file, pytest.raises(OSError, match="sendfile") as caught:
            stream.send_file(file.fileno(), 0, 10, within(stream, None))
        assert not isinstance(caught.value, PeerGone)


def test_a_piece_that_went_out_with_an_answer_of_tls_counts(stream: TLSStream, peer: Peer) -> None:
    data = bytes(range(256)) * 8192
    sent = stream.send_now(data)
    assert stream._counted
    got = peer.receive()
    stream._answer()  # as reading a KeyUpdate makes it (RFC 8446 §4.6.3)
    while sent < len(data):
        got += peer.receive()
        sent += stream.send_now(memoryview(data)[sent:])
    assert got + peer.receive() == data


class TestTheEnd:
    def test_close_says_so(self, stream: TLSStream, peer: Peer) -> None:
        stream.send_now(b"answer")
        stream.close()
        assert (peer.receive(), peer.closed) == (b"answer", True)

    def test_shut_sending_says_so_and_what_comes_is_not_decrypted(
        self, stream: TLSStream, peer: Peer
    ) -> None:
        stream.send_now(b"answer")
        stream.shut_sending()
        assert (peer.receive(), peer.closed) == (b"answer", True)
        record = peer.encrypt(b"late")
        peer.sock.sendall(record)
        assert stream.receive_now(1000) == record
        with pytest.raises(PeerGone):
            stream.send_now(b"x")
        stream.shut_sending()

    def test_a_reset_does_not_say_so(self, stream: TLSStream, peer: Peer) -> None:
        # Or a client would take the part that it has for the whole.
        stream.send_now(b"half")
        stream.reset_on_close()
        stream.close()
        assert (peer.receive(), peer.closed) == (b"half", False)

    def test_close_while_the_kernel_is_full_cuts_a_record(self, stream: TLSStream, peer: Peer) -> None:
        while stream.send_now(_LARGE):
            pass
        stream.close()
        stream.close()
        peer.receive()
        assert not peer.closed

    def test_close_in_the_middle_of_the_handshake(
        self, sockets: tuple[socket.socket, socket.socket], server_context: ssl.SSLContext
    ) -> None:
        stream = TLSStream(Stream(get_hub(), sockets[0]), server_context, b"\x16\x03\x01")
        assert not stream.shake_hands()
        stream.close()
        assert sockets[1].recv(10) == b""
