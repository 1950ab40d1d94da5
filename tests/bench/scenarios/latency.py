"""Latency at half of the server's own peak, in an open loop: timed from when each request was due.

The generator is Python and slower than the fastest servers, so the rate is the smaller of half the server's
peak (wrk, 64 connections, the same run) and 0.6 of what generator and server reach together flat out. The
table prints the rate.
"""

from tests.bench import openloop, servers, wrk
from tests.bench.peers import Needs
from tests.bench.samples import Metric, Sample

NAME = "latency"
TITLE = "Latency at half of the server's own peak, 64 connections, open loop"
CONNECTIONS = 64
METRICS = [
    Metric("p50", "p50", "ms", higher=False, digits=2),
    Metric("p99", "p99", "ms", higher=False, digits=2),
    Metric("rate", "at a rate of", "requests/s", compared=False),
]


def measure(peer, settings):
    with servers.running(peer, Needs()) as server:
        wrk.run(server, CONNECTIONS, 1)
        peak = wrk.run(server, CONNECTIONS, max(1, settings.seconds // 2))["rps"]
        together = openloop.closed_loop(server.address, CONNECTIONS, 1.0)
        rate = min(peak / 2, together * 0.6)
        detail = {
            "peak": peak,
            "together": together,
            "limited_by": "peak" if rate == peak / 2 else "generator",
        }
        latencies = openloop.open_loop(server.address, CONNECTIONS, rate, settings.seconds)
        detail["p999"] = openloop.percentile(latencies, 0.999)
        detail["max"] = latencies[-1]
        yield Sample(peer.name, "p50", openloop.percentile(latencies, 0.50), detail=detail)
        yield Sample(peer.name, "p99", openloop.percentile(latencies, 0.99))
        yield Sample(peer.name, "rate", rate)
