"""paste: `use = egg:greenserve`, as PasteDeploy finds it and as a real pserve runs it."""

from __future__ import annotations

import re
import signal
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from paste.deploy import loadwsgi
from tests.support.clients.raw import ask, request
from tests.support.programs.commands import command, run_python

from greenserve import paste

_INI = """
[app:main]
use = call:gs_paste_app:make

[server:main]
use = egg:greenserve
bind = 127.0.0.1:0
"""
# The app waits for the other request with threading's own Barrier: only green ones can meet.
_APP = """
import threading
both = threading.Barrier(2)

def make(global_conf):
    def app(environ, start_response):
        both.wait(30)
        start_response("200 OK", [])
        return [b"x"]
    return app
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "gs_paste_app.py").write_text(_APP)
    (tmp_path / "site.ini").write_text(_INI)
    return tmp_path


@pytest.mark.parametrize("protocol", ["paste.server_factory", "paste.server_runner"])
def test_pastedeploy_finds_both_entry_points(protocol: str) -> None:
    found = loadwsgi.loadcontext(loadwsgi.SERVER, "egg:greenserve")
    assert (
        found.object is paste.server_factory
    )  # the first of the two, which is called before the app is imported
    entries = [one for one in entry_points(group=protocol) if one.value.startswith("greenserve.paste:")]
    assert [one.load() for one in entries] == [getattr(paste, protocol.partition(".")[2])]
    assert [one.name for one in entries] == ["main"]


def test_pserve_serves_with_blocking_calls_made_green(folder: Path) -> None:
    with command("-m", "pyramid.scripts.pserve", "site.ini", folder=folder) as program:
        address = program.listens()
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda _: ask(address, request()), range(2)))
        assert [answer.body for answer in answers] == [b"x", b"x"]
        program.signal(signal.SIGTERM)
        assert program.ended() == 0
    assert "Traceback" not in program.text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("poool = 1", r"unknown setting poool \(keyword\); did you mean pool\?"),
        (
            "threads = 4",
            r"unknown setting threads \(keyword\): requests run on green threads: pool sets how many",
        ),
        (
            "monkey_patch = perhaps",
            r"monkey_patch = 'perhaps' \(keyword monkey_patch\): neither true nor false",
        ),
    ],
)
def test_a_setting_with_a_fault_is_one_line(folder: Path, line: str, said: str) -> None:
    (folder / "site.ini").write_text(_INI + line)
    done = run_python("-m", "pyramid.scripts.pserve", "site.ini", folder=folder)
    assert re.search(rf"^greenserve: {said}", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr


def test_it_patches_unless_told_otherwise(tmp_path: Path) -> None:
    code = """
import greenserve.paste, sys
greenserve.paste.server_factory({}, **dict(one.split("=") for one in sys.argv[1:]))
print(greenserve.is_monkey_patched("thread"))
"""
    assert run_python("-c", code).stdout == "True\n"
    assert run_python("-c", code, "monkey_patch=no").stdout == "False\n"
    assert run_python("-c", code, GREENSERVE_MONKEY_PATCH="no").stdout == "False\n"
