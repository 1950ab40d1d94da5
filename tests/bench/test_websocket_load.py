"""The load clients find out a server that drops, doubles, garbles or closes; an honest one gets its figures."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest
from tests.bench import echoes, frames
from tests.bench.members import Members
from tests.bench.wrk import LoadFailed

pytestmark = pytest.mark.repository


def unmask(frame):
    """The opcode and payload of a client's frame of less than 64 KiB, and what follows; None while it is not whole."""
    if len(frame) < 2:
        return None
    begin, length = 2, frame[1] & 0x7F
    if length == 126:
        begin, length = 4, int.from_bytes(frame[2:4], "big")
    if len(frame) < begin + 4 + length:
        return None
    mask, body = frame[begin : begin + 4], frame[begin + 4 : begin + 4 + length]
    return frame[0] & 15, bytes(b ^ mask[i % 4] for i, b in enumerate(body)), frame[begin + 4 + length :]


class Server:
    """A WebSocket server, an OS thread a connection; `answer(number, opcode, payload)`: the bytes for a frame."""

    HEAD = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + frames.ACCEPT + b"\r\n\r\n"

    def __init__(self, answer, head=HEAD):
        self.answer, self.head = answer, head
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = self.listener.getsockname()
        self.socks = []
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self.socks.append(sock)
                self.threads.append(threading.Thread(target=self.serve, args=[sock]))
                self.threads[-1].start()

    def serve(self, sock):
        with sock, contextlib.suppress(OSError):
            data = b""
            while b"\r\n\r\n" not in data:
                data += sock.recv(65536)
            sock.sendall(self.head)
            data, number = data.partition(b"\r\n\r\n")[2], 0
            while True:
                while found := unmask(data):
                    opcode, payload, data = found
                    number += 1
                    if (answer := self.answer(number, opcode, payload)) is None:
                        return
                    sock.sendall(answer)
                piece = sock.recv(65536)
                if not piece:
                    return
                data += piece

    def cpu_seconds(self):
        return time.process_time()

    def check(self):
        pass

    def close(self):
        with contextlib.suppress(OSError):  # closed already
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in self.socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(10)


@pytest.fixture
def serve():
    with contextlib.ExitStack() as stack:

        def start(*arguments):
            server = Server(*arguments)
            stack.callback(server.close)
            return server

        yield start


def honest(number, opcode, payload):
    return frames.unmasked(frames.PONG if opcode == frames.PING else opcode, payload)


def at(which, other):
    """Honest, but for one message of each connection."""
    return lambda number, *frame: other(*frame) if number == which else honest(number, *frame)


# The echo load


@pytest.mark.parametrize("size", [128, 20_000])
def test_an_honest_server_has_a_rate(serve, size):
    report = echoes.run(serve(honest), 3, frames.TEXT, size, 0.2)
    assert report["echoes"] >= 3
    assert report["rate"] == report["echoes"] / report["seconds"]


@pytest.mark.parametrize("which", [1, 5])
@pytest.mark.parametrize(
    ("other", "why"),
    [
        (lambda opcode, payload: frames.unmasked(frames.BINARY, payload), "echoed"),
        (lambda opcode, payload: frames.unmasked(opcode, payload[:-1] + b"?"), "echoed"),
        (lambda opcode, payload: honest(0, opcode, payload) * 2, "echoed"),
        (lambda opcode, payload: b"", "no echo|never got"),
        (lambda opcode, payload: None, "closed a connection"),
    ],
)
def test_a_server_that_does_it_wrong_once_has_none(serve, monkeypatch, which, other, why):
    monkeypatch.setattr(echoes, "PATIENCE", 0.5)
    with pytest.raises(LoadFailed, match=why):
        echoes.run(serve(at(which, other)), 2, frames.TEXT, 128, 0.3)


def test_a_server_that_says_what_it_said_before_has_none(serve):
    said = {}

    def stale(number, opcode, payload):
        return said.setdefault((threading.get_ident(), opcode), honest(number, opcode, payload))

    with pytest.raises(LoadFailed, match="echoed"):
        echoes.run(serve(stale), 2, frames.TEXT, 128, 0.1)


def test_a_server_that_speaks_after_the_end_has_none(serve):
    def chatty(number, opcode, payload):
        return honest(number, opcode, payload) * (2 if payload.startswith(b"last") else 1)

    with pytest.raises(LoadFailed, match=r"echoed|after the last echo"):
        echoes.run(serve(chatty), 2, frames.TEXT, 128, 0.1)


def test_a_refused_upgrade_is_no_websocket(serve):
    with pytest.raises(LoadFailed, match=r"answered b'HTTP/1\.1 403"):
        echoes.run(serve(honest, b"HTTP/1.1 403 Forbidden\r\n\r\n"), 1, frames.TEXT, 128, 0.1)


def test_no_load_lasts_until_the_servers_ping(serve):
    with pytest.raises(LoadFailed, match="at most 15 s"):
        echoes.run(serve(honest), 1, frames.TEXT, 128, 16)


# Members


def test_members_are_opened_pinged_and_echoed(serve):
    with Members(serve(honest).address, "/") as members:
        assert members.open(40, in_flight=8) == 40
        assert members.ping() == members.echo() == members.held() == 40
        assert members.why() == ""


def test_a_member_without_its_pong_is_not_counted(serve):
    with Members(serve(at(1, lambda opcode, payload: b"")).address, "/") as members:
        assert members.open(3) == 3
        assert members.ping(seconds=0.2) == 0
        assert members.ping() == members.held() == 3


def test_a_member_that_is_closed_or_gets_something_else_is_lost(serve):
    garbled = at(1, lambda opcode, payload: frames.unmasked(opcode, b"no"))
    for answer, why in ((garbled, "unasked"), (at(1, lambda *frame: None), "closed by the server")):
        with Members(serve(answer).address, "/") as members:
            members.open(2)
            assert members.echo() == members.held() == 0
            assert f"2 x {why}" in members.why()


def test_a_refused_member_is_not_open(serve):
    with Members(serve(honest, b"HTTP/1.1 503 Full\r\n\r\n").address, "/") as members:
        assert members.open(2) == 0
        assert "2 x answered b'HTTP/1.1 503" in members.why()


def test_pings_of_the_server_are_answered_and_an_announcement_is_found_behind_them(serve):
    pongs = []

    def announce(number, opcode, payload):
        if opcode == frames.PONG:
            pongs.append(payload)
            return b""
        return frames.unmasked(frames.PING, b"there?") + frames.unmasked(frames.BINARY, b"to all")

    with Members(serve(announce).address, "/") as members:
        members.open(2)
        members.expect(b"to all")
        for sock in members.open_ones.values():
            sock.send(frames.masked(frames.TEXT, b"go", b"abcd"))
        assert members.wait(10) == 0
        members.expect(b"never")
        assert members.wait(0.1) == 2
        assert members.held() == 2
    assert pongs == [b"there?"] * 2


def test_stalled_members_read_nothing_and_their_end_is_seen(serve):
    server = serve(honest)
    with Members(server.address, "/") as members:
        members.open(2, stalling=True)
        members.open(3)
        members.stall(0, 2)
        assert members.held() == 3
        assert members.cut_off() == 0
        server.close()
        assert members.cut_off() == 2
