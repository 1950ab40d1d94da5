"""Nothing is printed at a command's end but what it says itself."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from tests.support.programs.commands import command

APP = "import flask, logging\nhandler = logging.StreamHandler()\napp = flask.Flask(__name__)\n"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("exit_app:appp",), 3, "greenserve: exit_app has no appp"),
        (("exit_app:app", "--bind", "BUSY"), 4, "greenserve: cannot listen at"),
        (("exit_app:app", "--check-config"), 0, ""),  # says so on stdout
    ],
    ids=["misspelled", "port in use", "checked"],
)
def test_the_command_says_nothing_more(tmp_path: Path, arguments: tuple[str, ...], code: int, text: str):
    (tmp_path / "exit_app.py").write_text(APP)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        address = f"127.0.0.1:{busy.getsockname()[1]}"
        arguments = tuple(address if one == "BUSY" else one for one in arguments)
        with command("-m", "greenserve", *arguments, folder=tmp_path) as running:
            assert running.ended() == code, running.text
    assert running.text.startswith(text)
    assert running.text.count("\n") == bool(text), running.text
