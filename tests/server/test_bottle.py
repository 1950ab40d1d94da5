"""bottle: bottle.run() and Bottle's command line, with greenserve as their server."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from tests.support.clients.raw import ask, request
from tests.support.programs.commands import command

_APP = """
import greenserve.bottle
greenserve.monkey_patch()
import bottle

app = bottle.Bottle()

@app.get("/")
def hello():
    return bottle.request.environ["SERVER_SOFTWARE"]

@app.post("/")
def echo():
    return bottle.request.forms.said

if __name__ == "__main__":
    bottle.run(app, server={server!r}, host="127.0.0.1", port=0, pool=8, quiet=True)
"""


@pytest.mark.parametrize("server", ["greenserve", "greenserve.bottle:Server"])
def test_run(tmp_path: Path, server: str) -> None:
    (tmp_path / "web.py").write_text(_APP.format(server=server))
    with command("web.py", folder=tmp_path) as program:
        address = program.listens()
        assert ask(address, request()).body.startswith(b"greenserve/")
        fields = "Content-Type: application/x-www-form-urlencoded"
        assert ask(address, request("/", "POST", b"said=hello", fields)).body == b"hello"
        program.signal(signal.SIGTERM)
        assert program.ended() == 0


def test_its_command_line(tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(_APP.format(server="none"))
    words = ("--server", "greenserve.bottle:Server", "--bind", "127.0.0.1:0", "web:app")
    with command("-m", "bottle", *words, folder=tmp_path) as program:
        assert ask(program.listens(), request()).body.startswith(b"greenserve/")


def test_an_option_that_is_no_setting(tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(_APP.format(server="greenserve").replace("pool=8", "poool=8"))
    with command("web.py", folder=tmp_path) as program:
        assert program.ended() == 1
    assert program.said[-1].endswith("unknown setting poool (keyword); did you mean pool?\n")
