"""python -m greenserve.attach: an interpreter in a running process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.programs.commands import command, run_python
from tests.support.programs.debuggers import needs_attaching

APP = "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'x']\n"


def attach(*arguments: str, typed: str = "") -> tuple[int, str, str]:
    """The exit code, and what was printed and said."""
    done = run_python("-m", "greenserve.attach", *arguments, typed=typed)
    return done.returncode, done.stdout, done.stderr


@needs_attaching
def test_a_server_without_a_backdoor_shows_its_threads_and_its_pool(tmp_path: Path):
    (tmp_path / "web.py").write_text(APP)
    with command(
        "-m", "greenserve", "web:app", "--bind", "127.0.0.1:0", "--pool", "7", folder=tmp_path
    ) as running:
        url = running.until(r"listening at (.*)$")[1]
        typed = "pool().size\nserver.url\nimport time; time.sleep(0.01)\nthreads()\nexit()\n"
        code, printed, said = attach(str(running.process.pid), typed=typed)
        assert (code, said) == (0, "")
        assert f"backdoor of process {running.process.pid}" in printed
        assert ">>> 7\n" in printed
        assert url in printed
        assert "waiting for a connection" in printed or "accept" in printed
        # Another one, and to its end without an exit().
        assert attach(str(running.process.pid), typed="1 + 1\n")[1].endswith(">>> 2\n>>> ")
        running.process.terminate()
        assert running.ended() == 0
    assert "Traceback" not in running.text


@needs_attaching
def test_a_process_that_has_none_of_it_says_so(tmp_path: Path):
    with command(
        "-c", "import sys, time\nsys.stderr.write('up\\n')\nwhile True: time.sleep(0.01)", folder=tmp_path
    ) as other:
        other.until("up")
        assert attach(str(other.process.pid)) == (0, "this process has not imported greenserve\n", "")


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["x"], 2), (["1", "2"], 2), (["--help"], 0)])
def test_what_it_takes_is_said(arguments: list[str], code: int):
    assert attach(*arguments) == (code, "", "usage: python -m greenserve.attach PID\n")


def test_what_is_in_the_way_is_one_line():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    code, printed, said = attach(str(ended.pid))
    assert (code, printed) == (2, "")
    wanted = (
        f"greenserve.attach: process {ended.pid}: "
        if sys.version_info >= (3, 14)
        else "greenserve.attach: this needs Python 3.14"
    )
    assert said.startswith(wanted)
    assert said.count("\n") == 1
