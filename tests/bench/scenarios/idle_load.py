"""Requests per second at 64 busy connections while 0, 1,000 and 8,000 others lie idle in the same server."""

from tests.bench import servers, wrk
from tests.bench.connections import Crowd
from tests.bench.peers import Needs
from tests.bench.samples import Metric, Sample

NAME = "idle-load"
TITLE = "Requests per second at 64 connections beside idle ones"
IDLE = (0, 1000, 8000)
METRICS = [Metric(f"rps+{n}", f"{n:,} idle", "requests/s") for n in IDLE]


def measure(peer, settings):
    with servers.running(peer, Needs(hold=max(IDLE))) as server, Crowd(server.address) as crowd:
        wrk.run(server, 64, 1)
        for count, metric in zip(IDLE, METRICS, strict=True):
            crowd.open(count - len(crowd.idle))
            if crowd.held() < count:
                yield failed(peer, metric, crowd, count)
                continue
            try:
                report = wrk.run(server, 64, settings.seconds)
            except wrk.LoadFailed as error:
                yield Sample(peer.name, metric.key, None, note=str(error))
                continue
            if crowd.held() < count:
                yield failed(peer, metric, crowd, count)
            else:
                yield Sample(peer.name, metric.key, report["rps"], detail=report)


def failed(peer, metric, crowd, count):
    return Sample(peer.name, metric.key, None, note=f"holds {len(crowd.idle):,} of {count:,} ({crowd.why()})")
