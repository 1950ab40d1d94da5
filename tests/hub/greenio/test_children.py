"""children: waiting for child processes, without polling."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.times import MS

from greenserve_hub import get_hub, sleep, spawn
from greenserve_hub.greenio import children


def start(code: int = 0, until: str = "") -> subprocess.Popen[bytes]:
    """A child that ends with `code` when its stdin is closed."""
    return subprocess.Popen(
        [sys.executable, "-S", "-c", f"import sys; sys.stdin.read(); sys.exit({code})"], stdin=-1
    )


def end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.returncode = 0  # its status is the test's to take


@pytest.fixture(params=["pidfd", "an OS thread"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "an OS thread":

        def forbidden(pid: int) -> int:
            raise OSError(errno.ENOSYS, "Function not implemented")

        monkeypatch.setattr("greenserve_hub.greenio.children.os.pidfd_open", forbidden, raising=False)


def test_the_hub_goes_on_and_the_status_comes(way: None):
    process = start(7)
    turns = []
    waiting = spawn(children.waitpid, process.pid, 0)
    ticking = spawn(lambda: [(turns.append(1), sleep(MS)) for _ in range(3)])
    ticking.wait()
    assert not waiting.dead
    end(process)
    pid, status = waiting.wait()
    assert (pid, os.waitstatus_to_exitcode(status), len(turns)) == (process.pid, 7, 3)


def test_a_time_limit(way: None):
    process = start()
    assert children.wait_for_exit(get_hub(), process.pid, 2 * MS) is False
    end(process)
    assert children.wait_for_exit(get_hub(), process.pid) is True
    assert os.waitpid(process.pid, 0)[0] == process.pid


@pytest.mark.parametrize(
    "call",
    [
        lambda pid: children.wait(),
        lambda pid: children.waitpid(-1, 0),
        lambda pid: children.wait3(0)[:2],
        lambda pid: children.wait4(pid, 0)[:2],
        lambda pid: (children.waitid(os.P_PID, pid, os.WEXITED).si_pid, 3 << 8),
    ],
    ids=["wait", "waitpid any", "wait3", "wait4", "waitid"],
)
def test_any_child_and_the_other_calls(call: Callable[[int], Any]):
    process = start(3)
    waiting = spawn(call, process.pid)
    sleep(MS)
    assert not waiting.dead
    end(process)
    pid, status = waiting.wait()
    assert (pid, os.waitstatus_to_exitcode(status)) == (process.pid, 3)


def test_asking_does_not_wait():
    process = start()
    assert children.waitpid(process.pid, os.WNOHANG) == (0, 0)
    assert children.wait3(os.WNOHANG)[0] == 0
    assert children.wait4(process.pid, os.WNOHANG)[0] == 0
    assert children.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG) is None
    end(process)
    children.waitpid(process.pid, 0)


def test_no_such_child():
    with pytest.raises(ChildProcessError):
        children.waitpid(os.getpid(), 0)
    with pytest.raises(ChildProcessError):
        children.wait()
    with pytest.raises((ProcessLookupError, ChildProcessError)):
        children.wait_for_exit(get_hub(), 2**22 - 1)
