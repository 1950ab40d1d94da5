"""Echoes per second of 64 WebSockets with 128 bytes of text, no compression (the client offers none)."""

from tests.bench import echoes, frames, servers
from tests.bench.peers import WEBSOCKET, Needs
from tests.bench.samples import Metric, Sample

NAME = "ws-echo"
TITLE = "WebSocket echo, 64 connections, 128 bytes of text"
PEERS = (*WEBSOCKET, "greenserve in Python")  # last: the first is the one that is compared
CONNECTIONS = 64
METRICS = [
    Metric("rate", "echoes", "/s"),
    Metric("per_cpu", "echoes per second of CPU", "/s"),
    Metric("cpu", "of a core used", "", digits=2, compared=False),
]


def measure(peer, settings, opcode=frames.TEXT, size=128):
    with servers.running(peer, Needs(websockets=CONNECTIONS)) as server:
        echoes.run(server, CONNECTIONS, opcode, size, 0.7)  # imports, caches and a cold CPU
        report = echoes.run(server, CONNECTIONS, opcode, size, settings.seconds)
        for metric in METRICS:
            yield Sample(peer.name, metric.key, report[metric.key], detail=report)
