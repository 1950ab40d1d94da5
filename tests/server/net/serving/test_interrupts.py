"""Signals in the middle of everything: EINTR at every call, a thousand times a second.

CPython makes each interrupted call again (PEP 475), so that no EINTR reaches us; what this shows is that nothing else
of ours, nor of the hub, breaks by it. A process of its own, since signals go to the main thread.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.programs.commands import run_python

_STORM = """
import signal, threading, time
from greenserve import Server
from tests.support.clients.lives import LARGE, App
from tests.support.clients.raw import RawClient, request
from pathlib import Path
import sys

storms = 0
def storm(number, frame):
    global storms
    storms += 1

served = []
def client(address):
    end = time.monotonic() + 1
    while time.monotonic() < end or storms <= 100:
        with RawClient(address) as one:
            for _ in range(5):
                assert one.get("/a").body == b"/a"
            one.send(request("/echo", "POST", b"x" * 50_000))
            assert one.answer().body == b"x" * 50_000
            for path in ("/large", "/large_file", "/pieces"):
                assert one.get(path).body == LARGE, path
            served.append(9)

def clients(server):
    threads = [threading.Thread(target=client, args=(server.address,)) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    server.stop(5)

signal.signal(signal.SIGALRM, storm)
server = Server(App(Path(sys.argv[1])), bind="127.0.0.1:0")
server.start()
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
threading.Thread(target=clients, args=(server,)).start()
server.wait()
signal.setitimer(signal.ITIMER_REAL, 0)
assert server.stats.connections == 0
assert storms > 100, storms
assert sum(served) == server.stats.requests, (served, server.stats)
print("served")
"""


def test_a_storm_of_signals(tmp_path: Path) -> None:
    (tmp_path / "storm.py").write_text(_STORM)
    ran = run_python(tmp_path / "storm.py", tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "served\n", "")
