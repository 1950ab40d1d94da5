"""Thousands of WebSockets in one epoll loop that lie idle, are pinged, or wait for one message together.

Called by the scenarios that hold WebSockets. Frames are compared whole; a ping of the server's is answered; anything
that nobody waits for loses the connection, and `why()` counts the reasons.
"""

import contextlib
import select
import socket
import time
from collections import Counter

from tests.bench import frames

BURST = 32  # connections opened between two looks at the answers, as in connections.py
MASK = b"\x5a\xa5\x3c\xc3"
# A reader that stalls: the kernel holds little for it, so that it soon stalls the server. Its segments are small since
# the server's kernel reserves by their size, 2.5 MiB at loopback's 64 KiB.
SMALL_BUFFER = 4096
SMALL_SEGMENT = 536


class Members:
    """WebSockets to one address and path; `with` closes them."""

    def __init__(self, address, path):
        self.address = address
        self.question = frames.upgrade(path)
        self.epoll = select.epoll()
        self.open_ones = {}  # fd → socket
        self.opening = {}  # fd → socket: no 101 yet
        self.stalled = {}  # fd → socket: open, and nothing is read any more
        self.received = {}  # fd → the beginning of a frame or a head
        self.expected = {}  # fd → the frame that it is to get next
        self.failures = Counter()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        for sock in [*self.open_ones.values(), *self.opening.values(), *self.stalled.values()]:
            sock.close()
        self.epoll.close()

    def open(self, count, *, in_flight=128, seconds=60.0, stalling=False):
        """Open `count` more; how many were. `stalling`: with small buffers, for those that will read nothing."""
        before = len(self.open_ones)
        deadline = time.perf_counter() + seconds
        left = count
        while (left or self.opening) and time.perf_counter() < deadline:
            for _ in range(min(left, BURST, in_flight - len(self.opening))):
                self._connect(stalling)
                left -= 1
            self._turn(0 if left and len(self.opening) < in_flight else 0.05)
        for fd in list(self.opening):
            self._lose(fd, "no answer to the upgrade in time")
        if left:
            self.failures["not opened in time"] += left
        return len(self.open_ones) - before

    def _connect(self, stalling):
        sock = socket.socket()
        if stalling:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SMALL_SEGMENT)
        sock.settimeout(5)
        sock.connect(self.address)
        sock.setblocking(False)
        sock.send(self.question)
        self.opening[sock.fileno()] = sock
        self.epoll.register(sock, select.EPOLLIN)

    def stall(self, first, count):
        """From now on `count` of those that are open, from the `first` in the order of opening, read nothing."""
        for fd in list(self.open_ones)[first : first + count]:
            self.epoll.unregister(fd)
            self.stalled[fd] = self.open_ones.pop(fd)

    def cut_off(self):
        """How many of the stalled ones the server has ended; the others are still open."""
        ended = select.poll()
        for fd in self.stalled:
            ended.register(fd, select.POLLRDHUP)
        return len(ended.poll(0))

    def ping(self, seconds=60.0):
        """A ping on each, with a payload of its own; how many were answered with it."""
        return self._ask(frames.PING, frames.PONG, "ping", seconds)

    def echo(self, seconds=60.0):
        """A text on each, of its own; how many were echoed."""
        return self._ask(frames.TEXT, frames.TEXT, "echo", seconds)

    def _ask(self, opcode, answer, word, seconds, in_flight=128):
        deadline = time.perf_counter() + seconds
        waiting = list(self.open_ones)
        asked = len(waiting)
        while waiting and time.perf_counter() < deadline:
            some = [fd for fd in waiting[-in_flight:] if fd in self.open_ones]
            del waiting[-in_flight:]
            for fd in some:
                payload = f"{word} {fd}".encode()
                self.expected[fd] = frames.unmasked(answer, payload)
                self.open_ones[fd].send(frames.masked(opcode, payload, MASK))
            while self.expected and time.perf_counter() < deadline:
                self._turn(0.05)
        unanswered = len(waiting) + len(self.expected)
        self.expected.clear()
        return min(asked - unanswered, len(self.open_ones))

    def expect(self, message):
        """From now on each is to get this binary message, once."""
        self.expected = dict.fromkeys(self.open_ones, frames.unmasked(frames.BINARY, message))

    def wait(self, seconds):
        """Read until all have what is expected; how many have not after `seconds`. Who was lost is not among them."""
        end = time.perf_counter() + seconds
        while self.expected and time.perf_counter() < end:
            self._turn(0.05)
        missing = len(self.expected)
        self.expected.clear()
        return missing

    def held(self):
        """How many are open still; reads what there is, and answers pings."""
        self._turn(0)
        return len(self.open_ones)

    def _turn(self, timeout):
        for fd, _ in self.epoll.poll(timeout, 1024):
            sock = self.open_ones.get(fd) or self.opening[fd]
            try:
                data = sock.recv(65536)
            except OSError as error:
                self._lose(fd, type(error).__name__)
                continue
            if data == self.expected.get(fd) and fd not in self.received:
                del self.expected[fd]
            elif not data:
                self._lose(fd, "closed by the server")
            else:
                try:
                    self._read(fd, sock, self.received.pop(fd, b"") + data)
                except ValueError as error:
                    self._lose(fd, str(error))

    def _read(self, fd, sock, data):
        """ValueError for what this client does not expect."""
        if fd in self.opening:
            rest = frames.accepted(data)
            if rest is not None:
                self.open_ones[fd] = self.opening.pop(fd)
                data = rest
        while fd in self.open_ones and (frame := frames.first(data)):
            opcode, payload, length = frame
            if opcode == frames.PING:
                sock.send(frames.masked(frames.PONG, payload, MASK))
            elif data[:length] == self.expected.get(fd):
                del self.expected[fd]
            else:
                raise ValueError(f"unasked: {data[:24]!r}")
            data = data[length:]
        if data:
            self.received[fd] = data

    def _lose(self, fd, reason):
        sock = self.open_ones.pop(fd, None) or self.opening.pop(fd)
        self.received.pop(fd, None)
        self.expected.pop(fd, None)
        self.failures[reason] += 1
        with contextlib.suppress(OSError):
            self.epoll.unregister(fd)
        sock.close()

    def why(self):
        """The failures in words, most frequent first."""
        return ", ".join(f"{count} x {reason}" for reason, count in self.failures.most_common(3))
