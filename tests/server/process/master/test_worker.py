"""worker: the command with workers as a program: those that die, stand still, grow old, or lose their master."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient
from tests.support.clients.ws_client import WSClient
from tests.support.programs.workers import Load, is_alive, workers
from tests.support.times import MS, eventually

pytestmark = [
    pytest.mark.no_hub,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc"),
]


# Ends


def test_a_killed_worker_loses_only_its_own_requests_and_is_named(tmp_path):
    with workers(tmp_path) as server, Load(server.address, 6) as load:
        load.goes_on()
        victim = server.pids[0]
        os.kill(victim, signal.SIGKILL)
        server.until(
            rf"worker 1 \(process {victim}\) was killed by SIGKILL, .*; only its own requests are lost, and "
            "another one starts now"
        )
        eventually(lambda: len(server.pids) == 2)
        load.goes_on(200)
        lost = [one for one in load.lost if " again: " not in one]
        assert lost == []  # nobody who connects anew
        assert len(load.lost) <= 6


def test_a_worker_that_is_told_to_stop_by_others_loses_nothing(tmp_path):
    with workers(tmp_path) as server, Load(server.address) as load:
        load.goes_on()
        os.kill(server.pids[0], signal.SIGTERM)
        server.until("was told to stop, and is replaced")
        load.goes_on(200)
        assert load.lost == []
        eventually(lambda: len(server.pids) == 2)


# Those that stand still


@pytest.mark.parametrize("path", ["/spin", "/gil", "/lock"])
def test_a_worker_that_stands_still_is_killed_with_its_stacks_in_the_log_and_others_serve(tmp_path, path):
    with (
        workers(tmp_path, "--worker-timeout", f"{2000 * MS:g}s") as server,
        RawClient(server.address) as client,
    ):
        client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        server.until(r"worker \d .* is killed: its hub has not run for .* \(worker_timeout\)")
        server.until(r'File ".*web.py", line \d+ in app')
        server.until(r"was killed by SIG(ABRT|KILL)")
        for _ in range(4):
            assert server.ask()[0] == "one"


def test_new_clients_of_a_worker_that_stands_still_are_served_by_the_other_one(tmp_path):
    with workers(tmp_path, "--graceful-timeout", "0") as server, RawClient(server.address) as client:
        server.begins(client, "/spin")  # from now on it accepts nobody
        begun = time.monotonic()
        for _ in range(20):  # half of them get to the socket of that worker
            assert server.ask()[0] == "one"
        assert time.monotonic() - begun < 10_000 * MS


# Without a master


@pytest.mark.parametrize("path", ["/", "/lock"])
def test_workers_end_when_their_master_was_killed(tmp_path, path):
    with workers(tmp_path, "--graceful-timeout", "500ms") as server, RawClient(server.address) as client:
        if path == "/":
            assert client.get(path).status == 200
        else:
            server.begins(client, path)
        pids = server.pids
        server.signal(signal.SIGKILL)
        eventually(lambda: not any(map(is_alive, pids)), "the end of all workers")


def test_a_worker_whose_c_code_holds_the_interpreters_lock_ends_when_that_returns(tmp_path):
    (tmp_path / "web.py").write_text(
        "import ctypes\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    open('held', 'w').close()\n"
        "    ctypes.PyDLL(None).usleep(900_000)\n"  # PyDLL keeps the lock
        "    open('over', 'w').close()\n"
        "    return []\n"
    )
    with workers(tmp_path, "--master", count=1) as server, RawClient(server.address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually((tmp_path / "held").exists)
        (pid,) = server.pids
        server.signal(signal.SIGKILL)
        eventually(lambda: not is_alive(pid), "its end")
        assert (tmp_path / "over").exists()


def test_a_worker_that_loses_its_master_while_it_starts_ends(tmp_path):
    with workers(tmp_path) as server:
        (tmp_path / "web.py").write_text("import time\nopen('begun', 'w').close()\ntime.sleep(1000)\n")
        server.signal(signal.SIGHUP)
        eventually((tmp_path / "begun").exists, "the import")
        pids = server.pids
        assert len(pids) == 3
        server.signal(signal.SIGKILL)
        eventually(lambda: not any(map(is_alive, pids)), "the end of all workers")


# Recycling


@pytest.mark.parametrize("limit", [("--max-requests", "50"), ("--max-lifetime", f"{1000 * MS:g}s")])
def test_workers_that_have_lived_long_enough_are_replaced_without_loss(tmp_path, limit):
    with workers(tmp_path, *limit) as server, Load(server.address) as load:
        first = set(server.pids)
        server.until(rf"is replaced: .*\({limit[0].strip('-').replace('-', '_')}\)")
        eventually(lambda: len(server.pids) >= 2 and not first & set(server.pids), "others")
        load.goes_on(50)
        assert load.lost == []
    assert "reloaded" not in server.text


# WebSockets


def test_each_of_200_websockets_is_told_1012_by_a_reload(tmp_path):
    with workers(tmp_path) as server:
        clients = [WSClient(server.address, "/chat") for _ in range(200)]
        server.signal(signal.SIGHUP)
        server.until("reloaded")
        assert {client.agree()[0] for client in clients} == {1012}
        for client in clients:
            client.close()
