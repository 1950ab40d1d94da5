"""master: the command with workers as a program: starts, signals, reloads and stops."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient
from tests.support.programs.commands import command, run_python
from tests.support.programs.workers import Load, children, is_alive, say, workers
from tests.support.times import MS, eventually

pytestmark = [
    pytest.mark.no_hub,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc"),
]


# Serving


def test_two_workers_serve_and_a_stop_ends_all(tmp_path):
    with workers(tmp_path) as server:
        with Load(server.address, 8) as load:
            load.goes_on(300)
        assert load.lost == []
        pids = server.pids
        assert {pid for _, pid in load.answers} == set(pids)
        server.signal(signal.SIGTERM)
        assert server.ended() == 0
        assert not any(map(is_alive, pids))
        assert server.said[-1].endswith("info: stopped\n")


def test_no_process_holds_what_it_must_not(tmp_path):
    """Else a listening socket or a channel would seem alive when its owner is not."""
    with workers(tmp_path) as server:
        master, first, second = (_files(pid) for pid in (server.process.pid, *server.pids))
        shared = {name for name in first & second if name.startswith("socket:")}
        assert shared == set()
        assert len(_listening(server.process.pid)) == 2
        assert len(_listening(server.pids[0])) == len(_listening(server.pids[1])) == 1
        # Each worker has its listening socket in common with the master, and its channel with nobody.
        for one in (first, second):
            assert len([name for name in master & one if name.startswith("socket:")]) == 1
        assert _count(server.pids[0], "eventpoll") == _count(server.pids[1], "eventpoll") == 1
        before = {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in (server.process.pid, *server.pids)}
        for _ in range(2):
            old = server.pids
            server.signal(signal.SIGHUP)
            server.until("reloaded: all 2 workers are new")
            eventually(
                lambda old=old: len(server.pids) == 2 and not set(old) & set(server.pids), "new workers"
            )
        eventually(lambda: len(os.listdir(f"/proc/{server.process.pid}/fd")) == before[server.process.pid])
        assert {len(os.listdir(f"/proc/{pid}/fd")) for pid in server.pids} <= {*before.values()}


def _files(pid: int) -> set[str]:
    return {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}


def _count(pid: int, kind: str) -> int:
    return sum(kind in os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))


def _listening(pid: int) -> set[str]:
    """The listening TCP sockets of a process."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return _files(pid) & {f"socket:[{row[9]}]" for row in rows if row[3] == "0A"}


def test_auto_is_one_worker_for_each_cpu(tmp_path):
    with workers(tmp_path, "--workers", "auto", count=len(os.sched_getaffinity(0))):
        pass


# Reloads


def test_a_reload_under_load_serves_the_new_code_and_loses_nothing(tmp_path):
    with workers(tmp_path) as server, Load(server.address) as load:
        for version in ("two", "three", "four"):
            load.goes_on()
            say(tmp_path, version)
            server.signal(signal.SIGHUP)
            server.until("reloaded: all 2 workers are new")
            server.becomes(version, 2)
            before = load.answers.copy()
            load.goes_on(50)
        assert {word for word, _ in load.answers - before} == {"four"}
        assert load.lost == []
        assert {word for word, _ in load.answers} == {"one", "two", "three", "four"}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def app(:\n", r"reload failed: worker \d+ \(process \d+\) could not start: .*"),
        ("import nothing_of_this_name\n", "reload failed: .*nothing_of_this_name"),
        ("import os\nos._exit(5)\n", r"reload failed: worker 3 .* ended with exit code 5"),
        ("import sys\nsys.exit(5)\n", "reload failed: worker 3 .*"),
        ("import os\nos.kill(os.getpid(), 9)\n", "reload failed: worker 3 .* was killed by SIGKILL"),
    ],
)
def test_code_that_does_not_start_changes_nothing(tmp_path, code, reason):
    with workers(tmp_path) as server, Load(server.address, 2) as load:
        pids = server.pids
        (tmp_path / "web.py").write_text(code)
        server.signal(signal.SIGHUP)
        server.until(reason)
        load.goes_on(50)
        assert load.lost == []
        assert server.pids == pids


def test_settings_that_do_not_hold_change_nothing(tmp_path):
    (tmp_path / "greenserve.toml").write_text("backlog = 50\n")
    with workers(tmp_path) as server:
        pids = server.pids
        for text, reason in (
            ("backlog = -5\n", "reload failed: backlog = -5"),
            ("no_such = 1\n", "reload failed: .*no_such"),
            ("[\n", "reload failed: greenserve.toml: not valid TOML"),
            ('redirect_bind = "127.0.0.1:0"\n', "reload failed: "),
        ):
            (tmp_path / "greenserve.toml").write_text(text)
            server.signal(signal.SIGHUP)
            server.until(reason)
            assert server.ask()[0] == "one"
        assert server.pids == pids


def test_an_import_that_hangs_is_killed_and_the_old_workers_serve_on(tmp_path):
    with workers(tmp_path, "--worker-start-timeout", f"{1000 * MS:g}s") as server:
        pids = server.pids
        (tmp_path / "web.py").write_text("while True:\n    pass\n")
        server.signal(signal.SIGHUP)
        server.until(r"is not ready after .* s \(worker_start_timeout\) and is killed")
        server.until(r'File ".*web.py", line')
        server.until("reload failed: worker 3 .* was killed by SIG")
        assert server.pids == pids
        say(tmp_path, "two")
        server.signal(signal.SIGHUP)
        server.until("reloaded")
        server.becomes("two", 2)


def test_a_failed_reload_keeps_the_settings_for_workers_that_start_later(tmp_path):
    (tmp_path / "greenserve.toml").write_text('env = ["COLOUR=red"]\n')
    more = "import os\nassert os.environ['COLOUR'] != 'green', 'not green'\n"
    say(tmp_path, "one", more)
    with workers(tmp_path) as server:
        (tmp_path / "greenserve.toml").write_text('env = ["COLOUR=green"]\n')
        server.signal(signal.SIGHUP)
        server.until("reload failed: .*not green|not green")
        before = set(server.pids)
        os.kill(server.pids[0], signal.SIGKILL)
        server.until("was killed by SIGKILL")
        eventually(lambda: len(set(server.pids) - before) == 1, "the next one")
        server.becomes("one", 2)
        time.sleep(200 * MS)
        assert len(set(server.pids) & before) == 1


def test_two_reloads_at_once_end_as_one(tmp_path):
    with workers(tmp_path) as server, Load(server.address, 2) as load:
        load.goes_on(10)
        say(tmp_path, "two")
        server.signal(signal.SIGHUP)
        server.until("reloading")
        say(tmp_path, "three")
        server.signal(signal.SIGHUP)
        server.until("reloading")
        server.until("reloaded")
        server.becomes("three", 2)
        assert load.lost == []
    assert "could not" not in server.text


def test_a_reload_reads_the_number_of_workers_again(tmp_path):
    (tmp_path / "greenserve.toml").write_text("max_requests = 100000\n")
    with workers(tmp_path, count=1) as server:
        server.signal(signal.SIGTTIN)
        server.until("2 workers from now on")
        eventually(lambda: len(server.pids) == 2)
        server.signal(signal.SIGTTOU)
        server.until("1 worker from now on")
        eventually(lambda: len(server.pids) == 1)
        server.signal(signal.SIGTTOU)  # there is always one
        server.signal(signal.SIGHUP)
        server.until("reloaded: the worker is new")


# Size


def test_fewer_and_more_workers_under_load_lose_nothing(tmp_path):
    with workers(tmp_path) as server, Load(server.address) as load:
        load.goes_on()
        server.signal(signal.SIGTTOU)
        eventually(lambda: len(server.pids) == 1, "one worker")
        load.goes_on()
        server.signal(signal.SIGTTIN)
        eventually(lambda: len(server.pids) == 2, "two workers")
        load.goes_on()
        assert load.lost == []


# Stops


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("to_all", [False, True], ids=["the master", "the process group"])
def test_a_stop_lets_running_requests_finish(tmp_path, number, to_all):
    with workers(tmp_path, "--drain-delay", "0") as server:
        with RawClient(server.address) as client:
            server.begins(client, "/until?go")
            for pid in [server.process.pid, *(server.pids if to_all else ())]:
                os.kill(pid, number)
            server.until(f"{number.name}: stopping$")
            (tmp_path / "go").touch()
            assert client.answer().status == 200
        assert server.ended() == 0


def test_ctrl_c_while_the_app_is_imported_is_no_failed_start(tmp_path):
    (tmp_path / "web.py").write_text("import time\nopen('begun', 'w').close()\ntime.sleep(1000)\n")
    call = ("-m", "greenserve", "web:app", "--workers", "2", "--bind", "127.0.0.1:0")
    with command(*call, folder=tmp_path) as server:
        eventually((tmp_path / "begun").exists, "an import")
        for pid in (server.process.pid, *children(server.process.pid)):
            os.kill(pid, signal.SIGINT)
        assert server.ended() == 0
    assert "KeyboardInterrupt" not in server.text
    assert "stopped" in server.text


def test_a_second_signal_ends_what_still_runs(tmp_path):
    with workers(tmp_path) as server, RawClient(server.address) as client:
        server.begins(client, "/sleep?1000")
        server.signal(signal.SIGTERM)
        server.until("SIGTERM: stopping$")
        server.signal(signal.SIGTERM)
        server.until("SIGTERM while stopping: stopping at once")
        assert server.ended() == 0


def test_a_stop_during_a_reload_lets_the_old_workers_requests_finish(tmp_path):
    with workers(tmp_path, "--drain-delay", "0", "--master", count=1) as server:
        with RawClient(server.address) as client:
            server.begins(client, "/until?go")
            server.signal(signal.SIGHUP)
            server.until("reloaded")
            time.sleep(1.1)  # so that a second SIGTERM would count
            for pid in (server.process.pid, *server.pids):  # as systemd does
                os.kill(pid, signal.SIGTERM)
            server.until("SIGTERM: stopping$")
            (tmp_path / "go").touch()
            assert client.answer().status == 200
        assert server.ended() == 0


def test_retired_workers_that_are_idle_end_at_once(tmp_path):
    with workers(tmp_path) as server:
        old = server.pids
        server.signal(signal.SIGHUP)
        server.until("reloaded")
        begun = time.monotonic()
        eventually(lambda: not any(map(is_alive, old)), "their end")
        assert time.monotonic() - begun < 1000 * MS


# Starts


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("import nothing_of_this_name\n", 3, "nothing_of_this_name"),
        ("app = 5\n", 3, "app"),
        ("raise KeyboardInterrupt\n", 3, "KeyboardInterrupt"),
    ],
)
def test_an_app_that_does_not_start_ends_the_command(tmp_path, code, status, reason):
    (tmp_path / "web.py").write_text(code)
    done = run_python(
        *("-m", "greenserve", "web:app", "--workers", "2", "--bind", "127.0.0.1:0"), folder=tmp_path
    )
    assert done.returncode == status, done.stderr
    assert done.stderr.splitlines()[-1].startswith("greenserve: ")
    assert reason in done.stderr
    assert len(re.findall("^greenserve: ", done.stderr, re.MULTILINE)) == 1


def test_a_port_in_use_ends_the_command_with_code_4(tmp_path):
    say(tmp_path, "one")
    with socket.create_server(("127.0.0.1", 0)) as other:
        bind = f"127.0.0.1:{other.getsockname()[1]}"
        done = run_python("-m", "greenserve", "web:app", "--workers", "2", "--bind", bind, folder=tmp_path)
    assert done.returncode == 4
    assert "cannot listen at" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reload_to_fewer_workers_that_fails_takes_none_away(tmp_path):
    toml = tmp_path / "greenserve.toml"
    toml.write_text("workers = 3\n")
    with workers(tmp_path, count=3, asks=False) as server:
        old = set(server.pids)
        toml.write_text("workers = 1\n")
        say(tmp_path, "two", "import nothing_of_this_name\n")
        server.signal(signal.SIGHUP)
        server.until("reload failed")
        assert set(server.pids) == old
        say(tmp_path, "two")
        server.signal(signal.SIGHUP)
        server.until("reloaded")
        server.becomes("two", 1)
