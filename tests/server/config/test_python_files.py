"""config.python_files: who names gunicorn's configuration is told what of it there is here."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenserve.config import load_config
from greenserve.errors import ConfigError

_GUNICORN = """
import multiprocessing

bind = ["0.0.0.0:8000"]
backlog: int = 100
workers = multiprocessing.cpu_count() * 2 + 1
worker_connections = 1000
timeout = 30
mine = 3

def post_fork(server, worker):
    raise RuntimeError("nothing of it may run")
"""


def _line(folder: Path, name: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(file=name, folder=folder, environ={})
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_each_of_its_names_is_explained(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(_GUNICORN)
    line = _line(tmp_path, "gunicorn.conf.py")
    assert line.startswith(
        "--config gunicorn.conf.py: this is Python, and greenserve reads TOML: write a greenserve.toml;"
    )
    assert "the same names: bind, backlog, workers;" in line
    assert "worker_connections: named pool here;" in line
    assert "timeout: request_timeout ends" in line
    assert "post_fork: there are no hooks" in line
    assert "mine" not in line


@pytest.mark.parametrize("content", [b"", b"bind = (", b"\0", b"\xff"])
def test_one_that_cannot_be_read_is_refused_too(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "g.py").write_bytes(content)
    assert _line(tmp_path, "g.py") == (
        "--config g.py: this is Python, and greenserve reads TOML: write a greenserve.toml"
    )


@pytest.mark.parametrize("name", ["none.py", "file:gunicorn.conf", "python:settings"])
def test_it_need_not_be_there(tmp_path: Path, name: str) -> None:
    assert "greenserve reads TOML" in _line(tmp_path, name)
