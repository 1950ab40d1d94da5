"""Seconds until 4,000 concurrent requests that each sleep one second are answered; all answers must be 200.

Twice: asked all at once on connections that stand already; and from the first connect, as fast as the client can.
In the second a server that accepts too slowly lets its backlog overflow, and the kernel's retry costs those clients
a second (`overflows` in the JSON). Green-thread servers get a pool of 5,000, thread servers a thread for each request.
"""

import time

from tests.bench import machine, servers
from tests.bench.connections import Crowd
from tests.bench.peers import Needs, Unsuited
from tests.bench.samples import Metric, Sample

NAME = "sleepers"
TITLE = "4,000 requests at once that each sleep 1 s: seconds until all are answered"
LIMIT = 30.0
PER_SECOND = 4000  # a pace of connecting that every server's accept keeps up with
METRICS = [
    Metric("seconds", "on open connections", "s", higher=False, digits=2),
    Metric("with_connect", "connecting in a burst", "s", higher=False, digits=2),
]


def ask_all(crowd, count):
    crowd.connect(count, per_second=PER_SECOND)
    start = time.perf_counter()
    answered = crowd.ask(in_flight=count, seconds=LIMIT)
    return answered, time.perf_counter() - start


def connect_and_ask(crowd, count):
    start = time.perf_counter()
    answered = crowd.open(count, in_flight=count, seconds=LIMIT)
    return answered, time.perf_counter() - start


def measure(peer, settings):
    count = settings.sleepers
    if not peer.sleeps:
        raise Unsuited(f"one request at a time: this would take {count:,} s")
    app = f"tests.bench.apps.sleep_{peer.sleeps}:app"
    at_once = count if peer.sleeps == "threads" else count * 5 // 4
    for metric, ways in zip(METRICS, (ask_all, connect_and_ask), strict=True):
        with servers.running(peer, Needs(app=app, at_once=at_once)) as server, Crowd(server.address) as crowd:
            overflows = machine.listen_overflows()
            answered, seconds = ways(crowd, count)
            detail = {"answered": answered, "overflows": machine.listen_overflows() - overflows}
            detail |= {"lost": crowd.why(), "server_cpu": server.cpu_seconds()}
            note = ""
            if answered < count:
                note = f"{answered:,} of {count:,} answered 200 in {seconds:.1f} s ({crowd.why()})"
            yield Sample(peer.name, metric.key, None if note else seconds, note=note, detail=detail)
