"""watching: what the master makes of what the watcher tells, with no process but one that ends at once."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenserve.config import Config
from greenserve.errors import ConfigError
from greenserve.process.reloading.watching import Watching
from greenserve_hub.unpatched import socket


class _Hub:
    def __init__(self) -> None:
        self.later: list[tuple[float, Callable[[], object]]] = []

    def call_after(self, seconds: float, call: Callable[..., object], *arguments: object) -> None:
        self.later.append((seconds, lambda: call(*arguments)))


class _Line:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.sent: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def close(self) -> None:
        self._sock.close()


class _Master:
    """What stands around it."""

    def __init__(self, preloaded: bool = False, **settings: Any) -> None:
        self.hub = _Hub()
        self.lines: list[_Line] = []
        self.done: list[str] = []
        self.watching = Watching(
            self.hub,  # type: ignore[arg-type]
            Config(**{"reload": True, "reload_engine": "poll"} | settings),
            preloaded,
            self._connect,
            self,
            lambda call: call(),
        )

    def _connect(
        self,
        sock: socket.socket,
        heard: Callable[[dict[str, Any], list[int]], object],
        ended: Callable[[], object],
    ) -> _Line:
        self.heard, self.ended = lambda message: heard(message, []), ended
        self.lines.append(_Line(sock))
        return self.lines[-1]

    def suspend(self) -> None:
        self.done.append("suspend")

    def resume(self) -> None:
        self.done.append("resume")


@pytest.fixture
def master(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[_Master]:
    caplog.set_level(logging.INFO, "greenserve.error")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "templates").mkdir()
    made = _Master(reload_extra_files=("templates", "data.toml"))
    made.watching.start()
    yield made
    made.watching.close()
    for line in made.lines:
        line.close()


def test_it_is_told_of_the_working_folder_and_of_the_settings(master: _Master, tmp_path: Path) -> None:
    (order,) = master.lines[0].sent
    assert order["trees"] == {str(tmp_path): ".py", str(tmp_path / "templates"): ""}
    assert order["files"] == [str(tmp_path / "data.toml")]


def test_workers_are_suspended_at_once_and_start_when_it_is_quiet(
    master: _Master, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    master.heard({"changing": True})
    assert master.done == ["suspend"]
    master.heard({"changed": [str(tmp_path / f"{name}.py") for name in "abcde"]})
    assert master.done == ["suspend", "resume"]
    assert "reloading: a.py, b.py, c.py and 2 more have changed" in caplog.text


def test_how_long_it_took_is_logged(master: _Master, caplog: pytest.LogCaptureFixture) -> None:
    master.watching.are_ready()  # the start
    assert "reloaded" not in caplog.text
    master.heard({"changing": True})
    master.heard({"changed": []})
    master.watching.are_ready()
    assert re.search(r"reloading: files were written\n.*reloaded in 0\.\d\d s", caplog.text)
    caplog.clear()
    master.watching.loaded({"trees": [], "files": [], "since": 5.0, "lenient": True})
    master.heard({"changing": True})
    master.watching.are_ready()
    assert "reloaded" not in caplog.text


def test_what_python_has_compiled_of_a_changed_file_is_forgotten(master: _Master, tmp_path: Path) -> None:
    import py_compile

    (tmp_path / "a.py").write_text("")
    compiled = Path(py_compile.compile(str(tmp_path / "a.py")))
    master.heard({"changed": [str(tmp_path / "a.py"), str(tmp_path / "none.py"), str(tmp_path / "x.html")]})
    assert not compiled.exists()


def test_a_worker_adds_to_what_is_watched_also_by_the_next_watcher(master: _Master, tmp_path: Path) -> None:
    news = {
        "trees": ["/other", str(tmp_path / "templates")],
        "files": ["/x.py"],
        "since": 5.0,
        "lenient": True,
    }
    master.watching.loaded(news)
    sent = master.lines[0].sent[-1]
    assert sent["trees"] == {"/other": ".py"}  # and all files of the other one, as before
    assert (sent["files"], sent["since"], sent["lenient"]) == (["/x.py"], 5.0, True)
    master.ended()
    master.hub.later[0][1]()
    (order,) = master.lines[1].sent
    assert order["files"] == [str(tmp_path / "data.toml"), "/x.py"]
    assert order["trees"] == {str(tmp_path): ".py", str(tmp_path / "templates"): "", "/other": ".py"}
    assert order["lenient"]


def test_one_that_ends_starts_again_ever_later(master: _Master, caplog: pytest.LogCaptureFixture) -> None:
    master.heard({"changing": True})
    for number in range(7):
        master.ended()
        master.hub.later[number][1]()
    assert [seconds for seconds, _ in master.hub.later] == [1, 2, 4, 8, 16, 30, 30]
    assert master.done == ["suspend", "resume"]  # or no worker would ever start
    assert "the process that watches files has ended (-9); it starts again in 1 s" in caplog.text


def test_nothing_starts_after_the_end(master: _Master) -> None:
    master.ended()
    master.watching.close()
    master.watching.close()
    master.hub.later[0][1]()
    master.heard({"changing": True})
    assert len(master.lines) == 1
    assert master.done == []


def test_before_another_program_is_executed_it_ends_and_if_there_is_none_it_starts_again(
    master: _Master,
) -> None:
    master.watching.restart()
    master.ended()
    assert len(master.hub.later) == 1
    master.hub.later[0][1]()
    assert len(master.lines) == 2


def test_without_the_setting_there_is_nothing() -> None:
    master = _Master(reload=False, preload=True)
    master.watching.start()
    master.watching.restart()
    master.watching.close()
    assert (master.lines, master.hub.later) == ([], [])


@pytest.mark.parametrize(("preloaded", "settings"), [(True, {}), (False, {"preload": True})])
def test_an_app_that_workers_do_not_import(preloaded: bool, settings: dict[str, bool]) -> None:
    with pytest.raises(ConfigError, match="leave preload out"):
        _Master(preloaded, **settings)


def test_the_rest_is_logged(master: _Master, caplog: pytest.LogCaptureFixture) -> None:
    master.heard({"watches": "poll"})
    master.heard({"warning": "something"})
    master.heard({"failed": "reload_engine = watchfiles: no"})
    assert "files are watched (poll)" in caplog.text
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING", "ERROR"]


def test_only_an_address_for_others_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    for bind, warns in (("127.0.0.1:0", False), ("unix:/x", False), ("[::1]:0", False), ("0.0.0.0:80", True)):
        caplog.clear()
        master = _Master(bind=bind)
        master.watching.start()
        master.watching.close()
        assert ("development only" in caplog.text) == warns


def test_a_frozen_program_has_no_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(ConfigError, match="no Python beside it"):
        _Master().watching.start()


def test_a_python_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ConfigError, match="/nowhere/python can't be started"):
        _Master().watching.start()
