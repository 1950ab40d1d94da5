"""files: a log whose file was moved, deleted or truncated, and all logs reopened together."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from greenserve.logs import files as log_file
from greenserve.logs.files import LogFile


class Troubles(list[str]):
    def __call__(self, message: str) -> None:
        self.append(message)


@pytest.fixture
def troubles() -> Troubles:
    return Troubles()


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(log_file, "_monotonic", clock)
    return clock


class TestAFileThatIsNotAtItsPathAnyMore:
    @pytest.mark.parametrize("how", ["moved", "moved, and another one made", "deleted"])
    def test_is_followed_by_the_first_line_after_a_second(
        self, how: str, tmp_path: Path, troubles: Troubles, clock: Clock
    ) -> None:
        path, old = tmp_path / "a.log", tmp_path / "a.log.1"
        log = LogFile(str(path), "stdout", troubles)
        log.write(b"one\n")
        if how == "deleted":
            path.unlink()
        else:
            path.rename(old)
        if "another" in how:
            path.touch()
        clock.now += 0.9
        log.write(b"two\n")
        clock.now += 0.1
        log.write_all([b"three\n", b"four\n"])
        log.write(b"five\n")
        log.close()
        assert path.read_bytes() == b"three\nfour\nfive\n"
        if how != "deleted":
            assert old.read_bytes() == b"one\ntwo\n"  # no line is lost
        assert not troubles

    def test_costs_one_look_a_second(
        self, tmp_path: Path, troubles: Troubles, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = LogFile(str(tmp_path / "a.log"), "stdout", troubles)
        looks: list[float] = []
        monkeypatch.setattr(log, "_look", lambda: looks.append(clock.now) or LogFile._look(log))
        for _ in range(30):
            log.write(b"line\n")
            clock.now += 0.25
        log.close()
        assert looks == [101 + one for one in range(7)]

    def test_is_told_of_once_while_no_other_can_be_opened(
        self, tmp_path: Path, troubles: Troubles, clock: Clock
    ) -> None:
        folder = tmp_path / "logs"
        folder.mkdir()
        log = LogFile(str(folder / "a.log"), "stdout", troubles)
        folder.rename(tmp_path / "moved")
        for _ in range(3):
            clock.now += 1
            log.write(b"one\n")
        assert len(troubles) == 1
        assert "tried again every second" in troubles[0]
        folder.mkdir()
        clock.now += 1
        log.write(b"two\n")
        log.close()
        assert (tmp_path / "moved" / "a.log").read_bytes() == b"one\n" * 3
        assert (folder / "a.log").read_bytes() == b"two\n"
        assert log.lost == 0

    def test_copytruncate_goes_on_at_the_new_beginning(
        self, tmp_path: Path, troubles: Troubles, clock: Clock
    ) -> None:
        path = tmp_path / "a.log"
        log = LogFile(str(path), "stdout", troubles)
        log.write(b"one\n")
        os.truncate(path, 0)
        clock.now += 1
        log.write(b"two\n")
        log.close()
        assert path.read_bytes() == b"two\n"


def test_all_open_logs_are_reopened_together(tmp_path: Path, troubles: Troubles, clock: Clock) -> None:
    logs = [LogFile(str(tmp_path / name), "stdout", troubles) for name in ("a", "b", "closed")]
    logs[2].close()
    for name in ("a", "b", "closed"):
        (tmp_path / name).rename(tmp_path / f"{name}.1")
    log_file.reopen_all()
    for log in logs:
        log.write(b"line\n")
        log.close()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == b"line\n"
    assert not (tmp_path / "closed").exists()
