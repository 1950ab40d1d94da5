"""`python -m tests.migration.celery_worker`: celery's worker with `-P eventlet` and Redis, unmodified, on greenserve.

It starts in each of the ways that a console script has: `python -m greenserve_eventlet`, and the .pth file. Needs the
program redis-server.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.migration.kit.driving import free_port
from tests.migration.kit.installing import Installed, installed

TASKS = """\
import os, time
from celery import Celery

app = Celery("tasks", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.broker_connection_retry_on_startup = True

@app.task
def nap(seconds):
    import eventlet
    time.sleep(seconds)
    return eventlet.__name__

@app.task
def fail():
    raise ValueError("told")
"""
ASK = """\
import time
from tasks import app, fail, nap

nap.delay(0).get(timeout=60)
begin = time.monotonic()
told = [one.get(timeout=60) for one in [nap.delay(1) for _ in range(50)]]
took = time.monotonic() - begin
assert set(told) == {"greenserve_eventlet"}, told
assert took < 20, took
try:
    fail.delay().get(timeout=60)
except ValueError as error:
    assert str(error) == "told"
assert nap.apply_async((0,), countdown=1).get(timeout=60)
assert app.control.inspect().ping()
app.control.shutdown()
print(f"50 tasks that sleep for 1 s took {took:.1f} s")
"""
WORKER = ("celery", "-A", "tasks", "worker", "-P", "eventlet", "-c", "100", "--loglevel", "warning")


def main() -> int:
    """Run both ways and return the exit code."""
    redis = shutil.which("redis-server")
    if redis is None:
        sys.exit("redis-server is needed: apt-get install redis-server")
    with installed("celery[redis]") as here:
        (here.folder / "tasks.py").write_text(TASKS)
        port = free_port()
        serving = subprocess.Popen(
            [redis, "--port", str(port), "--save", "", "--dir", str(here.folder)], stdout=subprocess.DEVNULL
        )
        try:
            broker = f"redis://127.0.0.1:{port}/0"
            _wait_for(port)
            _drive(here, broker, [str(here.python), "-m", "greenserve_eventlet", "-m", *WORKER])
            subprocess.run([here.python, "-m", "greenserve_eventlet", "--install-pth"], check=True)
            _drive(here, broker, [str(here.bin / WORKER[0]), *WORKER[1:]], GREENSERVE_EVENTLET="1")
        finally:
            serving.terminate()
            serving.wait()
    return 0


def _drive(here: Installed, broker: str, command: list[str], **environ: str) -> None:
    # Nothing that the client imports is hooked: it is a program of its own.
    worker = subprocess.Popen(
        command, cwd=here.folder, env=here.environ(BROKER=broker, C_FORCE_ROOT="1", **environ)
    )
    try:
        environment = here.environ(BROKER=broker)
        asked = [here.python, "-c", ASK]
        subprocess.run(asked, cwd=here.folder, env=environment, timeout=180, check=True)
        code = worker.wait(timeout=60)
        assert code == 0, code
    finally:
        worker.kill()
        worker.wait()
    print(" ".join(Path(word).name for word in command[:4]), "worked", flush=True)


def _wait_for(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.1)
        else:
            return
    sys.exit("redis-server does not listen")


if __name__ == "__main__":
    sys.exit(main())
