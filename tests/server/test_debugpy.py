"""debugpy, which VS Code debugs with: a breakpoint is met in a green thread, and what it asks there is answered."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.support.clients.dap import DapClient
from tests.support.clients.raw import ask, request
from tests.support.programs.commands import Command, command
from tests.support.servers.ports import free_port
from tests.support.times import PATIENCE

pytest.importorskip("debugpy", reason="there is no debugpy for this Python")

WORK = """
import threading, time

def work(n):
    value = n * 2
    time.sleep(0.001)
    return value

def main():
    thread = threading.Thread(target=work, args=(21,))
    thread.start()
    thread.join()
    work(4)
"""
LISTEN = "import debugpy\ndebugpy.listen(('127.0.0.1', {port}))\ndebugpy.wait_for_client()\n"
APP = """
def app(environ, start_response):
    value = environ["QUERY_STRING"]
    start_response("200 OK", [])
    return [value.encode()]
"""


def _line(path: Path, text: str) -> int:
    return path.read_text().splitlines().index(text) + 1


@contextmanager
def _debugged(folder: Path, *arguments: str) -> Iterator[Command]:
    with command("-X", "frozen_modules=off", *arguments, folder=folder) as running:
        yield running


@pytest.mark.parametrize("how", ["--listen", "listen() in the program"])
def test_a_program_that_patches_itself(tmp_path: Path, how: str):
    port, path = free_port(), tmp_path / "program.py"
    head = "import greenserve\ngreenserve.monkey_patch()\n"
    listening = ("-m", "debugpy", "--listen", f"127.0.0.1:{port}", "--wait-for-client")
    path.write_text(head + ("" if how == "--listen" else LISTEN.format(port=port)) + WORK + "main()\n")
    arguments = (*listening, str(path)) if how == "--listen" else (str(path),)
    with _debugged(tmp_path, *arguments) as running:
        with closing(DapClient(port)) as client:
            client.attach(str(path), _line(path, "    return value"))
            assert client.evaluate_at_stop("value + 1") == "43"  # in the thread
            assert client.evaluate_at_stop("value + 1") == "9"  # in the main one
        assert running.ended() == 0
        assert running.text == ""


@pytest.mark.skipif(
    sys.version_info < (3, 12),
    reason="its trace function waits for locks: Python traces no other green thread until it goes on",
)
@pytest.mark.parametrize("how", ["--listen", "listen() in the app"])
def test_the_command(tmp_path: Path, how: str):
    port, path = free_port(), tmp_path / "debugged_app.py"
    path.write_text(("" if how == "--listen" else LISTEN.format(port=port)) + APP)
    listening = ("-m", "debugpy", "--listen", f"127.0.0.1:{port}", "--wait-for-client")
    serve = ("-m", "greenserve", "debugged_app:app", "--bind", "127.0.0.1:0")
    arguments = (*listening, *serve) if how == "--listen" else serve
    with _debugged(tmp_path, *arguments) as running, closing(DapClient(port)) as client:
        client.attach(str(path), _line(path, '    start_response("200 OK", [])'))
        address = "127.0.0.1", int(running.until(r"http://127\.0\.0\.1:(\d+)")[1])
        answers = []
        for query in ("first", "second"):
            asking = threading.Thread(
                target=lambda query=query: answers.append(ask(address, request(f"/?{query}")).body)
            )
            asking.start()
            assert client.evaluate_at_stop("value") == repr(query)
            asking.join(PATIENCE)
        assert answers == [b"first", b"second"]
