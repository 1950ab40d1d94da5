"""log_reopening: SIGUSR1 reopens the logs, and ends nothing."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.clients.raw import ask, request
from tests.support.programs.commands import Command, command
from tests.support.times import eventually

_APP = """
import os, signal, sys, time
if os.environ.get("APP_DOES") == "own":
    signal.signal(signal.SIGUSR1, lambda *_: sys.stderr.write("the app's own\\n"))
elif os.environ.get("APP_DOES") == "wait":
    sys.stderr.write("importing\\n")
    sys.stdin.readline()

def app(environ, start_response):
    if environ["PATH_INFO"] == "/fork":
        pid = os.fork()
        if not pid:
            time.sleep(1000)
        os.kill(pid, signal.SIGUSR1)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        start_response("200 OK", [])
        return [b"%d" % code]
    start_response("200 OK", [])
    return [b"fine"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "web.py").write_text(_APP)
    monkeypatch.setenv("APP_DOES", "")
    return tmp_path


@contextmanager
def _running(folder: Path, *arguments: str) -> Iterator[Command]:
    with command(
        "-m", "greenserve", "web:app", "--bind", "127.0.0.1:0", *arguments, folder=folder
    ) as process:
        yield process


@pytest.mark.parametrize("workers", ["1", "2"])
def test_both_logs_are_reopened(workers: str, folder: Path) -> None:
    access, error = folder / "access.log", folder / "error.log"
    places = ("--access-logfile", "access.log", "--error-logfile", "error.log")
    with _running(folder, "--workers", workers, "--access-log-format", "%r", *places) as process:
        eventually(lambda: error.exists() and "Ctrl-C" in error.read_text(), "the server")
        address = (
            "127.0.0.1",
            int(error.read_text().partition("listening at http://127.0.0.1:")[2].split()[0]),
        )
        assert ask(address, request("/one")).body == b"fine"
        eventually(lambda: "/one" in access.read_text(), "the line")
        access.rename(folder / "access.log.1")
        error.rename(folder / "error.log.1")

        def all_have_reopened() -> bool:
            process.signal(signal.SIGUSR1)  # again: a worker that is not ready yet takes no notice
            text = error.read_text() if error.exists() else ""
            told = re.findall(r"\[(\d+)\] info: SIGUSR1: the logs are reopened", text)
            return len(set(told)) == int(workers)

        eventually(all_have_reopened, "the new log of each process")
        assert access.read_text() == ""
        assert ask(address, request("/two")).body == b"fine"
        process.signal(signal.SIGTERM)
        assert process.ended() == 0
    assert access.read_text() == "GET /two HTTP/1.1\n"
    assert (folder / "access.log.1").read_text() == "GET /one HTTP/1.1\n"
    assert error.read_text().endswith("stopped\n")


def test_while_the_app_is_imported_it_ends_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_DOES", "wait")
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    line = (
        f"import os; os.dup2({reading}, 0); import runpy; runpy.run_module('greenserve', run_name='__main__')"
    )
    with command(
        "-c", line, "web:app", "--bind", "127.0.0.1:0", folder=folder, pass_fds=(reading,)
    ) as process:
        process.until("importing")
        process.signal(signal.SIGUSR1)
        os.write(writing, b"\n")
        address = process.listens()
        assert ask(address, request()).body == b"fine"
    os.close(reading)
    os.close(writing)


def test_a_handler_of_the_app_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_DOES", "own")
    with _running(folder) as process:
        process.until("the app has a handler for SIGUSR1, so the signal does not reopen the logs")
        process.listens()
        process.signal(signal.SIGUSR1)
        process.until("the app's own")


def test_a_dump_signal_wins_and_says_so(folder: Path) -> None:
    with _running(folder, "--dump-signal", "usr1") as process:
        process.until(r"SIGUSR1 dumps stacks \(dump_signal = usr1\) and does not reopen the logs")
        process.listens()
        process.signal(signal.SIGUSR1)
        process.until("what every green thread is doing")


def test_a_forked_child_has_the_signal_as_before(folder: Path) -> None:
    with _running(folder) as process:
        address = process.listens()
        assert ask(address, request("/fork")).body == str(-signal.SIGUSR1).encode()
