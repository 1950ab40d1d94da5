"""apps/sentry_conf: an error of the last request reaches Sentry before the worker ends."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from tests.support.clients.raw import ask, request
from tests.support.programs.commands import ROOT, command
from tests.support.servers.sentry import sink

_APP = """
import flask
app = flask.Flask(__name__)

@app.get("/fail")
def fail():
    raise LookupError("the last one")
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_the_last_error_is_not_lost(workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "web.py").write_text(_APP)
    with sink() as (dsn, items):
        monkeypatch.setenv("SENTRY_DSN", dsn)
        flags = ("-c", str(ROOT / "apps/sentry_conf.py"), "-w", str(workers), "-b", "127.0.0.1:0", "web:app")
        with command("-m", "greenserve", *flags, folder=tmp_path) as program:
            address = program.listens()
            program.until("runs as process")
            assert ask(address, request("/fail")).status == 500
            program.signal(signal.SIGTERM)
            assert program.ended() == 0
    (event,) = (item for header, item in items if header["type"] == "event")
    assert event["exception"]["values"][-1]["value"] == "the last one"
    worker = event["server_name"].removeprefix("worker ")
    assert (int(worker) == program.process.pid) is (workers == 1)
