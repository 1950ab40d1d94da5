"""Requests per second of the hello app at 1, 64 and 512 keep-alive connections (wrk, closed loop)."""

from tests.bench import servers, wrk
from tests.bench.peers import Needs
from tests.bench.samples import Metric, Sample

NAME = "rps"
TITLE = "Requests per second, hello app"
CONNECTIONS = (1, 64, 512)
METRICS = [Metric(f"rps@{n}", f"{n} connection{'s' * (n > 1)}", "requests/s") for n in CONNECTIONS]


def measure(peer, settings):
    with servers.running(peer, Needs()) as server:
        wrk.run(server, 64, 1)  # the first second pays for imports, caches and a cold CPU
        for count, metric in zip(CONNECTIONS, METRICS, strict=True):
            try:
                report = wrk.run(server, count, settings.seconds)
            except wrk.LoadFailed as error:
                yield Sample(peer.name, metric.key, None, note=str(error))
            else:
                yield Sample(peer.name, metric.key, report["rps"], detail=report)
