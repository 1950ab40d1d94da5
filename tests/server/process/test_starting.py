"""starting: a process that is told to end while the app is imported ends at once, process 1 too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.clients.raw import ask, request
from tests.support.programs.commands import Command, command
from tests.support.times import PATIENCE

_APP = """
import ctypes, os, signal, subprocess, sys, time


def in_c():
    lock = ctypes.create_string_buffer(64)
    library = ctypes.CDLL(None)
    library.pthread_mutex_lock(lock)
    library.pthread_mutex_lock(lock)  # which no signal wakes


def spin():
    while True:
        pass


def swallow():
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            pass


def child():
    pid = os.fork()
    if not pid:
        time.sleep(1000)
    time.sleep(0.05)
    os.kill(pid, signal.SIGTERM)
    sys.stderr.write(f"the child ended with {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\\n")


def own_handlers():
    signal.signal(signal.SIGHUP, lambda *_: sys.stderr.write("the app's own\\n"))


does = os.environ.get("APP_DOES", "")
if does:
    sys.stderr.write("importing\\n")
    globals()[does]()


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"served"]
"""
_UNSHARE = ("unshare", "--pid", "--fork", "--kill-child")


def _can_be_process_1() -> bool:
    try:
        return not subprocess.run(
            [*_UNSHARE, "true"], capture_output=True, timeout=PATIENCE, check=False
        ).returncode
    except FileNotFoundError:
        return False


process_1 = pytest.mark.skipif(
    not _can_be_process_1(), reason="needs unshare, and may make no process namespace"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "slow.py").write_text(_APP)
    return tmp_path


class _First(Command):
    """The command as process 1 of a namespace of its own."""

    def __init__(self, *arguments: str, folder: Path) -> None:
        super().__init__(
            "-c",
            "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])",
            *_UNSHARE,
            sys.executable,
            *arguments,
            folder=folder,
        )

    def signal(self, number: signal.Signals) -> None:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        os.kill(int(children), number)


@contextmanager
def starting(folder: Path, does: str, *arguments: str, first: bool = False) -> Iterator[Command]:
    """The command whose app does something when it is imported."""
    call = ("-W", "ignore", "-m", "greenserve", "slow:app", "--bind", "127.0.0.1:0", *arguments)
    script = (
        "-c",
        f"import os; os.environ['APP_DOES'] = {does!r}; import sys; os.execv(sys.executable, [sys.executable, "
        f"*{call!r}])",
    )
    if first:
        process: Command = _First(*script, folder=folder)
        try:
            yield process
        finally:
            process.close()
    else:
        with command(*script, folder=folder) as process:
            yield process


@process_1
@pytest.mark.parametrize("patching", [(), ("--no-monkey-patch",)], ids=["patched", "unpatched"])
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT], ids=lambda number: number.name
)
@pytest.mark.parametrize("does", ["spin", "swallow", "in_c"])
def test_process_1_ends_with_the_code_of_the_signal(
    does: str, number: signal.Signals, patching: tuple[str, ...], folder: Path
) -> None:
    with starting(folder, does, *patching, first=True) as process:
        process.until("importing")
        process.signal(number)
        assert process.ended() == 128 + number
        assert process.said[-1] == f"greenserve: {number.name} while starting: ended, nothing was served\n"


@process_1
def test_process_1_serves_and_stops_when_it_has_started(folder: Path) -> None:
    with starting(folder, "", first=True) as process:
        found = process.until(r"listening at http://(.*):(\d+)$")
        process.until("stop it with")
        assert ask((found[1], int(found[2])), request("/")).body == b"served"
        process.signal(signal.SIGHUP)  # to process 1 it is nothing, as before
        process.signal(signal.SIGTERM)
        process.until("SIGTERM: stopping")
        assert process.ended() == 0


@process_1
def test_a_handler_of_the_apps_own_stays(folder: Path) -> None:
    with starting(folder, "own_handlers", first=True) as process:
        process.until("stop it with")
        process.signal(signal.SIGHUP)
        process.until("the app's own")
        process.signal(signal.SIGTERM)
        assert process.ended() == 0


@process_1
def test_a_child_that_the_app_forks_meanwhile_ends_as_any(folder: Path) -> None:
    with starting(folder, "child", first=True) as process:
        process.until(f"the child ended with {-signal.SIGTERM}")
        process.until("stop it with")


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT], ids=lambda number: number.name
)
@pytest.mark.parametrize("does", ["spin", "swallow", "in_c"])
def test_any_other_process_is_ended_by_the_kernel(does: str, number: signal.Signals, folder: Path) -> None:
    with starting(folder, does) as process:
        process.until("importing")
        process.signal(number)
        assert process.ended() == -number


@pytest.mark.parametrize("first", [False, pytest.param(True, marks=process_1)])
def test_ctrl_c(first: bool, folder: Path) -> None:
    with starting(folder, "spin", first=first) as process:
        process.until("importing")
        process.signal(signal.SIGINT)
        assert process.ended() == 130
        assert "Traceback" not in process.text


_UNGUARDED = """
import greenserve

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]

greenserve.run(app, bind="127.0.0.1:0", graceful_timeout="100ms")
"""


def test_a_server_that_the_file_of_the_app_runs_is_not_the_commands(tmp_path: Path) -> None:
    (tmp_path / "unguarded.py").write_text(_UNGUARDED)
    with command("-m", "greenserve", "unguarded.py", "--bind", "127.0.0.1:0", folder=tmp_path) as process:
        for _ in range(2):
            port = int(process.until(r"listening at http://127\.0\.0\.1:(\d+)")[1])
            process.until("stop it with")
            assert ask(("127.0.0.1", port), request()).body == b"done"
            process.signal(signal.SIGTERM)
            process.until("info: stopped")
        assert process.ended() == 0
        assert process.text.count("info: listening at") == 2
