"""slow_requests: what is logged of a request that runs for long, and what is not."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.programs.commands import command
from tests.support.servers.running import in_one_hub, serving

from greenserve import Server, get_hub, sleep, spawn
from greenserve.process.slow_requests import SlowRequests


def app(environ: dict[str, Any], start_response: Any) -> Any:
    path, seconds = environ["PATH_INFO"], float(environ["QUERY_STRING"] or 0)
    if path == "/events":
        start_response("200 OK", [])
        return events(seconds)
    if path == "/fails":
        sleep(seconds)
        raise RuntimeError("late")
    if path == "/wait":
        a_slow_query(seconds)
    start_response("201 Created", [])
    return [b"done"]


def a_slow_query(seconds: float) -> None:
    sleep(seconds)


def events(seconds: float) -> Iterator[bytes]:
    yield b"one"
    sleep(seconds)
    yield b"two"


@contextmanager
def watched(folder: Path, **settings: Any) -> Iterator[Server]:
    with in_one_hub(app, folder, **settings) as (server, _), SlowRequests(server, get_hub(), 2.0):
        yield server


def ask_green(server: Server, target: str, *, times: int = 1) -> None:
    def one() -> None:
        with RawClient(server.address, green=True) as client:
            for _ in range(times):
                client.send(request(target)).answer("GET")

    one()


def slow_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for message in caplog.messages if "slow_request" in message]


def test_it_is_told_of_once_while_it_runs_and_once_at_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with watched(tmp_path, request_id_header="X-Request-ID") as server:
        green = spawn(ask_green, server, "/wait?7")
        sleep(2.6)
        (told,) = slow_lines(caplog)
        head, *stack = told.splitlines()
        assert head.startswith("GET /wait?7 of unix: has run for 2.")
        assert ", waits 2." in head
        assert stack[-2].strip().startswith("File") or "a_slow_query" in told
        assert "in a_slow_query" in told
        green.wait()
    last = slow_lines(caplog)[1]
    assert last.startswith("GET /wait?7 has ended after 7.0")
    assert last.endswith("(slow_request), with status 201")
    ids = {record.request_id for record in caplog.records if "slow_request" in record.getMessage()}
    assert len(ids) == 1
    assert "" not in ids


def test_others_are_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with watched(tmp_path) as server:
        ask_green(server, "/wait?1.9", times=5)  # on one connection, and mostly one green thread
        ask_green(server, "/events?60")  # its response has begun
    assert slow_lines(caplog) == []


def test_one_that_fails_or_is_ended_is_told_of_with_its_status(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with watched(tmp_path, request_timeout=10) as server:
        ask_green(server, "/fails?3")
        ask_green(server, "/wait?60")
    lines = slow_lines(caplog)
    assert len(lines) == 4
    assert lines[1].endswith("with status 500")
    assert lines[3].startswith("GET /wait?60 has ended after 10.0")
    assert lines[3].endswith("with status 504")


def test_many_at_once_do_not_fill_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with watched(tmp_path) as server:
        greens = [spawn(ask_green, server, "/wait?4") for _ in range(15)]
        for green in greens:
            green.wait()
    lines = slow_lines(caplog)
    assert sum("so far" in line for line in lines) == 10
    assert sum("has ended" in line for line in lines) == 10
    assert [line for line in lines if "more requests" in line] == [
        "5 more requests have run for 2 s (slow_request): they may wait for the same"
    ]


def test_the_setting_in_a_program(caplog: pytest.LogCaptureFixture) -> None:
    with serving(app, slow_request="50ms") as server, RawClient(server.address) as client:
        client.get("/wait?0.3")
    assert len(slow_lines(caplog)) == 2
    assert logging.getLogger("greenserve.error").handlers == []


def test_the_setting_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(
        "import os, time\n\ndef app(environ, start_response):\n"
        "    while not os.path.exists('told'):\n        time.sleep(0.01)\n"
        "    start_response('200 OK', [])\n    return [b'fine']\n"
    )
    options = ("web:app", "--bind", "127.0.0.1:0", "--slow-request", "100ms")
    with command("-m", "greenserve", *options, folder=tmp_path) as process:
        with RawClient(process.listens()) as client:
            client.send(request())
            process.until(r"GET / of 127\.0\.0\.1:\d+ has run for \d\.\d s so far \(slow_request\)")
            process.until("web.py")
            (tmp_path / "told").touch()
            assert client.answer().body == b"fine"
        process.until(r"GET / has ended after \d\.\d+ s \(slow_request\), with status 200")
