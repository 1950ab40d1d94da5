"""upgrading: another program in the same process, with the sockets and the workers of the one before."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.programs.commands import ROOT
from tests.support.programs.workers import Load, is_alive, put, say, workers
from tests.support.times import eventually

from greenserve.process.master.handover import HandedWorker, Handover, Held
from greenserve.process.master.upgrading import Trial
from greenserve_hub.deadlines import NEVER

pytestmark = [
    pytest.mark.no_hub,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc"),
]

_HANDOVER = Handover([["serving", "x", True, [3, 4]]], [HandedWorker(7, 1, 0, 1, 5, False)], 6, -1, 3)
_HELD = Held(["127.0.0.1:1"], "/run/x.pid", "off", False, os.getpid())


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
        trial = Trial((sys.executable, *command), "/", os.environ, until, _HELD)
        eventually(lambda: trial._process.poll() is not None or until != NEVER)
        outcome = trial.outcome()
        assert outcome is not None
        return outcome

    def test_knows_that_it_is_one_and_succeeds(self) -> None:
        script = f"import os, sys; sys.path[:0] = [{str(ROOT / 'server')!r}, {str(ROOT / 'hub')!r}]\n"
        script += (
            "from greenserve.process.master.handover import Held; print(Held.of(os.environ), os.getcwd())"
        )
        assert self._outcome("-c", script) == (True, f"{_HELD} /")
        assert Held.of(os.environ) is None

    def test_fails_with_what_it_says(self) -> None:
        assert self._outcome("-c", "import sys; sys.exit('no good')") == (False, "no good")

    def test_one_that_takes_too_long_is_ended(self) -> None:
        succeeded, said = self._outcome("-c", "import time; time.sleep(1000)", until=0.0)
        assert not succeeded
        assert said.startswith("it was not ready in time (worker_start_timeout)")

    def test_a_program_that_is_not_there(self) -> None:
        with pytest.raises(FileNotFoundError):
            Trial(("/nowhere/python",), "/", os.environ, NEVER, _HELD)


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


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('error_logfile = "/nowhere/x.log"', "error_logfile = '/nowhere/x.log': can't be opened"),
        ('pid = "/nowhere/x.pid"', "can't be written"),
        ('admin_token_file = "/nowhere"\nadmin_bind = "unix:admin.sock"', "admin_token_file = /nowhere"),
        ('admin_bind = "TAKEN"', "something listens there already"),
        ('user = "no-such-user"', "this system has no such user"),
    ],
    ids=["error log", "pid file", "token", "admin pages", "user"],
)
def test_what_it_could_not_have_is_found_before(line: str, why: str, tmp_path: Path) -> None:
    """For when it is executed there is no way back."""
    with socket.create_server(("127.0.0.1", 0)) as taken, workers(tmp_path) as server:
        old = server.pids
        port = taken.getsockname()[1]
        (tmp_path / "greenserve.toml").write_text(line.replace("TAKEN", f"127.0.0.1:{port}") + "\n")
        server.signal(signal.SIGUSR2)
        server.until("the next program does not start. Everything goes on as before")
        server.until(re.escape(why))
        assert server.pids == old
        assert server.ask()[0] == "one"
        (tmp_path / "greenserve.toml").write_text('admin_bind = "unix:admin.sock"\npid = "gs.pid"\n')
        server.signal(signal.SIGUSR2)
        server.until("reloaded: all 2 workers are new")
        assert (tmp_path / "gs.pid").read_text() == f"{server.process.pid}\n"


@pytest.mark.parametrize("more", ["import time; time.sleep(1000)\n", "while True: pass\n", "1/0\n"])
def test_settings_that_are_code_hold_up_no_master(more: str, tmp_path: Path) -> None:
    conf = tmp_path / "greenserve_conf.py"
    conf.write_text("pool = 5\n")
    with workers(tmp_path, "--worker-start-timeout", "2s") as server:
        conf.write_text("pool = 5\n" + more)
        server.signal(signal.SIGHUP)
        old = server.pids
        os.kill(old[0], signal.SIGKILL)
        server.until("another one starts")
        server.until("reload failed: the settings can't be read. Everything goes on as before")
        assert server.ask()[0] == "one"
        conf.write_text("pool = 6\n")
        server.signal(signal.SIGHUP)
        server.until("reloaded: all 2 workers are new")
        conf.write_text(more)
        server.signal(signal.SIGHUP)
        left = server.pids
        server.process.kill()
        eventually(lambda: not any(map(is_alive, left)), "the end of all, and of what reads the settings")


def test_what_the_settings_import_of_the_project_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "greenserve_conf.py").write_text("from project_names import pool\n")
    (tmp_path / "project_names.py").write_text("pool = 5\nWORD = 'early'\n")
    say(tmp_path, "one", "import project_names\n")
    with workers(tmp_path) as server:
        put(tmp_path / "project_names.py", "pool = 6\nWORD = 'later'\n")
        say(tmp_path, "two", "import project_names\nassert project_names.WORD == 'later'\n")
        server.signal(signal.SIGHUP)
        server.until("reloaded: all 2 workers are new")
        server.becomes("two", 2)


def test_a_reload_names_what_waits_for_a_restart(tmp_path: Path) -> None:
    toml = tmp_path / "greenserve.toml"
    toml.write_text("")
    with workers(tmp_path) as server:
        toml.write_text('log_level = "warning"\npid = "gs.pid"\n')
        server.signal(signal.SIGHUP)
        server.until("log_level = warning takes effect at SIGUSR2 or a restart$")
        server.until("pid = gs.pid takes effect at SIGUSR2 or a restart$")
        server.until("reloaded: all 2 workers are new")


def test_workers_that_drain_live_through_two_programs(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with workers(tmp_path) as server, RawClient(server.address) as client:
        client.send(request(f"/file?{fifo}"))
        with open(fifo, "w") as file:  # when the app reads it
            for _ in range(2):
                server.signal(signal.SIGUSR2)
                server.until("reloaded: all 2 workers are new")
            eventually(lambda: len(server.pids) == 3, "two new ones, and one that drains")
            server.signal(signal.SIGTERM)
            eventually(lambda: len(server.pids) == 1, "the end of those that do nothing")
            file.write("done")
        assert client.answer().body.split(b" ")[2] == b"done"
        assert server.ended() == 0
