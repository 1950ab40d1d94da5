"""The table of libraries.md: each row is shown by a test that there is, and those without another one by this one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.docs import library_calls
from tests.docs.blocks import DOCS, ROOT
from tests.support.programs.commands import run_python
from tests.support.servers.running import serving

import greenserve

pytestmark = [pytest.mark.repository, pytest.mark.no_hub]


class Meeting:
    """Lets nobody go on before all have come."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._come = 0
        self._all = greenserve.Event()

    def wait(self) -> None:
        self._come += 1
        if self._come == self._size:
            self._all.send()
        self._all.wait()


def test_the_table_is_true(tmp_path: Path) -> None:
    requests, sockets = Meeting(library_calls.CALLS), Meeting(library_calls.CALLS)

    @greenserve.WebSocketWSGI
    def echo(ws: greenserve.WebSocket) -> None:
        message = ws.wait()
        sockets.wait()
        ws.send(message)

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/ws":
            return echo(environ, start_response)
        requests.wait()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"][1:].encode()]

    with serving(app) as server:
        done = run_python("-m", "greenserve.patched", library_calls.__file__, server.url, folder=tmp_path)
    assert done.stdout == "ok\n", done.stderr


def test_each_row_names_a_test_that_there_is() -> None:
    rows = re.findall(r"^\|.*\| `(\S+\.py)` \|$", (DOCS / "libraries.md").read_text(), re.MULTILINE)
    assert len(rows) > 10
    there = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert set(rows) <= there
