"""KiB of server memory per idle WebSocket at 4,000, each of which has echoed a message.

All must answer a ping at the end. As idle_memory measures it: user memory of the process family before and after. Twice
where the server has both: with a handler that waits in each (a green thread, a coroutine), and in a form that is called
back and needs none.
"""

import time

from tests.bench import servers
from tests.bench.members import Members
from tests.bench.peers import WEBSOCKET, Needs
from tests.bench.samples import OURS, Metric, Sample

NAME = "ws-idle"
TITLE = "Memory per idle WebSocket, 4,000 open"
PEERS = WEBSOCKET
METRICS = [
    Metric("waiting", "a handler waits in each", "KiB", higher=False, digits=2),
    Metric("callback", "called back", "KiB", higher=False, digits=2),
]
WAYS = {OURS: {"waiting": "/echo", "callback": "/callback"}, "picows": {"callback": "/echo"}}


def measure(peer, settings):
    for metric, path in WAYS.get(peer.name, {"waiting": "/echo"}).items():
        yield hold(peer, metric, path, settings.idle_connections)


def hold(peer, metric, path, count):
    with servers.running(peer, Needs(websockets=count)) as server:
        with Members(server.address, path) as warm:
            warm.open(64)
            warm.echo()
        time.sleep(0.5)
        before = server.memory_kib()
        with Members(server.address, path) as members:
            opened = members.open(count)
            echoed = members.echo()
            time.sleep(1.0)
            after = server.memory_kib()
            answered = members.ping()
            detail = {
                "before": before,
                "after": after,
                "opened": opened,
                "echoed": echoed,
                "answered": answered,
            }
            if opened == echoed == answered == members.held() == count:
                return Sample(peer.name, metric, (after - before) / count, detail=detail)
            note = f"can't hold them: {min(opened, echoed, answered):,} of {count:,} ({members.why()})"
            return Sample(peer.name, metric, None, note=note, detail=detail)
