"""error_formats: text, colours, the journal's priorities, json."""

from __future__ import annotations

import json
import logging
import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from greenserve.logs.error_formats import format_json, priority_of, text_format, wants_colours
from greenserve.logs.error_log import open_error_log


def record(level: int, message: str = "one\ntwo", **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("greenserve.error", level, __file__, 1, message, (), None)
    vars(made).update(extra)
    return made


def failed() -> logging.LogRecord:
    try:
        raise ValueError("no\nforged")
    except ValueError:
        return record(logging.ERROR, "failed\x1b[2J", exc_info=sys.exc_info())


def test_text_has_an_id_behind_the_level_if_there_is_one() -> None:
    assert text_format()(record(logging.INFO)).endswith("] info: one\n    two")
    assert text_format()(record(logging.INFO, request_id="a1")).endswith("] info [a1]: one\n    two")


def test_the_journal_gets_a_priority_for_each_line() -> None:
    lines = text_format(priorities=True)(record(logging.WARNING)).split("\n")
    assert lines[0].startswith("<4>2")
    assert lines[1] == "<4>    two"


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.DEBUG, 7), (logging.INFO, 6), (logging.WARNING, 4), (logging.ERROR, 3), (logging.CRITICAL, 2)],
)
def test_priorities_are_those_of_syslog(level: int, priority: int) -> None:
    assert priority_of(level) == priority


def test_the_level_is_coloured_and_nothing_else() -> None:
    write = text_format(colours=True)
    assert write(record(logging.WARNING, "x")).endswith(" \x1b[33mwarning\x1b[0m: x")
    assert write(failed()).count("\x1b") == 2
    assert "\x1b" not in write(record(logging.INFO))


def test_json_is_one_line_whatever_is_in_it() -> None:
    text = format_json(failed())
    assert text.isascii()
    assert text.isprintable()
    told = json.loads(text)
    assert told["message"] == "failed\x1b[2J"
    assert told["traceback"].startswith("Traceback (most recent call last)")
    assert told["traceback"].endswith("ValueError: no\nforged")
    assert (told["level"], told["pid"]) == ("error", os.getpid())
    assert datetime.fromisoformat(told["time"]).tzinfo is not None
    assert json.loads(format_json(record(logging.INFO, "a", args=(1,))))["message"] == "'a' (1,)"
    assert set(json.loads(format_json(record(logging.INFO)))) == {"time", "level", "pid", "message"}


@pytest.mark.parametrize(
    ("setting", "is_terminal", "environ", "wanted"),
    [
        ("auto", True, {}, True),
        ("auto", False, {}, False),
        ("auto", True, {"TERM": "dumb"}, False),
        ("auto", True, {"NO_COLOR": "1"}, False),
        ("auto", True, {"NO_COLOR": ""}, True),
        ("auto", False, {"FORCE_COLOR": "1"}, True),
        ("auto", True, {"FORCE_COLOR": "0"}, False),
        ("auto", False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ("always", False, {"NO_COLOR": "1"}, True),
        ("never", True, {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colours(setting: str, is_terminal: bool, environ: Mapping[str, str], wanted: bool) -> None:
    assert wants_colours(setting, is_terminal, environ) is wanted


_PROGRAM = """
from greenserve.logs.error_log import error_log, open_error_log
with open_error_log("-", "info"):
    error_log.warning("hello")
"""


def _stderr_of(stderr: int, **environ: str) -> None:
    env = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    env |= {"PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm", **environ}
    subprocess.run([sys.executable, "-c", _PROGRAM], stderr=stderr, env=env, check=True)


def test_a_terminal_gets_colours() -> None:
    reading, writing = pty.openpty()
    _stderr_of(writing)
    assert b"\x1b[33mwarning\x1b[0m: hello" in os.read(reading, 1000)
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize(("is_its", "begins"), [(True, b"<4>2"), (False, b"2")])
def test_a_stderr_that_is_the_journals_gets_priorities(is_its: bool, begins: bytes) -> None:
    reading, writing = os.pipe()
    seen = os.fstat(writing)
    _stderr_of(writing, JOURNAL_STREAM=f"{seen.st_dev}:{seen.st_ino + (not is_its)}")
    assert os.read(reading, 1000).startswith(begins)
    os.close(reading)
    os.close(writing)


def test_a_file_never_has_colours_by_itself(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with open_error_log(str(tmp_path / "e.log"), "info"):
        logging.getLogger("greenserve.error").error("x")
    assert "\x1b" not in (tmp_path / "e.log").read_text()
