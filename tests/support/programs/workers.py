"""A server with workers as a program, its app, and a client that checks each answer meanwhile."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tests.support.clients.raw import RawClient, request
from tests.support.programs.commands import Command
from tests.support.times import MS, eventually

APP = """
import os
from greenserve import WebSocketWSGI, sleep
from greenserve_hub.unpatched import _thread

VERSION = "one"
kept = []

@WebSocketWSGI
def chat(ws):
    while (message := ws.wait()) is not None:
        ws.send(message)

def app(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/chat":
        return chat(environ, start_response)
    if path in ("/spin", "/gil", "/lock", "/sleep", "/until"):
        environ["wsgi.errors"].write(f"begun {path}\\n")
    if path == "/spin":
        while True:
            pass
    if path == "/gil":
        sum(range(10**13))
    if path == "/lock":
        lock = _thread.allocate_lock()  # a native one
        lock.acquire()
        lock.acquire()
    if path == "/sleep":
        sleep(float(query))
    if path == "/until":
        while not os.path.exists(query):
            sleep(0.001)
    if path == "/eat":
        kept.append(b"x" * int(query))
    if path == "/file":
        query = open(query).read()
    body = environ["wsgi.input"].read() if environ["REQUEST_METHOD"] == "POST" else b""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{VERSION} {os.getpid()} {query} ".encode(), body]
"""


class Workers(Command):
    """The command with `--workers`, which says where it listens."""

    address: Any

    @property
    def pids(self) -> list[int]:
        """The processes of its workers, as the kernel sees them."""
        return children(self.process.pid)

    def ask(self, path: str = "/") -> list[str]:
        """The words of one answer, on a connection of its own: version, process, query."""
        with RawClient(self.address) as client:
            return client.get(path, "Connection: close").body.decode().split(" ")

    def begins(self, client: RawClient, path: str) -> None:
        """Send a request that lasts, and wait until the app runs for it."""
        client.send(request(path))
        self.until(f"begun {path.partition('?')[0]}$")

    def becomes(self, version: str, count: int) -> None:
        """Wait until all workers are `count` new ones, which serve `version`."""
        eventually(lambda: len(self.pids) == count and self.ask()[0] == version, f"{count} of {version}")


def children(pid: int) -> list[int]:
    """The processes that `pid` has started and that have not ended."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [int(one) for one in found if is_alive(int(one))]


def is_alive(pid: int) -> bool:
    """Whether a process runs: neither gone nor a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def put(file: Path, code: str) -> None:
    """Write a module, as if seconds had passed: Python takes what it has compiled of one of this second and size."""
    before = file.stat().st_mtime if file.exists() else 0.0
    file.write_text(code)
    if before:
        os.utime(file, (before + 2, before + 2))


def say(folder: Path, version: str, more: str = "") -> None:
    """Put another version of the app there."""
    put(folder / "web.py", more + APP.replace('"one"', f'"{version}"'))


@contextmanager
def workers(
    folder: Path, *arguments: str, count: int = 2, asks: bool = True, **options: Any
) -> Iterator[Workers]:
    """A server with workers of the app, all of them ready; killed at the end if it still runs.

    `asks` False: the number of workers comes from elsewhere.
    """
    if not (folder / "web.py").exists():
        say(folder, "one")
    bind = [] if "--bind" in arguments else ["--bind", "127.0.0.1:0"]
    more = [*bind, *(("--workers", str(count)) if asks else ()), *arguments]
    running = Workers(
        "-m", "greenserve", "web:app", "--access-logfile", "off", *more, folder=folder, **options
    )
    left: list[int] = []
    try:
        if "--bind" not in arguments or arguments[arguments.index("--bind") + 1].startswith("127"):
            running.address = running.listens()
        running.until(r"greenserve runs as process")
        eventually(lambda: len(_ready(running)) == count, "all workers")
        yield running
        left = running.pids
    finally:
        left += running.pids
        running.close()
        eventually(lambda: not any(map(is_alive, left)), "the end of all workers")


def _ready(running: Workers) -> list[int]:
    """Those that handle SIGTERM: they serve, or will in a moment."""
    return [pid for pid in running.pids if catches(pid, signal.SIGTERM)]


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) & (1 << (number - 1)))


class Load:
    """Clients in threads, in a `with`: each sends one request after another, and checks each answer."""

    def __init__(self, address: Any, clients: int = 4, *, method: str = "GET", path: str = "/") -> None:
        self.lost: list[str] = []
        self.answers: Counter[tuple[str, int]] = Counter()  # by version and process
        self._address = address
        self._method = method
        self._path = path
        self._is_over = False
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over = True
        for thread in self._threads:
            thread.join()

    @property
    def total(self) -> int:
        return sum(self.answers.values())

    def goes_on(self, answers: int = 100) -> None:
        """Wait for so many more answers."""
        limit = self.total + answers
        eventually(lambda: self.total >= limit or self.lost, f"{answers} answers")

    def _run(self, client: int) -> None:
        connection: RawClient | None = None
        number = 0
        while not self._is_over:
            number += 1
            mark = f"{client}.{number}"
            body = mark.encode() * 100 if self._method == "POST" else b""
            connected = connection is not None
            try:
                connection = connection or RawClient(self._address)
                answer = connection.send(request(f"{self._path}?{mark}", self._method, body)).answer()
                version, pid, query, rest = answer.body.split(b" ", 3)
                assert (answer.status, query, rest) == (200, mark.encode(), body), answer
                self.answers[version.decode(), int(pid)] += 1
                if answer.closes:
                    connection.close()
                    connection = None
            except Exception as error:
                self.lost.append(f"{mark} {'again' if connected else 'first'}: {error!r}")
                if connection is not None:
                    connection.close()
                    connection = None
            time.sleep(MS)
        if connection is not None:
            connection.close()
