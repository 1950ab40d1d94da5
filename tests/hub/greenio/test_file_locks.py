"""Locks on files: who waits for one lets others run, can be reached, and gets it when it is free."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.times import MS

from greenserve_hub import Timeout, kill, sleep, spawn
from greenserve_hub.greenio import file_locks

# struct flock of Linux on 64 bits: l_type, l_whence, l_start, l_len, l_pid
_WRITE = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)

# What waits for a lock on a file that is given as an object with a number.
CALLS: dict[str, Callable[[Any], object]] = {
    "flock": lambda file: file_locks.flock(file, fcntl.LOCK_EX),
    "flock, shared": lambda file: file_locks.flock(file.fileno(), fcntl.LOCK_SH),
    "lockf": lambda file: file_locks.lockf(file, fcntl.LOCK_EX),
    "os.lockf": lambda file: file_locks.os_lockf(file.fileno(), os.F_LOCK, 0),
    "fcntl": lambda file: file_locks.fcntl(file, fcntl.F_SETLKW, _WRITE),
    "fcntl, of the description": lambda file: file_locks.fcntl(file, fcntl.F_OFD_SETLKW, _WRITE),
}


class Holder:
    """Another process, which has both kinds of locks on a file."""

    def __init__(self, path: Path) -> None:
        script = (
            "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX);"
            "fcntl.lockf(file, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def end(self) -> None:
        self._process.communicate()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Holder]:
    one = Holder(tmp_path / "file")
    yield one
    one.end()


@pytest.mark.parametrize("call", CALLS)
def test_others_run_until_it_is_free(call: str, holder: Holder, tmp_path: Path):
    with (tmp_path / "file").open("r+") as file:
        waiting = spawn(CALLS[call], file)
        for _ in range(10):
            sleep(MS)
        assert not waiting.dead
        holder.end()
        waiting.wait()
        how = "flock" if call.startswith("flock") else "lockf"
        assert not is_free(tmp_path / "file", how)


def is_free(path: Path, how: str) -> bool:
    """Whether another process could have it."""
    script = f"import fcntl, sys; fcntl.{how}(open(sys.argv[1], 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    done = subprocess.run(
        [sys.executable, "-c", script, path], stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 0 or "BlockingIOError" in done.stderr
    return done.returncode == 0


@pytest.mark.parametrize("call", CALLS)
def test_who_is_killed_never_gets_it(call: str, holder: Holder, tmp_path: Path):
    with (tmp_path / "file").open("r+") as file:
        waiting = spawn(CALLS[call], file)
        sleep(MS)
        kill(waiting)
        with pytest.raises(Timeout), Timeout(5 * MS):
            CALLS[call](file)
        holder.end()
        sleep(100 * MS)
        assert is_free(tmp_path / "file", "flock")
        assert is_free(tmp_path / "file", "lockf")


def test_green_threads_exclude_each_other_by_flock(tmp_path: Path):
    inside: list[int] = []

    def work(number: int) -> None:
        with (tmp_path / "file").open("w") as file:
            file_locks.flock(file, fcntl.LOCK_EX)
            inside.append(number)
            sleep(MS)
            assert inside[-1] == number
            file_locks.flock(file, fcntl.LOCK_UN)

    workers = [spawn(work, number) for number in range(4)]
    for worker in workers:
        worker.wait()
    assert sorted(inside) == [0, 1, 2, 3]


def test_what_does_not_wait_and_what_is_wrong_is_the_systems(holder: Holder, tmp_path: Path):
    with (tmp_path / "file").open("r+") as file:
        for at_once in (
            lambda: file_locks.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB),
            lambda: file_locks.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB),
            lambda: file_locks.os_lockf(file.fileno(), os.F_TLOCK, 0),
            lambda: file_locks.fcntl(file, fcntl.F_SETLK, _WRITE),
        ):
            with pytest.raises((BlockingIOError, PermissionError)):
                at_once()
        file_locks.flock(file, fcntl.LOCK_UN)
        file_locks.lockf(file, fcntl.LOCK_UN)
        assert file_locks.fcntl(file, fcntl.F_GETFD) == fcntl.FD_CLOEXEC
    for wrong in (lambda: file_locks.flock(-1, fcntl.LOCK_EX), lambda: file_locks.lockf(file, fcntl.LOCK_EX)):
        with pytest.raises(ValueError, match=r"negative|closed"):
            wrong()
    reader, writer = os.pipe()
    with pytest.raises(OSError, match="Bad file descriptor"):
        file_locks.lockf(reader, fcntl.LOCK_EX)
    os.close(reader)
    os.close(writer)


def test_without_a_hub_the_system_waits(holder: Holder, tmp_path: Path):
    got: list[str] = []

    def wait() -> None:
        for name, call in CALLS.items():
            with (tmp_path / "file").open("r+") as file:  # closing it lets go
                call(file)
                got.append(name)

    thread = threading.Thread(target=wait)
    thread.start()
    sleep(20 * MS)
    assert got == []
    holder.end()
    thread.join()
    assert got == list(CALLS)
