"""engines: each says that it is time to look, whatever happens in the folders."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.times import PATIENCE

from greenserve.process.reloading.engines import Events, Polling, open_engine
from greenserve.process.reloading.marks import tree_of


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class TestPolling:
    def test_it_looks_more_seldom_when_a_look_costs_more(self) -> None:
        slept: list[float] = []
        engine = Polling(slept.append)
        assert engine.wait(frozenset(), 0.001)
        assert engine.wait(frozenset(), 0.1)
        assert slept == [0.4, pytest.approx(2.0)]


class TestEvents:
    def _make(self, *events: set[tuple[int, str]]) -> tuple[Events, _Clock, list[Any]]:
        asked: list[Any] = []

        def watch(*folders: str, **options: Any) -> Iterator[set[tuple[Any, str]]]:
            asked.append((folders, options["recursive"]))
            yield from events

        clock = _Clock()
        return Events(watch, clock), clock, asked

    def test_a_new_watch_is_followed_by_a_look(self) -> None:
        engine, _, asked = self._make(set(), set(), {(1, "/b/x")})
        assert engine.wait(frozenset({"/b", "/a"}), 0.0)
        assert not engine.wait(frozenset({"/b", "/a"}), 0.0)
        assert engine.wait(frozenset({"/b", "/a"}), 0.0)
        assert asked == [(("/a", "/b"), False)]
        assert engine.wait(frozenset({"/a"}), 0.0)
        assert asked[1:] == [(("/a",), False)]

    def test_without_an_event_it_looks_every_few_seconds(self) -> None:
        engine, clock, _ = self._make(*[set()] * 9)
        engine.wait(frozenset({"/a"}), 0.0)
        clock.now += 2.9
        assert not engine.wait(frozenset({"/a"}), 0.0)
        clock.now += 0.2
        assert engine.wait(frozenset({"/a"}), 0.5)
        clock.now += 9.9
        assert not engine.wait(frozenset({"/a"}), 0.5)

    @pytest.mark.parametrize(
        "change",
        [
            lambda folder: (folder / "a.py").write_text("in place"),
            lambda folder: os.replace(folder / "b.py", folder / "a.py"),
            lambda folder: (folder / "a.py").unlink(),
            lambda folder: (folder / "deep" / "c.py").write_text(""),
            lambda folder: shutil.move(folder / "deep", folder / "other"),
            lambda folder: shutil.move(folder / "deep", folder.parent / f"{folder.name}-out"),
        ],
        ids=["in place", "rename over", "delete", "below", "package renamed", "package moved out"],
    )
    def test_the_real_one_sees_it(self, tmp_path: Path, change: Callable[[Path], object]) -> None:
        for name in ("a.py", "b.py"):
            (tmp_path / name).write_text("")
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / "d.py").write_text("")
        engine = open_engine("watchfiles", lambda: 0.0, time.sleep)
        folders = frozenset(tree_of(str(tmp_path), ".py").folders)
        engine.wait(folders, 0.0)
        while engine.wait(folders, 0.0):  # what the test itself has made just before
            pass
        change(tmp_path)
        until = time.monotonic() + PATIENCE
        while not engine.wait(folders, 0.0):
            assert time.monotonic() < until

    def test_logs_and_databases_wake_nobody(self, tmp_path: Path) -> None:
        engine = open_engine("watchfiles", lambda: 0.0, time.sleep)
        folders = frozenset({str(tmp_path)})
        while engine.wait(folders, 0.0):
            pass
        for name in ("app.log", "db.sqlite3-wal", "a.pyc", ".a.py.swp"):
            (tmp_path / name).write_text("")
        assert not any(engine.wait(folders, 0.0) for _ in range(2))


class TestChoice:
    def test_auto_polls_without_watchfiles(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert open_engine("auto", time.monotonic, time.sleep).name == "watchfiles"
        monkeypatch.setitem(sys.modules, "watchfiles", None)
        assert open_engine("auto", time.monotonic, time.sleep).name == "poll"
        with pytest.raises(ImportError):
            open_engine("watchfiles", time.monotonic, time.sleep)

    def test_poll_is_poll(self) -> None:
        assert open_engine("poll", time.monotonic, time.sleep).name == "poll"
