"""A debugger that attaches to a running server: `python -m pdb -p PID`, which came with Python 3.14."""

from __future__ import annotations

import http.client
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.programs.commands import Command, command
from tests.support.programs.debuggers import needs_attaching
from tests.support.times import PATIENCE

APP = """
import sys
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/traced":
        return [str(sys.gettrace()).encode()]
    value = 41
    return [str(value + 1).encode()]
"""
LINE = 8  # the last one


class Pdb:
    """The debugger, as somebody at a terminal has it."""

    def __init__(self, pid: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pdb", "-p", str(pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        self._printed: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        while character := self.process.stdout.read(1):
            self._printed.put(character)

    def prompt(self) -> str:
        """All that is printed until it waits for a command."""
        printed = ""
        while not printed.endswith("(Pdb) "):
            printed += self._printed.get(timeout=PATIENCE)
        return printed

    def type(self, line: str) -> None:
        self.process.stdin.write(f"{line}\n")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self._reading.join(PATIENCE)
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Command]:
    (tmp_path / "web.py").write_text(APP)
    with command("-m", "greenserve", "web:app", "--bind", "127.0.0.1:0", folder=tmp_path) as running:
        running.port = int(running.until(r"listening at .*:(\d+)")[1])
        running.until("stop it with")
        yield running


def get(server: Command, path: str = "/") -> str:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


@needs_attaching
def test_pdb_attaches_to_an_idle_server_which_goes_on(server: Command):
    pdb = Pdb(server.process.pid)
    try:
        pdb.prompt()  # in the hub's own wait
        assert get(server) == "42", "the server stands still while the debugger waits for a command"
        pdb.type("p 1 + 1")
        assert pdb.prompt().startswith("2\n")
        for _ in range(12):  # through a turn of the hub: it waits for a command in the midst of each line
            pdb.type("next")
            assert "->" in pdb.prompt()

        pdb.type(f"break web:{LINE}")
        assert "Breakpoint 1" in pdb.prompt()
        pdb.type("continue")
        answers: list[str] = []
        request = threading.Thread(target=lambda: answers.append(get(server)))
        request.start()
        assert "value + 1" in pdb.prompt(), "the breakpoint in a request is met"
        pdb.type("p value")
        assert pdb.prompt().startswith("41\n")
        assert "trace_dispatch" in get(server, "/traced")
        assert not answers
        pdb.type("quit")
        request.join(PATIENCE)
        assert answers == ["42"]
        assert pdb.process.wait(PATIENCE) == 0
    finally:
        pdb.close()
    assert get(server, "/traced") == "None", "nobody is traced when the debugger has gone"
    server.signal(signal.SIGTERM)
    assert server.ended() == 0
    assert "HubError" not in server.text
    assert "Traceback" not in server.text


@needs_attaching
def test_a_script_that_waits_lets_others_run(server: Command, tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(
        "import socket, sys, threading, time\n"
        "began = threading.Event()\n"
        "threading.Thread(target=began.set).start()\n"
        "began.wait(); time.sleep(0.01)\n"
        "socket.getaddrinfo('localhost', 80)\n"
        "sys.stderr.write('the script is over\\n')\n"
    )
    sys.remote_exec(server.process.pid, str(script))
    server.until("the script is over")
    assert get(server) == "42"
