"""daemons: the command returns when the server is ready, which goes on in the background."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest
from tests.support.clients.raw import ask, request
from tests.support.programs.commands import run_python
from tests.support.programs.workers import is_alive, say
from tests.support.times import eventually

pytestmark = [
    pytest.mark.no_hub,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc"),
]


@pytest.mark.parametrize("more", [(), ("--workers", "2")], ids=["alone", "workers"])
def test_the_command_returns_when_it_is_ready(more: tuple[str, ...], tmp_path: Path) -> None:
    say(tmp_path, "one")
    sock = tmp_path / "app.sock"
    ended = run_python(
        *("-m", "greenserve", "web:app", "--bind", f"unix:{sock}", "--daemon", "--pid", "gs.pid"),
        *("--error-logfile", "error.log", "--access-logfile", "off", *more),
        folder=tmp_path,
    )
    pid = int((tmp_path / "gs.pid").read_text())
    try:
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
        assert ask(str(sock), request("/")).body.startswith(b"one ")
        assert [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)] == [os.devnull] * 3
        assert os.getsid(pid) not in (pid, os.getsid(0))
    finally:
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: not is_alive(pid), "its end")
    assert "stopped" in (tmp_path / "error.log").read_text()
    assert not (tmp_path / "gs.pid").exists()


@pytest.mark.parametrize("more", [(), ("--workers", "2")], ids=["alone", "workers"])
@pytest.mark.parametrize(
    ("app", "bind", "code", "line"),
    [
        ("none:app", "127.0.0.1:0", 3, "no module none"),
        ("web:app", "taken", 4, "something listens there already"),
    ],
)
def test_a_start_that_fails_is_told_by_the_command(
    app: str, bind: str, code: int, line: str, more: tuple[str, ...], tmp_path: Path
) -> None:
    say(tmp_path, "one")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}" if bind == "taken" else bind
        ended = run_python(
            *("-m", "greenserve", app, "--bind", bind, "--daemon", "--error-logfile", "error.log", *more),
            *("--access-logfile", "off"),
            folder=tmp_path,
        )
    assert ended.returncode == code
    assert line in ended.stderr
