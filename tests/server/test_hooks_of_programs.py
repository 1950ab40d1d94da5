"""Hooks that a program gives to serve(), run() and wsgi_server() as keywords."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.raw import RawClient, ask, request
from tests.support.programs.commands import command, run_python
from tests.support.servers.apps import path
from tests.support.servers.running import open_files, own_hub

import greenserve
from greenserve import ConfigError, serve, spawn, wsgi_server
from greenserve.config.hooks import HOOKS
from greenserve_hub.greenio.serving import listen

_ORDER = ["on_starting", "post_fork", "when_ready", "pre_request", "post_request", "worker_exit"]


def _noting(calls: list[str]) -> dict[str, Callable[..., None]]:
    """All hooks, each of which notes that it was called."""

    def one(name: str) -> Callable[..., None]:
        def hook(*arguments: Any) -> None:
            calls.append(name)
            assert len(arguments) == len(HOOKS[name])
            assert arguments[0].config.pool == 7

        return hook

    return {name: one(name) for name in HOOKS}


def test_serve_calls_all() -> None:
    calls: list[str] = []
    with serve(path, pool=7, **_noting(calls)) as server:
        assert calls == _ORDER[:3]
        assert ask(server.address, request("/a")).body == b"/a"
    assert calls == _ORDER


def test_a_hook_of_serve_runs_where_the_server_does() -> None:
    threads: list[threading.Thread] = []
    names = ("on_starting", "post_fork", "when_ready", "worker_exit")
    hooks: dict[str, Any] = {name: lambda *_: threads.append(threading.current_thread()) for name in names}
    serve(path, **hooks).stop()
    first, *others = threads
    assert first is threading.current_thread()
    assert len(others) == 3
    assert len(set(others)) == 1
    assert others[0] is not first


@pytest.mark.parametrize("name", ["on_starting", "when_ready"])
def test_a_start_that_a_hook_fails_leaves_nothing(name: str) -> None:
    before = open_files(), threading.enumerate()
    calls: list[str] = []

    def fail(server: object) -> None:
        raise LookupError("no database")

    hooks: dict[str, Any] = _noting(calls) | {name: fail}
    with pytest.raises(
        ConfigError, match=rf"the hook {name} \(keyword {name}\) failed: LookupError: no database"
    ):
        serve(path, pool=7, **hooks)
    assert calls == ([] if name == "on_starting" else ["on_starting", "post_fork", "worker_exit"])
    assert (open_files(), threading.enumerate()) == before


def test_an_error_of_another_hook_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def post_fork(server: object, worker: object) -> None:
        raise LookupError("no telemetry")

    with caplog.at_level(logging.ERROR, "greenserve.error"), serve(path, post_fork=post_fork) as server:
        assert ask(server.address, request("/a")).body == b"/a"
    assert "the hook post_fork (keyword post_fork) failed" in caplog.text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"post_fork": "mypackage:start"},
            r"post_fork \(keyword post_fork\) is a hook, and no str: write def post_",
        ),
        ({"when_ready": lambda: None}, r"when_ready \(keyword when_ready\) can't be called as the hook is: "),
        ({"post_frok": print}, "unknown keyword post_frok: did you mean post_fork, a hook?"),
        ({"poool": 3}, "poool"),
    ],
)
def test_what_is_no_hook(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        serve(path, **given)
    with pytest.raises(ConfigError, match=message):
        greenserve.run(path, **given)


def test_wsgi_server_calls_all() -> None:
    calls: list[str] = []
    with own_hub():
        sock = listen(("127.0.0.1", 0))
        hooks: dict[str, Any] = _noting(calls)
        running = spawn(wsgi_server, sock, path, log_output=False, graceful_timeout=0, pool=7, **hooks)
        with RawClient(sock.getsockname(), green=True) as client:
            assert client.get("/a").body == b"/a"
            running.kill()
            with pytest.raises(greenserve.GreenletExit):
                running.wait()
    assert calls == _ORDER


_PROGRAM = """
import os
PATCHED and __import__("greenserve_hub").monkey_patch()
import greenserve
from greenserve.config.hooks import HOOKS

def app(environ, start_response):
    start_response("200 OK", [])
    return [b"here"]

def noting(name):
    return lambda *_: os.write(2, f"called {name}\\n".encode())  # whole: two workers write at once

hooks = {name: noting(name) for name in HOOKS}
"""


def test_in_a_patched_program(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        _PROGRAM.replace("PATCHED", "True")
        + "import urllib.request\nwith greenserve.serve(app, **hooks) as server:\n"
        "    urllib.request.urlopen(server.url).read()\n"
        "greenserve.serve(app, **hooks)\n"  # which the end of the program stops
    )
    done = run_python("program.py", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    called = [line.split()[1] for line in done.stderr.splitlines() if line.startswith("called ")]
    assert called == [*_ORDER, *_ORDER[:3], "worker_exit"]


@pytest.mark.no_hub
@pytest.mark.parametrize("workers", [1, 2])
def test_run_calls_all(tmp_path: Path, workers: int) -> None:
    (tmp_path / "program.py").write_text(
        _PROGRAM.replace("PATCHED", "False")
        + f"raise SystemExit(greenserve.run(app, bind='127.0.0.1:0', workers={workers}, drain_delay=0, **hooks))\n"
    )
    with command("program.py", folder=tmp_path) as process:
        address = process.listens()
        process.until("greenserve runs as process")
        if workers == 1:
            process.until("called when_ready")
        assert ask(address, request("/", "GET")).body == b"here"
        process.until("called post_request")
        process.signal(signal.SIGTERM)
        assert process.ended() == 0
    called = [line.split()[1] for line in process.said if line.startswith("called ")]
    assert set(called) == set(HOOKS)
    if workers == 1:
        assert called == _ORDER
