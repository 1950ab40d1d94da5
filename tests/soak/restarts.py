"""Deploys under load: POSTs through nginx, which keeps its connections, while the server behind it stops and starts.

The listening socket stays, as systemd keeps it. Each POST has a number; the app writes it into a ledger and answers it.
What has no answer, a wrong one, or is in the ledger more or less than once is lost.
"""

from __future__ import annotations

import http.client
import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.programs.commands import ROOT
from tests.support.servers.nginx import listening, nginx, write
from tests.support.times import PATIENCE

_APP = """
import os

ledger = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def app(environ, start_response):
    number = environ["wsgi.input"].read()
    os.write(ledger, number + b"\\n")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(number)))])
    return [number]
"""


@dataclass
class Restarts:
    """One run, and what came of it."""

    posts: int
    stops: int
    clients: int = 8
    arguments: tuple[str, ...] = ()
    lost: list[str] = field(default_factory=list)
    answered: int = 0
    stopping: list[float] = field(default_factory=list)  # seconds that each stop took
    seconds: float = 0.0

    def run(self, tell: Callable[[str], object] = lambda line: None) -> None:
        with (
            TemporaryDirectory(prefix="greenserve-restarts-") as name,
            socket.create_server(("127.0.0.1", 0)) as kept,
        ):
            folder = Path(name)
            (folder / "deployed.py").write_text(_APP)
            with listening() as (address, fd):
                command = write(folder, f"{address[0]}:{address[1]}", f"127.0.0.1:{kept.getsockname()[1]}")
                with nginx(command, fd):
                    self._run(folder, kept.fileno(), address, tell)
            self._compare((folder / "ledger").read_text().split())

    def _run(self, folder: Path, fd: int, address: tuple[str, int], tell: Callable[[str], object]) -> None:
        self._numbers = itertools.count()
        began = time.monotonic()
        server = _start(folder, fd, self.arguments)
        posters = [threading.Thread(target=self._post, args=address) for _ in range(self.clients)]
        for poster in posters:
            poster.start()
        try:
            for stop in range(self.stops):
                while self.answered + len(self.lost) < (stop + 0.5) * self.posts / self.stops:
                    time.sleep(0.001)
                since = time.monotonic()
                _stop(server)
                self.stopping.append(time.monotonic() - since)
                server = _start(folder, fd, self.arguments)
                tell(f"{stop + 1:3} {self.answered:8,} {len(self.lost):5} {self.stopping[-1]:8.2f}")
            for poster in posters:
                poster.join(PATIENCE)
        finally:
            _stop(server)
        self.seconds = time.monotonic() - began

    def _post(self, host: str, port: int) -> None:
        client = http.client.HTTPConnection(host, port, timeout=PATIENCE)
        while (number := next(self._numbers)) < self.posts:
            try:
                client.request("POST", "/", str(number))
                answer = client.getresponse()
                body = answer.read().decode()
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(f"{number}: {error!r}")
                client.close()
                continue
            if (answer.status, body) == (200, str(number)):
                self.answered += 1
            else:
                self.lost.append(f"{number}: {answer.status} {body[:80]!r}")
        client.close()

    def _compare(self, ledger: list[str]) -> None:
        for number, times in Counter(ledger).items():
            if times > 1:
                self.lost.append(f"{number}: run {times} times")
        known = {lost.partition(":")[0] for lost in self.lost}
        for number in sorted({str(one) for one in range(self.posts)} - set(ledger) - known):
            self.lost.append(f"{number}: answered, and never run")


def _start(folder: Path, fd: int, arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GREENSERVE_")}
    environ["PYTHONPATH"] = os.pathsep.join(str(ROOT / part) for part in ("server", "hub", ""))
    command = [
        sys.executable,
        "-m",
        "greenserve",
        "deployed:app",
        f"--bind=fd://{fd}",
        "--access-logfile=off",
    ]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen([*command, *arguments], cwd=folder, env=environ, pass_fds=[fd], stderr=log)


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    if server.wait(PATIENCE):
        raise AssertionError(f"the server ended with {server.returncode}")
