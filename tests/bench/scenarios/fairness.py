"""How long a new client waits for its answer while others do nothing, slowly.

Eight requests may run at once; 4,000 keep-alive connections lie idle and 200 clients drip one header byte a
second. About 200 probes, each a new connection and one request, are timed from connect to the last byte. A
server that spends a slot on an idle or slow client fails here, and its probes time out after two seconds.
"""

import contextlib
import socket
import time
from collections import Counter

from tests.bench import openloop, servers
from tests.bench.apps.hello import BODY
from tests.bench.connections import REQUEST, Crowd
from tests.bench.peers import Needs, Unsuited
from tests.bench.samples import Metric, Sample

NAME = "fairness"
TITLE = "A new request beside 4,000 idle and 200 dripping clients, 8 slots"
SLOTS = 8
DRIPPERS = 200
PROBES = 200
PROBE_TIMEOUT = 2.0
METRICS = [
    Metric("probe_p50", "p50", "ms", higher=False, digits=1),
    Metric("probe_p99", "p99", "ms", higher=False, digits=1),
    Metric("probe_max", "slowest", "ms", higher=False, digits=1),
]


class Dripper:
    """A client that sends its head one byte a second; starts again when the server has enough of it."""

    def __init__(self, address, first):
        self.address = address
        self.next = first
        self.losses = 0
        self.sock = self.connect()

    def connect(self):
        sock = socket.create_connection(self.address, timeout=PROBE_TIMEOUT)
        sock.setblocking(False)
        sock.send(b"GET / HTTP/1.1\r\nHost: bench\r\nX-Slow: ")
        return sock

    def close(self):
        self.sock.close()

    def drip(self, now):
        if now < self.next:
            return
        self.next += 1.0
        try:
            with contextlib.suppress(BlockingIOError):
                self.sock.recv(65536)
                raise ConnectionResetError  # an answer or an end: either way this connection is over
            self.sock.send(b"x")
        except OSError:
            self.losses += 1
            self.sock.close()
            with contextlib.suppress(OSError):
                self.sock = self.connect()


def probe(address):
    """Milliseconds from connect to the whole answer; OSError when there is none."""
    start = time.perf_counter()
    with socket.create_connection(address, timeout=PROBE_TIMEOUT) as sock:
        sock.sendall(REQUEST)
        data = b""
        while not data.endswith(BODY):
            piece = sock.recv(65536)
            if not piece:
                raise ConnectionResetError("closed without an answer")
            data += piece
            if data[9:12] != b"200":
                raise ConnectionError(f"status {data[9:12].decode('latin-1')}")
    return (time.perf_counter() - start) * 1e3


def measure(peer, settings):
    if not peer.sleeps:
        raise Unsuited("one request at a time, no slots to speak of")
    needs = Needs(hold=settings.idle_connections, at_once=SLOTS)
    with (
        servers.running(peer, needs) as server,
        Crowd(server.address) as crowd,
        contextlib.ExitStack() as stack,
    ):
        crowd.open(settings.idle_connections, in_flight=SLOTS * 4, seconds=15)
        opened = crowd.held()
        now = time.monotonic()
        drippers = [Dripper(server.address, now + one / DRIPPERS) for one in range(DRIPPERS)]
        for one in drippers:
            stack.callback(one.close)
        times, failures = probes(server, drippers)
        times.sort()
        detail = {"opened": opened, "held_after": crowd.held(), "lost": crowd.why(), "failed": dict(failures)}
        detail["drippers_restarted"] = sum(one.losses for one in drippers)
        note = ""
        if opened < settings.idle_connections:
            note = f"holds {opened:,} of {settings.idle_connections:,} idle connections"
        elif failures:
            failed = sum(failures.values())
            why = ", ".join(f"{many} x {reason}" for reason, many in failures.most_common(2))
            note = f"{failed} of {len(times) + failed} probes unanswered ({why})"
        for metric, share in zip(METRICS, (0.5, 0.99, 1.0), strict=True):
            value = None if note else openloop.percentile(times, share)
            yield Sample(peer.name, metric.key, value, note=note, detail=detail)
            detail = {}


def probes(server, drippers):
    """One probe every 60 ms with the drips between them; gives up after three failures in a row."""
    times, failures, in_a_row = [], Counter(), 0
    following = time.monotonic()
    for _ in range(PROBES):
        while (now := time.monotonic()) < following:
            for one in drippers:
                one.drip(now)
            time.sleep(0.005)
        following = max(following, now) + 0.06  # 12 s in all: long enough for head timeouts to strike
        try:
            times.append(probe(server.address))
            in_a_row = 0
        except OSError as error:
            failures[str(error) or type(error).__name__] += 1
            in_a_row += 1
        server.check()
        if in_a_row == 3:
            break
    return times, failures
