"""overview: the admin pages of a server with workers, which answer whatever the workers do, and whose counts stay."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics import parser
from tests.support.clients.raw import RawClient, ask, request
from tests.support.programs.workers import Load, Workers, workers
from tests.support.times import eventually

pytestmark = [
    pytest.mark.no_hub,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc"),
]


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "admin.sock")


def told(place: str, page: str) -> Any:
    return json.loads(ask(place, request(page)).body)


def requests_total(place: str) -> float:
    text = ask(place, request("/metrics", "GET", b"", "Accept: application/openmetrics-text")).body.decode()
    (value,) = [
        sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "greenserve_requests_total"
    ]
    return float(value)


def comes_to(place: str, count: float) -> None:
    eventually(lambda: requests_total(place) == count, f"{count} requests")


def ask_many(server: Workers, count: int) -> None:
    for _ in range(count):
        server.ask()


def test_counts_outlive_workers_reloads_and_the_program(tmp_path: Path, place: str) -> None:
    with workers(tmp_path, "--admin-bind", f"unix:{place}") as server:
        assert ask(place, request("/readyz")).status == 200
        ask_many(server, 7)
        comes_to(place, 7)
        old = server.pids
        server.signal(signal.SIGHUP)
        server.until("reloaded: all 2 workers are new")
        eventually(lambda: len(server.pids) == 2 and not set(old) & set(server.pids))
        comes_to(place, 7)
        ask_many(server, 3)
        comes_to(place, 10)
        os.kill(server.pids[0], signal.SIGKILL)
        server.until("was killed by SIGKILL")
        assert requests_total(place) == 10
        eventually(lambda: ask(place, request("/readyz")).status == 200)
        old = server.pids
        server.signal(signal.SIGUSR2)
        server.until("reloaded: all 2 workers are new")
        eventually(lambda: len(server.pids) == 2 and not set(old) & set(server.pids))
        comes_to(place, 10)
        ask_many(server, 2)
        comes_to(place, 12)
        assert told(place, "/stats.json")["totals"]["workers_ended"] >= 3


def test_they_go_on_counting_through_a_reload_under_load(tmp_path: Path, place: str) -> None:
    with workers(tmp_path, "--admin-bind", f"unix:{place}") as server, Load(server.address) as load:
        load.goes_on()
        eventually(lambda: requests_total(place) > 0, "the first numbers")
        seen = []
        server.signal(signal.SIGHUP)
        while not any("reloaded: all 2 workers are new" in line for line in server.said):
            seen.append(requests_total(place))
            if len(seen) > 3:
                server.until("reloaded: all 2 workers are new")
        load.goes_on()
        seen.append(requests_total(place))
        assert load.lost == []
        assert seen == sorted(seen)
        assert 0 < seen[0] < seen[-1]


def test_a_worker_that_stands_still_is_named_and_does_not_hold_them_up(tmp_path: Path, place: str) -> None:
    with (
        workers(tmp_path, "--admin-bind", f"unix:{place}", "--worker-timeout", "off") as server,
        RawClient(server.address) as client,
    ):
        client.send(request("/spin"))
        eventually(lambda: "stuck" in {one["state"] for one in told(place, "/stats.json")["workers"]})
        assert ask(place, request("/healthz")).status == 200
        found = {one["state"]: one for one in told(place, "/requests")["workers"]}
        assert "has not turned" in found["stuck"]["error"]
        assert found["ready"]["requests"] == []
        for pid in server.pids:
            os.kill(pid, signal.SIGKILL)


def test_what_runs_is_listed_with_its_stack(tmp_path: Path, place: str) -> None:
    more = ("--admin-bind", f"unix:{place}", "--graceful-timeout", "1s")
    with workers(tmp_path, *more) as server, RawClient(server.address) as client:
        client.send(request("/sleep?1000"))
        found: list[Any] = []

        def runs() -> bool:
            # A worker that is busy says so instead.
            found[:] = [
                one for worker in told(place, "/requests")["workers"] for one in worker.get("requests", ())
            ]
            return len(found) == 1

        eventually(runs)
        assert "/sleep" in json.dumps(found)
        assert "in app" in json.dumps(found)


def test_post_reload_does_what_sighup_does(tmp_path: Path, place: str) -> None:
    with workers(tmp_path, "--admin-bind", f"unix:{place}") as server:
        old = server.pids
        assert ask(place, request("/reload", "POST")).status in (200, 202)
        server.until("reloaded: all 2 workers are new")
        eventually(lambda: len(server.pids) == 2 and not set(old) & set(server.pids))


def test_a_place_that_is_taken_starts_nothing(tmp_path: Path) -> None:
    from tests.support.programs.commands import run_python

    (tmp_path / "admin.sock").write_text("no socket")
    ended = run_python(
        "-m",
        "greenserve",
        "web:app",
        "-w",
        "2",
        "--bind",
        "127.0.0.1:0",
        "--admin-bind",
        "unix:admin.sock",
        folder=tmp_path,
    )
    assert ended.returncode == 2
    assert "the path exists and is no socket" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_reload_takes_the_token_of_the_file_and_no_other(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("the-token-that-leaked")

    def status(known: str) -> int:
        return ask(place, request("/metrics", "GET", b"", f"Authorization: Bearer {known}")).status

    with workers(
        tmp_path, "--master", "--admin-bind", "unix:admin.sock", "--admin-token-file", "token", count=1
    ) as server:
        place = str(tmp_path / "admin.sock")
        token.write_text("too short")
        server.signal(signal.SIGHUP)
        server.until("reload failed: admin_token_file = token: too short.*Everything goes on as before")
        assert status("the-token-that-leaked") == 200
        token.write_text("the-token-that-follows")
        server.signal(signal.SIGHUP)
        server.until("reloaded: the worker is new")
        assert (status("the-token-that-leaked"), status("the-token-that-follows")) == (401, 200)


def test_pages_that_a_reload_switches_off_go_on_until_the_next_program(tmp_path: Path, place: str) -> None:
    settings = tmp_path / "greenserve.toml"
    settings.write_text(f'admin_bind = "unix:{place}"\n')
    with workers(tmp_path, "--master", count=1) as server:
        settings.write_text("admin_open_metrics = true\n")
        server.signal(signal.SIGHUP)
        server.until("admin_bind = off takes effect at SIGUSR2 or a restart")
        server.until("admin_open_metrics = true takes effect at SIGUSR2 or a restart")
        server.until("reloaded: the worker is new")
        eventually(lambda: len(told(place, "/stats.json")["workers"]) == 1)
        (new,) = told(place, "/requests")["workers"]
        assert new["requests"] == []
        ask_many(server, 3)
        comes_to(place, 3)


@pytest.mark.parametrize("elsewhere", [None, "admin2.sock"], ids=["off", "elsewhere"])
def test_the_next_program_takes_away_the_file_of_pages_that_it_does_not_have(
    tmp_path: Path, elsewhere: str | None
) -> None:
    settings = tmp_path / "greenserve.toml"
    settings.write_text('admin_bind = "unix:admin.sock"\n')
    with workers(tmp_path, "--master", count=1) as server:
        assert (tmp_path / "admin.sock").is_socket()
        settings.write_text(f'admin_bind = "unix:{elsewhere}"\n' if elsewhere else "")
        server.signal(signal.SIGUSR2)
        server.until("goes on in process")
        server.until("reloaded: the worker is new")
        assert [one.name for one in tmp_path.glob("*.sock")] == ([elsewhere] if elsewhere else [])


def test_a_worker_of_a_program_without_pages_answers_the_next_one_that_has_them(
    tmp_path: Path, place: str
) -> None:
    with workers(tmp_path, "--master", count=1) as server, RawClient(server.address) as client:
        client.send(request("/sleep?1000"))
        (old,) = server.pids
        (tmp_path / "greenserve.toml").write_text(f'admin_bind = "unix:{place}"\n')
        server.signal(signal.SIGHUP)
        server.until(f"admin_bind = unix:{place} takes effect at SIGUSR2 or a restart")
        server.until("reloaded: the worker is new")
        server.signal(signal.SIGUSR2)
        server.until("goes on in process")
        eventually(lambda: Path(place).exists())
        found = {one["pid"]: one for one in told(place, "/requests")["workers"]}
        assert found[old]["count"] == 1
