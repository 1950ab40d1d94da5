"""10,000 WebSockets in a room, each pinged and answered; then one message to all: the time to the last member.

Then again with a tenth of them stalled: those read nothing while messages of 16 KiB go to all, more of them than a
server holds for a stalled reader, and then the same small message is timed for the rest. None of the rest may be lost.
The time counts from the announcer's send to this client's last recv, so it holds what this client takes to read it all.
"""

import contextlib
import socket
import time
from statistics import median

from tests.bench import frames, servers
from tests.bench.members import MASK, Members
from tests.bench.peers import Needs
from tests.bench.samples import Metric, Sample
from tests.bench.wrk import LoadFailed

NAME = "ws-broadcast"
TITLE = "One message to 10,000 WebSockets of a room"
PEERS = ("greenserve", "eventlet", "websockets")  # greenserve's Room, a loop of sends, websockets.broadcast()
TIMES = 5  # broadcasts of which the median counts
SMALL, LARGE = 128, 16 << 10  # bytes
FLOOD = 80  # large messages: 1.25 MiB, more than the default of ws_max_unsent
SECONDS = 20.0  # until all have a message
METRICS = [
    Metric("last", "until the last has it", "ms", higher=False, digits=0),
    Metric("kib", "memory per member", "KiB", higher=False, digits=2),
    Metric("last_stalled", "beside a tenth that stalls", "ms", higher=False, digits=0),
    Metric("growth", "memory for the stalled", "MiB", higher=False, digits=1),
]


def measure(peer, settings):
    count = settings.websockets
    with (
        servers.running(peer, Needs(websockets=count + 65)) as server,
        announcer(server.address) as announce,
        Members(server.address, "/room") as members,
    ):
        members.open(64)  # imports, caches
        members.ping()
        time.sleep(0.5)
        before = server.memory_kib()
        members.open(count // 10, stalling=True)
        members.open(count - count // 10)
        everyone = count + 64
        if (pinged := members.ping()) != everyone:
            raise LoadFailed(f"{pinged:,} of {everyone:,} pings answered ({members.why()})")
        time.sleep(1.0)
        memory = server.memory_kib()
        detail = {"before": before, "after": memory, "pinged": pinged}
        yield Sample(peer.name, "kib", (memory - before) / count, detail=detail)
        value, detail = timed(announce, members)
        yield Sample(peer.name, "last", value, detail=detail)
        members.stall(64, count // 10)
        peak = memory
        for number in range(FLOOD):
            deliver(announce, members, f"large {number}".encode().ljust(LARGE, b"."))
            if number % 10 == 9:
                peak = max(peak, server.memory_kib())
        detail = {"peak": peak, "stalled": len(members.stalled), "ended": members.cut_off()}
        yield Sample(peer.name, "growth", (peak - memory) / 1024, detail=detail)
        value, detail = timed(announce, members)
        yield Sample(peer.name, "last_stalled", value, detail=detail)


@contextlib.contextmanager
def announcer(address):
    """A function that sends a message to whom the server sends it on to the room."""
    with socket.create_connection(address, timeout=SECONDS) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(frames.upgrade("/announce"))
        head = b""
        while frames.accepted(head) is None:
            head += sock.recv(4096) or b"\r\n\r\n"  # an end is no acceptance
        yield lambda message: sock.sendall(frames.masked(frames.BINARY, message, MASK))


def timed(announce, members):
    """(the median in ms of some broadcasts, what is behind it)."""
    times = []
    for number in range(TIMES):
        time.sleep(0.2)
        times.append(deliver(announce, members, f"small {number}".encode().ljust(SMALL, b".")) * 1e3)
    return median(times), {"times": times, "receivers": members.held()}


def deliver(announce, members, message):
    """Seconds until all members have the message; LoadFailed if one has not."""
    receivers = members.held()
    members.expect(message)
    start = time.perf_counter()
    announce(message)
    missing = members.wait(SECONDS)
    taken = time.perf_counter() - start
    if missing or members.held() < receivers:
        raise LoadFailed(
            f"{missing + receivers - members.held():,} of {receivers:,} did not get a message of "
            f"{len(message):,} bytes within {SECONDS:.0f} s ({members.why()})"
        )
    return taken
