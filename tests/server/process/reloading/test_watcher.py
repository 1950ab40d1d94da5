"""watcher: what it tells, and when, by a clock of the test's; and its process, on a real socket."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.times import PATIENCE

from greenserve.process.reloading import watcher as module
from greenserve.process.reloading.engines import Polling
from greenserve.process.reloading.watcher import Watcher


class _World:
    """Time that passes only while the watcher sleeps, and what happens meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 0.0
        self.told: list[dict[str, Any]] = []
        self.plan: list[tuple[float, Callable[[], object]]] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        while self.plan and self.plan[0][0] <= self.now:
            self.plan.pop(0)[1]()

    def at(self, moment: float, name: str, text: str) -> None:
        self.plan.append((moment, lambda: (self.folder / name).write_text(text)))

    def watcher(self, **order: Any) -> Watcher:
        made = Watcher(_Always(), self.told.append, lambda: self.now, self.sleep)
        made.take({"trees": {str(self.folder): ".py"}, "files": [], "since": 1e12, "lenient": False} | order)
        return made


class _Always:
    name = "always"

    def wait(self, folders: frozenset[str], cost: float) -> bool:
        return True


class _Broken:
    name = "broken"

    def __init__(self, times: int) -> None:
        self.left = times

    def wait(self, folders: frozenset[str], cost: float) -> bool:
        self.left -= 1
        if self.left >= 0:
            raise OSError("no watches left")
        return False


@pytest.fixture
def world(tmp_path: Path) -> _World:
    (tmp_path / "a.py").write_text("a")
    return _World(tmp_path)


def test_one_save_is_told_at_once_and_when_it_is_quiet(world: _World) -> None:
    watcher = world.watcher()
    watcher.turn()
    assert world.told == []
    (world.folder / "a.py").write_text("b")
    watcher.turn()
    assert world.told == [{"changing": True}, {"changed": [str(world.folder / "a.py")]}]
    watcher.turn()
    assert len(world.told) == 2


def test_a_checkout_of_many_files_is_one_change(world: _World) -> None:
    watcher = world.watcher()
    (world.folder / "a.py").write_text("b")
    for number in range(10):
        world.at(0.05 * number, f"m{number}.py", "new")
    watcher.turn()
    assert [list(message) for message in world.told] == [["changing"], ["changed"]]
    assert len(world.told[1]["changed"]) == 11
    assert world.now < 1


def test_what_never_rests_is_told_in_the_end(world: _World) -> None:
    watcher = world.watcher()
    (world.folder / "a.py").write_text("b")
    for number in range(1000):
        world.at(0.02 * number, "a.py", str(number))
    watcher.turn()
    assert [list(message) for message in world.told] == [["changing"], ["changed"]]
    assert 3 <= world.now < 3.5


def test_a_file_that_is_empty_for_a_moment_restarts_nothing(world: _World) -> None:
    watcher = world.watcher()
    (world.folder / "a.py").write_text("")
    world.at(0.01, "a.py", "a")
    watcher.turn()
    assert world.told == []


def test_a_save_during_the_import_is_told(world: _World) -> None:
    world.watcher(since=0)
    assert world.told[-1] == {"changed": [str(world.folder / "a.py")]}


def test_an_engine_that_fails_again_is_replaced_by_polling(world: _World) -> None:
    watcher = world.watcher()
    watcher._engine = _Broken(1)
    watcher.turn()
    watcher.turn()
    assert world.told == []  # a folder was gone, by the next look it is not watched any more
    watcher._engine = _Broken(2)
    watcher.turn()
    watcher.turn()
    assert "no watches left): files are polled" in world.told[0]["warning"]
    assert isinstance(watcher._engine, Polling)


def test_too_large_a_tree_is_told_once(world: _World, monkeypatch: pytest.MonkeyPatch) -> None:
    from greenserve.process.reloading import snapshot as snapshots

    monkeypatch.setattr(snapshots, "tree_of", lambda top, suffix: snapshots.Tree([top], [], False))
    watcher = world.watcher()
    watcher.take({"trees": {}, "files": [], "since": 0, "lenient": False})
    assert [message.keys() for message in world.told] == [{"warning"}]


class TestProcess:
    def _start(self, engine: str, folder: Path) -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE)
        program = f"from {module.__name__} import main; main({theirs.fileno()}, {engine!r})"
        code = f"import sys; sys.path[:] = {sys.path!r}; {program}"
        with theirs:
            process = subprocess.Popen([sys.executable, "-c", code], pass_fds=[theirs.fileno()])
        order = {"trees": {str(folder): ".py"}, "files": [], "since": 1e12, "lenient": False}
        ours.sendall(json.dumps(order).encode() + b"\n")
        return process, ours

    @pytest.mark.parametrize("engine", ["watchfiles", "poll"])
    def test_it_watches_and_ends_with_the_socket(self, tmp_path: Path, engine: str) -> None:
        process, sock = self._start(engine, tmp_path)
        try:
            with sock.makefile("rb") as lines:
                assert json.loads(lines.readline()) == {"watches": engine}
                (tmp_path / "a.py").write_text("")
                assert json.loads(lines.readline()) == {"changing": True}
                assert json.loads(lines.readline()) == {"changed": [str(tmp_path / "a.py")]}
            sock.close()
            assert process.wait(PATIENCE) == 0
        finally:
            sock.close()
            process.kill()
            process.wait()

    def test_signals_to_all_processes_of_a_terminal_are_the_masters(self, tmp_path: Path) -> None:
        import signal

        process, sock = self._start("poll", tmp_path)
        try:
            with sock.makefile("rb") as lines:
                lines.readline()
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    process.send_signal(number)
                (tmp_path / "a.py").write_text("")
                assert json.loads(lines.readline()) == {"changing": True}
        finally:
            sock.close()
            process.kill()
            process.wait()
