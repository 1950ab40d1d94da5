"""upgrading: another program in the same process, with the sockets and the workers of the one before."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from tests.support.programs.commands import ROOT
from tests.support.programs.workers import Load, say, workers
from tests.support.times import eventually

from greenserve.process.master.upgrading import HandedWorker, Handover, Trial, is_trial
from greenserve_hub.deadlines import NEVER

pytestmark = [
    pytest.mark.no_hub,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc"),
]

_HANDOVER = Handover([["serving", "x", True, [3, 4]]], [HandedWorker(7, 1, 0, 1, 5, False)], 6, -1, 3)


def test_what_is_put_is_taken_once() -> None:
    environ = _HANDOVER.put({"A": "1"})
    assert Handover.take(environ) == _HANDOVER
    assert environ == {"A": "1"}
    assert Handover.take(environ) is None


def test_what_is_for_another_process_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = _HANDOVER.put({})
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert Handover.take(environ) is None
    assert environ == {}


class TestTrial:
    def _outcome(self, *command: str, until: float = NEVER) -> tuple[bool, str]:
        trial = Trial((sys.executable, *command), "/", os.environ, until)
        eventually(lambda: trial._process.poll() is not None or until != NEVER)
        outcome = trial.outcome()
        assert outcome is not None
        return outcome

    def test_knows_that_it_is_one_and_succeeds(self) -> None:
        script = f"import os, sys; sys.path[:0] = [{str(ROOT / 'server')!r}, {str(ROOT / 'hub')!r}]\n"
        script += "from greenserve.process.master.upgrading import is_trial; print(is_trial(os.environ), os.getcwd())"
        assert self._outcome("-c", script) == (True, "True /")
        assert not is_trial(os.environ)

    def test_fails_with_what_it_says(self) -> None:
        assert self._outcome("-c", "import sys; sys.exit('no good')") == (False, "no good")

    def test_one_that_takes_too_long_is_ended(self) -> None:
        succeeded, said = self._outcome("-c", "import time; time.sleep(1000)", until=0.0)
        assert not succeeded
        assert said.startswith("it was not ready in time (worker_start_timeout)")

    def test_a_program_that_is_not_there(self) -> None:
        with pytest.raises(FileNotFoundError):
            Trial(("/nowhere/python",), "/", os.environ, NEVER)


@pytest.mark.parametrize(
    "more", [(), ("--preload",), ("--worker-sockets", "shared")], ids=["own", "preload", "shared"]
)
def test_the_process_and_its_requests_go_on(more: tuple[str, ...], tmp_path: Path) -> None:
    pid_file = tmp_path / "gs.pid"
    with workers(tmp_path, "--pid", str(pid_file), *more) as server, Load(server.address) as load:
        load.goes_on()
        old = server.pids
        say(tmp_path, "two")
        server.signal(signal.SIGHUP if more == ("--preload",) else signal.SIGUSR2)
        server.until("checking the next program")
        server.until(f"goes on in process {server.process.pid}")
        server.until("reloaded: all 2 workers are new")
        eventually(lambda: len(server.pids) == 2 and not set(old) & set(server.pids))
        load.goes_on()
        assert server.ask()[0] == "two"
        assert pid_file.read_text() == f"{server.process.pid}\n"
        assert load.lost == []
        server.signal(signal.SIGTERM)
        assert server.ended() == 0
    assert not pid_file.exists()


def test_one_that_does_not_start_changes_nothing(tmp_path: Path) -> None:
    with workers(tmp_path) as server, Load(server.address) as load:
        old = server.pids
        say(tmp_path, "two", "import no_such_module\n")
        server.signal(signal.SIGUSR2)
        server.until("the next program does not start. Everything goes on as before")
        server.until("no_such_module")
        load.goes_on()
        assert server.pids == old
        say(tmp_path, "three")
        server.signal(signal.SIGUSR2)
        server.until("reloaded: all 2 workers are new")
        load.goes_on()
        assert server.ask()[0] == "three"
        assert load.lost == []


def test_a_program_that_brings_its_app_cannot_be_loaded_again(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import greenserve, web\n"
        "raise SystemExit(greenserve.run(web.app, bind='127.0.0.1:0', workers=2, access_logfile='off'))\n"
    )
    say(tmp_path, "one")
    from tests.support.programs.commands import command

    with command("program.py", folder=tmp_path) as process:
        process.until("with 2 workers")
        for number in (signal.SIGHUP, signal.SIGUSR2):
            process.signal(number)
            process.until("only a new start can load again; everything goes on as before")
        process.signal(signal.SIGTERM)
        assert process.ended() == 0
