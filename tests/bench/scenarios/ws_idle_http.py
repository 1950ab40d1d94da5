"""Requests per second of the hello app at 64 connections, while no and 5,000 WebSockets lie idle in the same server.

Without them it is asked before and after, and the mean of both counts: what a server gains or loses with time is no
effect of theirs.
"""

from tests.bench import servers, wrk
from tests.bench.members import Members
from tests.bench.peers import Needs
from tests.bench.samples import Metric, Sample

NAME = "ws-idle-http"
TITLE = "Requests per second at 64 connections beside idle WebSockets"
PEERS = ("greenserve", "eventlet", "gevent-websocket", "uvicorn", "aiohttp")  # HTTP and WebSocket on one port
IDLE = 5000
METRICS = [
    Metric("rps+0", "no WebSocket", "requests/s"),
    Metric(f"rps+{IDLE}", f"{IDLE:,} idle", "requests/s"),
]


def measure(peer, settings):
    with servers.running(peer, Needs(websockets=IDLE)) as server:
        wrk.run(server, 64, 1)
        before = wrk.run(server, 64, settings.seconds)
        with Members(server.address, "/echo") as members:
            members.open(IDLE)
            members.echo()
            beside = wrk.run(server, 64, settings.seconds)
            held = members.ping()
            note = "" if held == IDLE else f"holds {held:,} of {IDLE:,} ({members.why()})"
        after = wrk.run(server, 64, settings.seconds)
        detail = {"before": before, "after": after}
        yield Sample(peer.name, METRICS[0].key, (before["rps"] + after["rps"]) / 2, detail=detail)
        yield Sample(peer.name, METRICS[1].key, None if note else beside["rps"], note=note, detail=beside)
