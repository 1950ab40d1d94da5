"""The green-thread runtimes without any server: spawn and switch, Event, Queue, GreenPool.starmap.

Each measurement is a process of its own (tests.bench.roundtrips) on the server's core, the runtimes taking
turns. starmap comes with two kinds of task: a pool may run one that never switches without a green thread of
its own.
"""

import json
import subprocess
import sys

from tests.bench import machine
from tests.bench.samples import Metric, Sample
from tests.bench.servers import ServerFailed, clean_environment

NAME = "runtime"
TITLE = "The runtime alone"
PEERS = ("greenserve", "eventlet", "gevent")
METRICS = [
    Metric("spawn_switch", "spawn + switch", "/s"),
    Metric("switch", "sleep(0)", "/s"),
    Metric("event", "Event trips", "/s"),
    Metric("queue", "Queue trips", "/s"),
    Metric("starmap", "starmap, pool of 1,000", "/s"),
    Metric("starmap_switch", "starmap, each switches", "/s"),
    Metric("starmap_growth", "its memory growth", "MiB", higher=False, digits=1, compared=False),
]


def measure(peer, settings):
    for name in ("spawn_switch", "switch", "event", "queue"):
        report = run(peer.name, name, settings.microbenchmark_seconds)
        yield Sample(peer.name, name, report["rate"], detail=report)
    report = run(peer.name, "starmap", settings.tasks)
    yield Sample(peer.name, "starmap", report["rate"], detail=report)
    yield Sample(peer.name, "starmap_growth", report["growth_mib"])
    report = run(peer.name, "starmap_switch", settings.tasks // 5)
    yield Sample(peer.name, "starmap_switch", report["rate"], detail=report)


def run(runtime, benchmark, amount):
    command = [sys.executable, "-m", "tests.bench.roundtrips", runtime, benchmark, str(amount)]
    with machine.pinned(machine.SERVER_CORE):
        result = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=300, env=clean_environment()
        )
    if result.returncode:
        raise ServerFailed(f"{runtime} {benchmark}: {result.stderr.strip()[-2000:]}")
    return json.loads(result.stdout.splitlines()[-1])
