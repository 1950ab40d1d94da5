"""history: rates and percentiles of the time between two points, in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.servers.masters import FakeMaster, fake_master

from greenserve.admin.history import History
from greenserve_hub.testing import FakeClock


@pytest.fixture
def master() -> Iterator[FakeMaster]:
    with fake_master() as master:
        yield master


def points(history: History, fine: int = 0, coarse: int = 0) -> tuple[list[Any], list[Any]]:
    found = json.loads(history.since(fine, coarse))
    return found["fine"], found["coarse"]


def test_a_point_is_about_the_time_since_the_one_before(master):
    clock = FakeClock()
    history = History(master, clock)
    master.works(1, 10, 0.1)
    clock.advance(2)
    history.sample()
    master.works(2, 40, 0.4)
    master.works(2, 2, 5, "5xx")
    master.rows[2]["resident_bytes"] = 5000
    master.rows[2]["hub_lag_us"] = 2500
    master.rows[1]["connections_parked"] = 3
    clock.advance(2)
    history.sample()
    (first, second), _ = points(history)
    assert (first["rate"], second["rate"], second["errors"]) == (5, 21, 1)
    assert (first["p50"], second["p50"]) == (pytest.approx(100, rel=0.1), pytest.approx(400, rel=0.1))
    assert second["p999"] == pytest.approx(5000, rel=0.1)
    assert second["memory"] == {"1": 0, "2": 5000}
    assert second["lag"] == 2.5
    assert sum(second["states"]) == 3


def test_no_request_has_no_percentile(master):
    history = History(master, FakeClock())
    history.sample()
    assert points(history)[0][0]["p99"] is None


def test_a_dead_worker_makes_no_rate_negative(master):
    clock = FakeClock()
    history = History(master, clock)
    master.works(1, 10, 0.1)
    clock.advance(2)
    history.sample()
    master.dies(1)
    clock.advance(2)
    history.sample()
    (_, after), _ = points(history)
    assert (after["rate"], after["ready"], after["p50"]) == (0, 1, None)


def test_coarse_points_are_of_thirty_seconds_and_tell_the_worst(master):
    clock = FakeClock()
    history = History(master, clock)
    for round_ in range(30):
        master.works(1, 2, 0.01)
        master.rows[1]["hub_lag_us"] = 90_000 if round_ == 3 else 1000
        clock.advance(2)
        history.sample()
    _, coarse = points(history)
    assert [(one["rate"], one["lag"]) for one in coarse] == [(1, 90), (1, 1)]


def test_memory_is_bounded_and_only_what_is_new_is_told(master):
    clock = FakeClock()
    history = History(master, clock)
    for _ in range(720 * 15 + 30):
        clock.advance(2)
        history.sample()
    fine, coarse = points(history)
    assert (len(fine), len(coarse)) == (300, 720)
    newest = fine[-1]["n"]
    assert [one["n"] for one in points(history, newest - 2, 0)[0]] == [newest - 1, newest]
    assert points(history, newest, coarse[-1]["n"]) == ([], [])
    assert len(points(history, newest + 1000)[0]) == 300, "a page of before the restart"
    assert len(history.since(0, 0)) < 600_000
