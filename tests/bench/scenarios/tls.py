"""The hello app over TLS: requests/s on open connections, CPU time for a new one, and memory of an idle one.

One certificate for all, and TLS 1.3 with AES-256-GCM by OpenSSL's own choice. The memory is the difference of the
process family's proportional set size before and after, as in idle_memory; every connection must answer at the end.
"""

import contextlib
import tempfile
import time
from pathlib import Path

import trustme
from tests.bench import servers, wrk
from tests.bench.apps.hello import BODY
from tests.bench.connections import REQUEST
from tests.bench.peers import Needs
from tests.bench.samples import Metric, Sample

NAME = "tls"
TITLE = "Hello app over TLS"
PEERS = ("greenserve", "eventlet", "gevent")  # the green ones; each has its own way to OpenSSL
CONNECTIONS = 64
HELD = 1000
METRICS = [
    Metric(f"rps@{CONNECTIONS}", f"{CONNECTIONS} connections", "requests/s"),
    Metric("new", "a new connection and a request", "ms of CPU", higher=False, digits=2),
    Metric("kib", "idle connection, 1,000 open", "KiB", higher=False, digits=1),
]


def ask(connection):
    connection.sendall(REQUEST)
    answer = b""
    while not answer.endswith(BODY):
        data = connection.recv(65536)
        if not data:
            return False
        answer += data
    return True


def measure(peer, settings):
    with tempfile.TemporaryDirectory() as folder:
        certfile = Path(folder, "server.pem")
        trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certfile))
        with servers.running(peer, Needs(certfile=str(certfile))) as server:
            wrk.run(server, CONNECTIONS, 1)
            report = wrk.run(server, CONNECTIONS, settings.seconds)
            yield Sample(peer.name, METRICS[0].key, report["rps"], detail=report)
        with servers.running(peer, Needs(hold=HELD, certfile=str(certfile))) as server:
            yield from hold(peer, server)


def hold(peer, server):
    with contextlib.ExitStack() as closing:
        for _ in range(64):  # imports, caches
            ask(closing.enter_context(server.connect()))
        time.sleep(0.5)
        memory, cpu = server.memory_kib(), server.cpu_seconds()
        connections, held = [], 0
        for _ in range(HELD):
            connections.append(closing.enter_context(server.connect()))
            held += ask(connections[-1])
        cpu = server.cpu_seconds() - cpu
        yield Sample(peer.name, "new", cpu * 1000 / HELD)
        time.sleep(1.0)
        memory = server.memory_kib() - memory
        again = sum(map(ask, connections))
        if again == HELD:
            yield Sample(peer.name, "kib", memory / HELD)
        else:
            note = f"can't hold them: {min(held, again):,} of {HELD:,}"
            yield Sample(peer.name, "kib", None, note=note)
