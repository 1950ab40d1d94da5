"""`greenserve flaskapp:app --pool 1000`: a thousand requests at a time, and the app knows nothing of green threads."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.programs.commands import command
from tests.support.servers.apps import Environ, Start
from tests.support.servers.running import serving
from tests.support.times import MS, PATIENCE

from greenserve_hub.sync.events import Event


def at_once() -> int:
    """How many requests: select() stops at descriptor 1023, of which each has two."""
    return 300 if os.environ.get("GREENSERVE_HUB") == "select" else 1000


APP = f"""
import time

import requests
from flask import Flask, request

app = Flask(__name__)


@app.get("/sleep")
def sleep():
    time.sleep({1000 * MS})
    return "slept"


@app.get("/ask")
def ask():
    return requests.get(request.args["upstream"], timeout={PATIENCE}).text
"""


@pytest.fixture(autouse=True)
def _descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Of this process: clients, and the upstream's side of the app's calls.
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3 * at_once()), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def address(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """The command's, with APP in its folder."""
    (tmp_path / "flaskapp.py").write_text(APP)
    arguments = ["-m", "greenserve", "flaskapp:app", "--pool", str(at_once()), "--bind", "127.0.0.1:0"]
    arguments += [
        "--head-timeout",
        f"{PATIENCE}s",
    ]  # on a busy machine the last of a thousand clients comes late
    with command(*arguments, folder=tmp_path) as running:
        host, port = running.until(r"http://([\d.]+):(\d+)").groups()
        yield host, int(port)


def a_thousand_at_once(address: tuple[str, int], path: str) -> list[tuple[int, bytes]]:
    """Ask on a thousand connections, and only then read the answers."""
    with ExitStack() as stack:
        clients = [stack.enter_context(RawClient(address)) for _ in range(at_once())]
        for client in clients:
            client.send(request(path))
        answers = [client.answer() for client in clients]
    return [(answer.status, answer.body) for answer in answers]


def test_a_thousand_sleep_at_once(address):
    begun = time.monotonic()
    assert a_thousand_at_once(address, "/sleep") == [(200, b"slept")] * at_once()
    assert time.monotonic() - begun < PATIENCE, "a thousand seconds, one after another"


def test_a_thousand_ask_a_slow_upstream_at_once(address):
    everybody = Event()
    asking = []

    def upstream(environ: Environ, start_response: Start) -> Iterable[bytes]:
        """Answers nobody before all thousand have asked."""
        asking.append(environ["REMOTE_PORT"])
        if len(asking) == at_once():
            everybody.send(True)
        everybody.wait()
        start_response("200 OK", [("Content-Length", "8")])
        return [b"answered"]

    with serving(upstream, pool=at_once(), head_timeout=PATIENCE) as slow:
        assert a_thousand_at_once(address, f"/ask?upstream={slow.url}") == [(200, b"answered")] * at_once()
