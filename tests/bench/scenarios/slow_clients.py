"""How long a normal client waits while slowhttptest holds 2,000 slow connections of one kind; what the server grows by.

Slow heads; slow bodies, of which the app reads none or all; slow readers of an answer of a mebibyte that is whole, a
file, or streamed. Each against a fresh server with default settings. The normal client has an address of its own, asks
on a connection that it keeps and on a new one in turn, and is timed from the first packet to the last byte. It gives up
after three failures in a row. All other figures are in the JSON: p50, slowest, memory before, at its peak and after,
what the kernel held for TCP, how many connections stood, and whether slowhttptest found the service available.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter

from tests.bench import machine, openloop, servers
from tests.bench.apps.hello import BODY
from tests.bench.connections import REQUEST
from tests.bench.peers import Needs, Unsuited
from tests.bench.samples import Metric, Sample

NAME = "slow-clients"
TITLE = "A normal client beside 2,000 slow ones (slowhttptest), default settings"
PEERS = ("greenserve", "gevent", "eventlet", "gunicorn", "waitress")
APP = "tests.bench.apps.slow_targets:app"
CONNECTIONS = 2000
PROBE_TIMEOUT = 2.0
PAUSE = 0.02  # seconds between two pairs of probes
SOURCE = ("127.0.0.2", 0)  # slowhttptest comes from 127.0.0.1
KINDS = {
    "heads": ("slow heads", "-H", "/"),
    "left": ("slow bodies, left", "-B", "/left"),
    "read": ("slow bodies, read", "-B", "/read"),
    "whole": ("slow readers, whole", "-X", "/whole"),
    "file": ("slow readers, file", "-X", "/file"),
    "stream": ("slow readers, stream", "-X", "/stream"),
}
METRICS = [
    *(Metric(f"p99_{key}", f"p99, {kind[0]}", "ms", higher=False, digits=1) for key, kind in KINDS.items()),
    Metric("worst", "slowest of all", "ms", higher=False, digits=1),
    Metric("growth", "memory: heads and bodies", "MiB", higher=False, digits=0),
    Metric("growth_readers", "memory: readers", "MiB", higher=False, digits=0),
]
# All heads and bodies stand before a deadline cuts off the first. A thousand answers of 1 MiB a second would be work,
# not slowness. What readers take is 32 bytes a second, out of a window of less than 1 KiB.
_FLAGS = {
    "-H": "-r 1000 -i 3",
    "-B": "-r 1000 -i 3 -s 8192",
    "-X": "-r 200 -n 1 -z 32 -w 512 -y 1024",
}
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_CONNECTED = re.compile(r"connected:\s+(\d+)")
_AVAILABLE = re.compile(r"service available:\s+(YES|NO)")


def measure(peer, settings):
    if not shutil.which("slowhttptest"):
        raise Unsuited("needs slowhttptest: apt-get install slowhttptest")
    worst, growth = [], {}
    for key in KINDS:
        value, note, detail = attack(peer, key, settings.slow_seconds)
        yield Sample(peer.name, f"p99_{key}", value, note=note, detail=detail)
        worst.append(detail["slowest"])
        growth[key] = (detail["memory_peak"] - detail["memory_before"]) / 1024
    yield Sample(peer.name, "worst", max(worst))
    yield Sample(peer.name, "growth", max(growth[key] for key, kind in KINDS.items() if kind[1] != "-X"))
    yield Sample(
        peer.name, "growth_readers", max(growth[key] for key, kind in KINDS.items() if kind[1] == "-X")
    )


def attack(peer, key, seconds):
    """(p99 in ms or None, why none, all figures)."""
    _, way, path = KINDS[key]
    with servers.running(peer, Needs(app=APP)) as server:
        client = Client(server)
        client.probe_both()
        detail = {"memory_before": server.memory_kib(), "load_average": os.getloadavg()[0]}
        with tempfile.TemporaryFile() as output:
            with slowhttptest(server, way, path, seconds, output):
                client.run(seconds)
            output.seek(0)
            said = _COLOUR.sub("", output.read().decode(errors="replace"))
        time.sleep(1)
        detail["memory_after"] = server.memory_kib()
    available = _AVAILABLE.findall(said)
    detail |= client.figures()
    detail |= {
        "connected": max(map(int, _CONNECTED.findall(said)), default=0),
        "available": available.count("YES"),
        "unavailable": available.count("NO"),
    }
    note = client.why() or ("" if available else f"slowhttptest said nothing: {said[-200:]!r}")
    return None if note else max(detail["p99_kept"], detail["p99_new"]), note, detail


@contextlib.contextmanager
def slowhttptest(server, way, path, seconds, output):
    """Runs meanwhile, on the load core, and writes to `output` when it has ended."""
    url = server.url.rstrip("/") + path
    command = f"slowhttptest {way} {_FLAGS[way]} -c {CONNECTIONS} -l {seconds} -p 3 -u {url}".split()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)  # it sums up what it has seen
        try:
            process.wait(servers.STOP_SECONDS)
        finally:
            process.kill()
            process.wait()


class Client:
    """The normal client of one server, and what it has seen."""

    def __init__(self, server):
        self.server = server
        self.kept = None
        self.times = {"kept": [], "new": []}  # ms
        self.failures = Counter()
        self.in_a_row = 0
        self.memory_peak = 0.0
        self.kernel_peak = 0.0

    def run(self, seconds):
        """Pairs of probes for `seconds`, or until three have failed in a row; looks at the memory once a second."""
        end = time.monotonic() + seconds
        look = 0.0
        while (now := time.monotonic()) < end and self.in_a_row < 3:
            if now >= look:
                self.look()
                look = now + 1
            self.probe_both()
            time.sleep(PAUSE)
        self.look()
        if self.kept is not None:
            self.kept.close()

    def look(self):
        self.server.check()
        self.memory_peak = max(self.memory_peak, self.server.memory_kib())
        self.kernel_peak = max(self.kernel_peak, machine.tcp_memory_kib())

    def probe_both(self):
        for way in ("kept", "new"):
            start = time.perf_counter()
            sock = self.kept if way == "kept" else None
            try:
                if sock is None:
                    sock = socket.create_connection(self.server.address, PROBE_TIMEOUT, SOURCE)
                self.ask(sock)
                self.in_a_row = 0
            except OSError as error:
                self.failures[str(error) or type(error).__name__] += 1
                self.in_a_row += 1
                if sock is not None:
                    sock.close()
                sock = None
            self.times[way].append((time.perf_counter() - start) * 1e3)
            if way == "kept":
                self.kept = sock
            elif sock is not None:
                sock.close()

    def ask(self, sock):
        """One whole answer; OSError when there is none. A server may close what is kept: then it is a failure."""
        sock.sendall(REQUEST)
        data = b""
        while not data.endswith(BODY):
            piece = sock.recv(65536)
            if not piece:
                raise ConnectionResetError("closed without an answer")
            data += piece
            if len(data) >= 12 and data[9:12] != b"200":
                raise ConnectionError(f"status {data[9:12].decode('latin-1')}")

    def figures(self):
        found = {"memory_peak": self.memory_peak, "tcp_memory_peak": self.kernel_peak}
        for way, times in self.times.items():
            times.sort()
            found[f"p50_{way}"] = openloop.percentile(times, 0.5)
            found[f"p99_{way}"] = openloop.percentile(times, 0.99)
        found["slowest"] = max(times[-1] for times in self.times.values())
        return found | {"probes": sum(map(len, self.times.values())), "failed": dict(self.failures)}

    def why(self):
        """Why there is no figure, or an empty string."""
        failed = self.failures.total()
        kinds = ", ".join(f"{many} x {reason}" for reason, many in self.failures.most_common(2))
        return (
            f"{failed} of {sum(map(len, self.times.values()))} probes unanswered ({kinds})" if failed else ""
        )
