"""The echo load: each of some WebSockets sends a frame, waits for its echo, and sends it again.

One epoll loop over frames that were made beforehand, so that it costs little more than its system calls. Every echo is
compared with what was sent, byte for byte; payloads differ from connection to connection. At the end each connection
sends one that it has not sent before, and nothing may come after its echo: a server that drops, doubles or
garbles a message raises LoadFailed, and has no rate.
"""

import contextlib
import gc
import os
import select
import socket
import time

from tests.bench import frames
from tests.bench.wrk import LoadFailed

PATIENCE = 10.0  # seconds for what must come
QUIET = 0.2  # seconds in which nothing may come
LONGEST = 15.0  # seconds of load: at 20 s servers begin to ping, and this client expects echoes alone


class Lane:
    """One WebSocket, what it sends, and what it gets back."""

    def __init__(self, sock, number, opcode, size):
        self.sock = sock
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(frames.upgrade("/echo"))
        data, rest = b"", None
        while rest is None:
            piece = self.sock.recv(4096)
            if not piece:
                raise LoadFailed("closed without an answer to the upgrade")
            data += piece
            try:
                rest = frames.accepted(data)
            except ValueError as error:
                raise LoadFailed(str(error)) from None
        if rest:
            raise LoadFailed(f"sent {rest[:40]!r} that nobody asked for")
        mask = (0x9E3779B9 * (number + 1) & 0xFFFFFFFF).to_bytes(4, "big")
        self.frame, self.echo = self.message(f"{number:04}:", opcode, size, mask)
        self.last = self.message(f"last {number:04}:", opcode, size, mask)
        self.received = b""  # of an echo that has not all come
        self.sock.setblocking(False)

    @staticmethod
    def message(prefix, opcode, size, mask):
        text = (prefix + "abcdefghijklmnopqrstuvwxyz" * (size // 26 + 1))[:size].encode()
        return frames.masked(opcode, text, mask), frames.unmasked(opcode, text)

    def send(self):
        """The frame; what the socket's buffer has no room for, as soon as it has."""
        sent = 0
        while sent < len(self.frame):
            try:
                sent += self.sock.send(self.frame[sent:] if sent else self.frame)
            except BlockingIOError:
                if not select.select([], [self.sock], [], PATIENCE)[1]:
                    raise LoadFailed(f"read nothing for {PATIENCE:.0f} s") from None

    def whole(self, data):
        """Whether the echo is there with this; LoadFailed if it is another than what was sent."""
        if not data:
            raise LoadFailed("the server closed a connection")
        self.received += data
        if len(self.received) < len(self.echo):
            return False
        if self.received != self.echo:
            raise LoadFailed(f"echoed {self.received[:40]!r}…, not {self.echo[:40]!r}…")
        self.received = b""
        return True


def run(server, connections, opcode, size, seconds):
    """What `connections` WebSockets get in a closed loop of `seconds`, with messages of `size` bytes.

    rate: echoes/s. cpu: the share of the server's core that was in use; well below 1, and this client was the
    bottleneck. per_cpu: echoes for each second of the server's CPU time.
    """
    if seconds > LONGEST:
        raise LoadFailed(
            f"{seconds} s: servers would ping, and this client does not answer; at most {LONGEST:.0f} s"
        )
    with contextlib.ExitStack() as stack:
        lanes = {}
        for number in range(connections):
            sock = stack.enter_context(socket.create_connection(server.address, timeout=PATIENCE))
            lanes[sock.fileno()] = Lane(sock, number, opcode, size)
        poll = stack.enter_context(select.epoll())
        for fd in lanes:
            poll.register(fd, select.EPOLLIN)
        gc.disable()
        stack.callback(gc.enable)
        report = load(server, lanes, poll, seconds)
        ask_once_more(lanes, poll)
    server.check()
    return report


def load(server, lanes, poll, seconds):
    ways = {fd: (lane.sock.recv, lane.sock.send, lane.frame, lane.echo, lane) for fd, lane in lanes.items()}
    size = len(next(iter(lanes.values())).echo)
    most = max(size + 1, 4096)  # more than the echo, so that what comes twice is seen
    echoes = 0
    cpu, mine = server.cpu_seconds(), time.process_time()
    start = now = time.perf_counter()
    end = start + seconds
    for lane in lanes.values():
        lane.send()
    waits = 0
    while now < end:
        events = poll.poll(0.5)
        for fd, _ in events:
            receive, send, frame, echo, lane = ways[fd]
            data = receive(most)
            if (data == echo and not lane.received) or lane.whole(data):
                echoes += 1
                if size > 16384:
                    lane.send()
                else:
                    send(frame)
        now = time.perf_counter()
        waits = 0 if events else waits + 1
        if waits * 0.5 >= PATIENCE:
            raise LoadFailed(f"no echo for {PATIENCE:.0f} s, after {echoes}")
    taken = now - start
    cpu, mine = server.cpu_seconds() - cpu, time.process_time() - mine
    answers(lanes, poll, set(lanes))
    return {
        "rate": echoes / taken,
        "per_cpu": echoes / cpu if cpu else 0.0,
        "cpu": round(cpu / taken, 3),
        "client_cpu": round(mine / taken, 3),
        "seconds": taken,
        "echoes": echoes,
        "load_average": os.getloadavg()[0],
    }


def answers(lanes, poll, missing):
    """Wait until each of the missing has its echo."""
    deadline = time.perf_counter() + PATIENCE
    while missing:
        if time.perf_counter() > deadline:
            raise LoadFailed(f"{len(missing)} of {len(lanes)} connections never got their last echo")
        for fd, _ in poll.poll(0.5):
            if lanes[fd].whole(lanes[fd].sock.recv(1 << 20)):
                missing.discard(fd)


def ask_once_more(lanes, poll):
    """A message that is new on each connection; then silence."""
    for lane in lanes.values():
        lane.frame, lane.echo = lane.last
        lane.send()
    answers(lanes, poll, set(lanes))
    if late := poll.poll(QUIET):
        data = lanes[late[0][0]].sock.recv(64)
        raise LoadFailed(
            f"sent {data!r} after the last echo" if data else "closed a connection after the last echo"
        )
