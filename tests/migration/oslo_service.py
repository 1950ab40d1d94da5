"""`python -m tests.migration.oslo_service`: oslo.service with its eventlet backend and its WSGI server, unmodified.

One process and two workers serve requests without a break while they get SIGHUP, which restarts workers or (`mutate`)
tells them to read their settings anew; a worker that is killed is replaced; SIGTERM lets the requests end that run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.migration.kit.driving import free_port, running
from tests.migration.kit.installing import Installed, installed

SERVICE = """\
import sys
import eventlet
eventlet.monkey_patch()
from oslo_service import backend
backend.init_backend(backend.BackendType.EVENTLET)
import logging
import os
import time
from oslo_config import cfg
from oslo_service import service, wsgi

assert eventlet.__name__ == "greenserve_eventlet"
port, workers, restart_method = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
conf = cfg.CONF
conf(["--config-file", "service.conf"])
conf.register_opts([cfg.StrOpt("word", default="none", mutable=True)])

def app(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"]))
    text = f"{os.getpid()} {conf.word} {len(environ['wsgi.input'].read())}"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text.encode()]

server = wsgi.Server(conf, "app", app, host="127.0.0.1", port=port, pool_size=50)
service.launch(conf, server, workers=workers, restart_method=restart_method).wait()
"""
CLIENT = """\
import http.client, os, sys, threading, time

port = int(sys.argv[1])
ending = threading.Event()
answers, failures = [], []

def ask():
    while not ending.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("POST", "/?0.2", b"x" * 70_000)
            response = connection.getresponse()
            pid, word, length = response.read().split()
            assert (response.status, length) == (200, b"70000"), (response.status, length)
            answers.append((int(pid), word.decode()))
        except Exception as error:
            failures.append(repr(error))
        finally:
            connection.close()

clients = [threading.Thread(target=ask) for _ in range(20)]
for client in clients:
    client.start()
sys.stdin.read()
ending.set()
for client in clients:
    client.join()
assert not failures, (len(failures), len(answers), failures[:5])
print(len(answers))
for pid, word in sorted(set(answers)):
    print(pid, word)
"""
LAST = """\
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
connection.request("GET", "/?2")
print("sent", flush=True)
response = connection.getresponse()
assert response.status == 200
response.read()
"""
WAYS = ((1, "reload"), (2, "reload"), (2, "mutate"))


def main() -> int:
    """Run one process and two workers, and return the exit code."""
    with installed("oslo.service==4.8.0") as here:
        (here.folder / "service.py").write_text(SERVICE)
        for workers, method in WAYS:
            _drive(here, workers, method)
    return 0


def _drive(here: Installed, workers: int, method: str) -> None:
    settings = here.folder / "service.conf"
    settings.write_text("[DEFAULT]\nword = old\n")
    log = here.folder / "log"
    port = free_port()
    command = f"exec {here.python} -m greenserve_eventlet service.py {port} {workers} {method} 2>{log}"
    try:
        with running(here, port, "sh", "-c", command) as program:
            client = subprocess.Popen(
                [here.python, "-c", CLIENT, str(port)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=here.environ(),
            )
            time.sleep(3)
            settings.write_text("[DEFAULT]\nword = new\n")
            program.send_signal(signal.SIGHUP)
            time.sleep(5)
            told, _ = client.communicate(timeout=120)
            assert client.returncode == 0
            count, *answered = told.splitlines()
            _judge(answered, program.pid, workers, method)
            if workers > 1:
                _replace_a_worker(program.pid, workers)
            last = subprocess.Popen([here.python, "-c", LAST, str(port)], stdout=subprocess.PIPE)
            assert last.stdout is not None
            last.stdout.readline()
            time.sleep(0.5)
            program.terminate()
            assert last.wait(timeout=60) == 0
            last.stdout.close()
    except BaseException:
        print(log.read_text()[-4000:])
        raise
    assert "Traceback" not in log.read_text(), log.read_text()[-4000:]
    print(f"{workers} of oslo.service with {method} worked: {count} requests", flush=True)


def _judge(answered: list[str], pid: int, workers: int, method: str) -> None:
    pids: dict[str, set[int]] = {"old": set(), "new": set()}
    for line in answered:
        process, word = line.split()
        pids[word].add(int(process))
    assert len(pids["old"]) == len(pids["new"]) == workers, answered
    if workers == 1:
        assert pids["old"] == pids["new"] == {pid}, (answered, pid)
    elif method == "mutate":
        assert pids["old"] == pids["new"], answered
    else:
        assert not pids["old"] & pids["new"], answered


def _workers(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def _replace_a_worker(pid: int, workers: int) -> None:
    before = _workers(pid)
    assert len(before) == workers, before
    os.kill(killed := min(before), signal.SIGKILL)
    until = time.monotonic() + 30
    while killed in (now := _workers(pid)) or len(now) < workers:
        assert time.monotonic() < until, now
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
