"""`python -m tests.migration.nameko_rpc`: nameko's RPC, events and timers over RabbitMQ, unmodified, on greenserve.

Two services in one `nameko run` call each other; a client outside calls them. Needs Debian's rabbitmq-server.
"""

from __future__ import annotations

import subprocess
import sys
import time

from tests.migration.kit.broker import rabbitmq
from tests.migration.kit.driving import ask
from tests.migration.kit.installing import Installed, installed

SERVICES = """\
import time
import eventlet
from nameko.events import EventDispatcher, event_handler
from nameko.rpc import RpcProxy, rpc
from nameko.timer import timer

assert eventlet.__name__ == "greenserve_eventlet"
seen = {"events": [], "ticks": 0}

class Inner:
    name = "inner"
    dispatch = EventDispatcher()

    @rpc
    def nap(self, seconds):
        time.sleep(seconds)
        return seconds

    @rpc
    def fail(self):
        raise ValueError("told")

    @rpc
    def tell(self, number):
        self.dispatch("told", number)

class Outer:
    name = "outer"
    inner = RpcProxy("inner")

    @rpc
    def nap_twice(self, seconds):
        both = [self.inner.nap.call_async(seconds) for _ in range(2)]
        return sum(one.result() for one in both)

    @rpc
    def seen(self):
        return seen

    @event_handler("inner", "told")
    def on_told(self, number):
        seen["events"].append(number)

    @timer(interval=0.2)
    def tick(self):
        seen["ticks"] += 1
"""
CLIENT = """\
import sys, time
from nameko.exceptions import MethodNotFound, RemoteError, UnknownService
from nameko.standalone.rpc import ClusterRpcProxy

hooked = "greenserve_eventlet" in sys.modules
assert hooked is (sys.argv[2] == "hooked"), sys.argv
with ClusterRpcProxy({"AMQP_URI": sys.argv[1]}, timeout=60) as cluster:
    begin = time.monotonic()
    waiting = [cluster.outer.nap_twice.call_async(0.5) for _ in range(10)]
    assert [one.result() for one in waiting] == [1.0] * 10
    took = time.monotonic() - begin
    assert took < 6, took
    try:
        cluster.inner.fail()
    except RemoteError as error:
        assert (error.exc_type, error.value) == ("ValueError", "told")
    else:
        raise AssertionError("no error")
    for method, expected in ((cluster.inner.nothing, MethodNotFound), (cluster.nobody.nothing, UnknownService)):
        try:
            method()
        except expected:
            pass
        else:
            raise AssertionError(expected)
    before = len(cluster.outer.seen()["events"])
    for number in range(50):
        cluster.inner.tell(number)
    until = time.monotonic() + 30
    while len((seen := cluster.outer.seen())["events"]) < before + 50:
        assert time.monotonic() < until, seen
        time.sleep(0.1)
    assert sorted(seen["events"][before:]) == list(range(50)), seen
    assert seen["ticks"] > 2, seen
print(f"10 calls that make 2 calls of 0.5 s each took {took:.1f} s")
"""
RUN = "import sys; sys.argv[0] = 'nameko'; from nameko.cli.main import main; main()"
HOOK = ("-m", "greenserve_eventlet")


def main() -> int:
    """Run it and return the exit code."""
    needs = ("nameko==2.14.1", "setuptools<81", "Werkzeug<3")
    with installed(*needs) as here, rabbitmq(here.folder) as broker:
        (here.folder / "services.py").write_text(SERVICES)
        (here.folder / "config.yaml").write_text(f"AMQP_URI: {broker}\nmax_workers: 50\n")
        (here.folder / "run_nameko.py").write_text(RUN)
        (here.folder / "client.py").write_text(CLIENT)
        _drive(here, broker)
    return 0


def _drive(here: Installed, broker: str) -> None:
    command = [here.python, *HOOK, "run_nameko.py", "run", "--config", "config.yaml", "services"]
    program = subprocess.Popen(command, cwd=here.folder, env=here.environ())
    try:
        # Queues outlive their services: calls wait for a service that starts once its queue has been made.
        _wait_for_the_services(here, broker, program)
        ask(here, CLIENT, broker, "plain")
        subprocess.run(
            [here.python, *HOOK, "client.py", broker, "hooked"],
            cwd=here.folder,
            env=here.environ(),
            timeout=180,
            check=True,
        )
        program.terminate()
        assert program.wait(timeout=60) == 0, program.returncode
    finally:
        program.kill()
        program.wait()
    print("nameko's RPC, events and timers worked", flush=True)


def _wait_for_the_services(here: Installed, broker: str, program: subprocess.Popen[bytes]) -> None:
    asked = (
        "import kombu, sys; kombu.Connection(sys.argv[1]).channel().queue_declare(sys.argv[2], passive=True)"
    )
    for queue in ("rpc-inner", "rpc-outer"):
        until = time.monotonic() + 60
        while subprocess.run(
            [here.python, "-c", asked, broker, queue],
            stderr=subprocess.DEVNULL,
            env=here.environ(),
            check=False,
        ).returncode:
            assert program.poll() is None, program.returncode
            assert time.monotonic() < until, queue
            time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
