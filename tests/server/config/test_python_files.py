"""config.python_files: settings and hooks of a Python file, and what is said of one that has a fault."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenserve.config import Loaded, load_config
from greenserve.config.values.registry import Given
from greenserve.errors import ConfigError

Load = Any


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Write greenserve_conf.py, and load the configuration of its folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write_and_load(content: str | bytes, **options: Any) -> Loaded:
        name = options.get("file", "greenserve_conf.py").removeprefix("file:")
        Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
        options.setdefault("environ", {})
        return load_config(**options)

    yield write_and_load
    sys.modules.pop("greenserve_conf", None)


def line_of(load: Load, content: str | bytes, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(content, **options)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_its_names_are_settings_with_file_and_line(load: Load) -> None:
    loaded = load('import os\ncores = 4\npool = cores * 100\nbind = [":80", ":81"]\napp = "myapp:app"\n')
    assert (loaded.config.pool, loaded.config.bind) == (400, ("0.0.0.0:80", "0.0.0.0:81"))
    assert loaded.origins["pool"] == "greenserve_conf.py:3: pool"
    assert loaded.app == Given("myapp:app", "greenserve_conf.py:5: app")
    assert loaded.python_file == Path("greenserve_conf.py")


def test_flags_and_variables_beat_it_and_it_beats_toml(load: Load) -> None:
    Path("greenserve.toml").write_text("pool = 1\nbacklog = 1\nkeep_alive = 1\nhead_timeout = 1\n")
    loaded = load(
        "pool = 2\nbacklog = 2\nkeep_alive = 2\n",
        flags={"pool": Given("4", "flag --pool")},
        environ={"GREENSERVE_POOL": "3", "GREENSERVE_BACKLOG": "3"},
    )
    config = loaded.config
    assert (config.pool, config.backlog, config.keep_alive, config.head_timeout) == (4, 3, 2.0, 1.0)


@pytest.mark.parametrize("name", ["other.py", "file:other"])
def test_one_that_is_named_takes_its_place(load: Load, name: str) -> None:
    Path("greenserve_conf.py").write_text("1/0")
    Path("greenserve.toml").write_text("backlog = 7\n")
    loaded = load("pool = 5\n", file=name)
    assert (loaded.config.pool, loaded.config.backlog) == (5, 7)


def test_a_toml_that_is_named_leaves_it(load: Load) -> None:
    Path("other.toml").write_text("backlog = 7\n")
    Path("greenserve_conf.py").write_text("pool = 5\n")
    config = load("backlog = 7\n", file="other.toml").config
    assert (config.pool, config.backlog) == (5, 7)


def test_what_it_may_have_besides(load: Load) -> None:
    loaded = load(
        """
import os
from os.path import join, exists as there
from logging import Logger
_x = 1
port = 8000  # read below, as in many files of gunicorn's
bind = f"127.0.0.1:{port}"
for name in ("a", "b"):
    pass
class MyLogger(Logger):
    kind = "a"
def a_function():
    local = 1
with open(os.devnull) as file:
    pass
"""
    )
    assert loaded.config.bind == ("127.0.0.1:8000",)


def test_it_may_take_settings_and_hooks_of_a_module_beside_it(load: Load) -> None:
    Path("gs_shared_conf.py").write_text("pool = 9\nunread = 1\ndef post_fork(server, worker): pass\n")
    try:
        loaded = load("from gs_shared_conf import *\nfrom gs_shared_conf import post_fork\n")
    finally:
        sys.modules.pop("gs_shared_conf", None)
    assert loaded.config.pool == 9
    assert loaded.origins["pool"] == "greenserve_conf.py: pool"
    assert [(hook.name, hook.origin) for hook in loaded.hooks] == [("post_fork", "greenserve_conf.py:2")]


_FAULTS: list[tuple[str | bytes, str]] = [
    ("_x = 1\npool = 'many'\n", "pool = 'many' (greenserve_conf.py:2: pool): not a whole number; allowed:"),
    ("if True:\n    pool = 0\n", "pool = 0 (greenserve_conf.py:2: pool): too small"),
    ("\npoool = 1\n", "unknown setting poool (greenserve_conf.py:2); did you mean pool?"),
    ("nonsense = 1\n", "unknown setting nonsense (greenserve_conf.py:1); greenserve --help lists all"),
    ("keepalive = 2\n", "unknown setting keepalive (greenserve_conf.py:1): keep_alive sets the time"),
    ("worker_connections = 2\n", "unknown setting worker_connections (greenserve_conf.py:1); named pool here"),
    ("a = worker_connections = 2\npool = worker_connections\n", "unknown setting"),
    ("a, b = 1, 2\npool = a\n", "unknown setting b (greenserve_conf.py:1)"),
    ("app = 7\n", "app = 7 (greenserve_conf.py:1: app): not a line of text"),
    ("def post_frok(a, b): pass\n", "unknown hook post_frok (greenserve_conf.py:1): did you mean post_fork?"),
    ("def pre_exec(server): pass\n", "unknown hook pre_exec (greenserve_conf.py:1): "),
    ("\n1/0\n", "greenserve_conf.py:2: ZeroDivisionError: division by zero"),
    ("def f():\n    raise OSError('no\\nfile')\n\nf()\n", "greenserve_conf.py:2: OSError: no file"),
    ("import sys\nsys.exit(3)\n", "greenserve_conf.py:2: SystemExit: 3"),
    ("import gs_nothing\n", "greenserve_conf.py:1: ModuleNotFoundError: No module named 'gs_nothing'"),
    ("x = 1\nbind = (\n", "greenserve_conf.py:2: '(' was never closed"),
    ("\0", "greenserve_conf.py"),
    (b"\xff", "greenserve_conf.py"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "line"), _FAULTS, ids=[line for _, line in _FAULTS])
def test_a_fault_is_one_line_with_its_place(load: Load, content: str | bytes, line: str) -> None:
    assert line_of(load, content).startswith(line)


def test_an_error_of_its_own_has_its_traceback_without_our_frames(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load("def f():\n    1/0\nf()\n")
    details = caught.value.details
    assert details.startswith("Traceback (most recent call last):\n")
    assert details.count("  File ") == details.count("greenserve_conf.py") == 2
    with pytest.raises(ConfigError) as caught:
        load("bind = (\n")
    assert "SyntaxError" in caught.value.details


def test_ctrl_c_stays_what_it_is(load: Load) -> None:
    with pytest.raises(KeyboardInterrupt):
        load("raise KeyboardInterrupt\n")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("none.py", "--config none.py: no such file"),
        ("file:none", "--config file:none: no such file"),
        ("python:settings", "--config python:settings: give the path of the module's file"),
    ],
)
def test_one_that_is_not_there(tmp_path: Path, name: str, line: str) -> None:
    with pytest.raises(ConfigError, match=f"^{line}$"):
        load_config(file=name, folder=tmp_path, environ={})


class TestBeforeItRuns:
    """The process is patched before the file is run, by settings that must be known by then."""

    @staticmethod
    def calls(load: Load, content: str, **options: Any) -> list[tuple[bool, str]]:
        noted: list[tuple[bool, str]] = []

        def note(monkey_patch: bool, hub: str) -> None:
            assert "gs_has_run" not in sys.modules
            noted.append((monkey_patch, hub))

        try:
            load(f"import sys\nsys.modules['gs_has_run'] = sys\n{content}", before_python=note, **options)
            assert "gs_has_run" in sys.modules
        finally:
            sys.modules.pop("gs_has_run", None)
        return noted

    def test_it_is_told_of_the_defaults(self, load: Load) -> None:
        assert self.calls(load, "") == [(True, "auto")]

    def test_the_files_own_are_read_from_its_text(self, load: Load) -> None:
        assert self.calls(load, "hub = 'poll'\nmonkey_patch = False\n") == [(False, "poll")]

    def test_stronger_and_weaker_sources_count_too(self, load: Load) -> None:
        Path("greenserve.toml").write_text("monkey_patch = false\nhub = 'select'\n")
        given = {"hub": Given("epoll", "flag --hub")}
        assert self.calls(load, "hub = 'poll'\n", flags=given) == [(False, "epoll")]

    @pytest.mark.parametrize(
        "content", ["x = 'poll'\nhub = x", "if True:\n    hub = 'poll'", "hub = 'poll'\nhub += ''"]
    )
    def test_one_that_is_computed_is_refused(self, load: Load, content: str) -> None:
        if content.endswith("''"):  # the same value in the end
            assert self.calls(load, content) == [(True, "poll")]
            return
        line = line_of(load, content)
        assert line.startswith(
            "greenserve_conf.py:2: hub must be set once, at the top level, to a plain value"
        )
