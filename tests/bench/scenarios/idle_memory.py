"""KiB of server memory per idle keep-alive connection at 4,000, each of which has made a request.

The difference of the process family's proportional set size (user memory; the kernel's socket buffers are
the same for all) before and after. A server that has closed any of them by the end, or does not answer on
them again, can't hold them: the table says how many it held instead of a flattering quotient.
"""

import time

from tests.bench import servers
from tests.bench.connections import Crowd
from tests.bench.peers import Needs
from tests.bench.samples import Metric, Sample

NAME = "idle-memory"
TITLE = "Memory per idle keep-alive connection, 4,000 open"
METRICS = [Metric("kib", "per connection", "KiB", higher=False, digits=2)]


def measure(peer, settings):
    count = settings.idle_connections
    with servers.running(peer, Needs(hold=count)) as server:
        with Crowd(server.address) as warm:
            warm.open(64)
            warm.ask()
        time.sleep(0.5)
        before = server.memory_kib()
        with Crowd(server.address) as crowd:
            opened = crowd.open(count)
            time.sleep(1.0)
            after = server.memory_kib()
            held = crowd.held()
            again = crowd.ask() if held == count else 0
            detail = {
                "before": before,
                "after": after,
                "opened": opened,
                "held": held,
                "answered_again": again,
            }
            if again == count:
                yield Sample(peer.name, "kib", (after - before) / count, detail=detail)
            else:
                note = f"can't hold them: {min(held, again or held):,} of {count:,} ({crowd.why()})"
                yield Sample(peer.name, "kib", None, note=note, detail=detail)
