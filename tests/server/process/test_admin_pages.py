"""admin_pages: a process without workers, and a program's own server, have the same pages."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from pathlib import Path

import pytest
from tests.support.clients.raw import ask, request
from tests.support.programs.commands import command
from tests.support.servers.apps import path
from tests.support.servers.running import serving
from tests.support.times import PATIENCE, eventually

from greenserve.errors import ConfigError

APP = """
import greenserve
def app(environ, start):
    if environ["PATH_INFO"] == "/slow":
        greenserve.sleep(60)
    start("200 OK", [])
    return [b"hello"]
"""


def status(place: Path, page: str) -> int:
    return ask(str(place), request(page)).status


def test_beside_a_programs_server_as_long_as_that_serves(tmp_path: Path):
    place = tmp_path / "admin"
    with serving(path, admin_bind=f"unix:{place}") as server:
        assert place.stat().st_mode & 0o777 == 0o600
        ask(server.address, request("/a"))
        eventually(lambda: b"greenserve_requests_total 1\n" in ask(str(place), request("/metrics")).body)
        assert status(place, "/readyz") == 200
        assert b"run it with --workers" in ask(str(place), request("/reload", "POST")).body
    assert not place.exists()


def test_health_is_answered_beside_clients_that_say_nothing(tmp_path: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = free.getsockname()
    with serving(path, admin_bind=f"127.0.0.1:{place[1]}"), contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(socket.create_connection(place))
        assert [ask(place, request("/healthz")).status for _ in range(20)] == [200] * 20


def test_a_client_that_says_nothing_is_let_go_soon(tmp_path: Path):
    place = tmp_path / "admin"
    with serving(path, admin_bind=f"unix:{place}"), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(place))
        began = time.monotonic()
        while client.recv(9999):
            pass
        assert time.monotonic() - began < 8, "the server's own head_timeout is 10 s"


def test_the_log_tells_that_all_addresses_of_the_machine_reach_them(tmp_path: Path, caplog):
    with caplog.at_level("INFO", "greenserve.error"), serving(path, admin_bind="0.0.0.0:0"):
        pass
    assert "and at all other IPv4 addresses of this machine (0.0.0.0): health only" in caplog.text


def test_an_address_that_is_taken_starts_nothing(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(ConfigError, match="something listens there already"),
            serving(path, bind=f"unix:{tmp_path}/app", admin_bind=f"127.0.0.1:{port}"),
        ):
            pass
    assert not (tmp_path / "app").exists()


def test_while_it_drains_it_is_well_but_not_ready(tmp_path: Path):
    (tmp_path / "slow.py").write_text(APP)
    place = tmp_path / "admin"
    arguments = [
        "--bind",
        f"unix:{tmp_path}/app",
        "--admin-bind",
        f"unix:{place}",
        "--graceful-timeout",
        "60s",
    ]
    with command("-m", "greenserve", "slow:app", *arguments, folder=tmp_path) as server:
        server.until("listening at")
        assert status(place, "/readyz") == 200
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(os.fspath(tmp_path / "app"))
            client.sendall(request("/slow"))
            eventually(lambda: b"GET /slow" in ask(str(place), request("/requests")).body)
            server.signal(signal.SIGTERM)
            eventually(lambda: status(place, "/readyz") == 503)
            assert status(place, "/healthz") == 200
            server.until("stopping")
            server.signal(signal.SIGINT)
            server.ended()
    assert not place.exists()
