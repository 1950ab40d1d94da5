"""Many client connections in one epoll loop: those that lie idle, and those that all ask at once.

Called by the scenarios that hold connections. A plain Python client is enough: it runs on the load core,
and nothing here is timed to better than a few milliseconds. One request at a time on a connection, so an
answer is whole when it ends with the hello body.
"""

import contextlib
import select
import socket
import time
from collections import Counter

from tests.bench.apps.hello import BODY

REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"
EDGES = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
# Connections opened between two looks at the answers: a burst above the backlog would measure the kernel's
# one-second SYN retry and not the server.
BURST = 32


class Crowd:
    """Connections to one address; `with` closes them. Counts are this client's, not the server's."""

    def __init__(self, address):
        self.address = address
        self.epoll = select.epoll()
        self.answers = 0  # 200s
        self.idle = {}  # fd → socket: open, nothing asked that is not answered
        self.busy = {}  # fd → socket: asked, not answered
        self.received = {}  # fd → the beginning of an answer that has not all come
        self.unsent = set()  # not connected yet
        self.failures = Counter()  # why a connection was lost → how many

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        for sock in [*self.idle.values(), *self.busy.values()]:
            sock.close()
        self.epoll.close()

    def open(self, count, *, in_flight=128, seconds=30.0):
        """Open `count` more connections that each ask once; returns how many were answered 200 in time."""
        before = self.answers
        deadline = time.perf_counter() + seconds
        left = count
        while (left or self.busy) and time.perf_counter() < deadline:
            for _ in range(min(left, BURST, in_flight - len(self.busy))):
                fd = self._connect()
                self.busy[fd] = self.idle.pop(fd)
                self._send(fd)
                left -= 1
            self._turn(0 if left and len(self.busy) < in_flight else 0.05)
        self._give_up("no answer in time")
        if left:
            self.failures["not opened in time"] += left
        return self.answers - before

    def connect(self, count, *, per_second):
        """Open `count` more connections that do not ask yet, evenly paced so that no backlog overflows."""
        start = time.perf_counter()
        for number in range(count):
            self._connect()
            while time.perf_counter() < start + number / per_second:
                self._turn(0.001)

    def ask(self, *, in_flight=128, seconds=30.0):
        """One more request on every idle connection; returns how many were answered 200 in time."""
        before = self.answers
        deadline = time.perf_counter() + seconds
        waiting = list(self.idle)
        while (waiting or self.busy) and time.perf_counter() < deadline:
            while waiting and len(self.busy) < in_flight:
                fd = waiting.pop()
                if fd in self.idle:
                    self.busy[fd] = self.idle.pop(fd)
                    self._send(fd)
            self._turn(0.05)
        self._give_up("no answer in time")
        return self.answers - before

    def held(self):
        """How many idle connections the server has not closed."""
        self._turn(0)
        return len(self.idle)

    def _connect(self):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(self.address)  # EINPROGRESS; a refusal arrives as an event
        fd = sock.fileno()
        self.idle[fd] = sock
        self.epoll.register(fd, EDGES)
        return fd

    def _send(self, fd):
        try:
            self.busy[fd].send(REQUEST)
        except BlockingIOError:
            self.unsent.add(fd)
        except OSError as error:
            self._lose(fd, type(error).__name__)

    def _turn(self, timeout):
        for fd, events in self.epoll.poll(timeout, 1024):
            if fd in self.unsent and events & select.EPOLLOUT and not events & select.EPOLLERR:
                self.unsent.discard(fd)
                self._send(fd)
            if events & (select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR):
                self._receive(fd)

    def _receive(self, fd):
        sock = self.busy.get(fd) or self.idle.get(fd)
        if sock is None:
            return
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    data = sock.recv(65536)
                except BlockingIOError:
                    return
                except OSError as error:
                    self._lose(fd, type(error).__name__)
                    return
                if not data:
                    self._lose(fd, "closed by the server")
                    return
                self._answer(fd, data)
                if fd not in self.busy and fd not in self.idle:
                    return

    def _answer(self, fd, data):
        data = self.received.pop(fd, b"") + data
        if fd in self.idle:
            self._lose(fd, f"unasked: {data[:12].decode('latin-1')}")
        elif len(data) >= 12 and data[9:12] != b"200":
            self._lose(fd, f"status {data[9:12].decode('latin-1')}")
        elif data.endswith(BODY):
            self.idle[fd] = self.busy.pop(fd)
            self.answers += 1
        else:
            self.received[fd] = data

    def _lose(self, fd, reason):
        sock = self.busy.pop(fd, None) or self.idle.pop(fd)
        self.received.pop(fd, None)
        self.unsent.discard(fd)
        self.failures[reason] += 1
        sock.close()

    def _give_up(self, reason):
        for fd in list(self.busy):
            self._lose(fd, reason)

    def why(self):
        """The failures in words, most frequent first."""
        return ", ".join(f"{count} x {reason}" for reason, count in self.failures.most_common(3))
