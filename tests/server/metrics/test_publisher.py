"""publisher: a server's numbers are in its row soon after they change, and a last time when it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import Routes
from tests.support.servers.running import in_one_hub

from greenserve import sleep
from greenserve.metrics.board import Board, Row
from greenserve.metrics.durations import percentile
from greenserve.metrics.names import COLUMNS, HISTOGRAMS, columns_of
from greenserve.metrics.publisher import Publisher, resident_bytes
from greenserve.net.serving.stats import Numbers


class _App(Routes):
    def slow(self, environ: Any, start_response: Any) -> Any:
        sleep(2)
        return self.index(environ, start_response)

    def broken(self, environ: Any, start_response: Any) -> Any:
        raise RuntimeError("broken")


@pytest.fixture
def board() -> Iterator[Board]:
    board = Board(COLUMNS, 1)
    yield board
    board.close()


def _percentile(row: Row, histogram: int, share: float) -> float:
    return percentile([row[column] for column in columns_of(HISTOGRAMS[histogram])], share)


def test_counts_durations_and_states(board, tmp_path: Path):
    row = board.row(0)
    with in_one_hub(_App(), tmp_path, pool=1) as (server, _):
        publisher = Publisher(row, Numbers(server))
        with RawClient(server.address, green=True) as one, RawClient(server.address, green=True) as other:
            one.send(request("/slow"))
            sleep(0.1)
            other.send(request("/next"))
            sleep(1)
            assert (row["active"], row["queued"], row["connections_running"], row["connections_queued"]) == (
                1,
                1,
                0,
                0,
            ), "states cost more, and are looked at every two seconds"
            one.answer()
            other.answer()
            other.send(request("/broken"))
            other.answer()
            sleep(2.1)
            assert (row["connections_parked"], row["active"], row["queued"]) == (1, 0, 0)
        assert (row["requests"], row["responses_2xx"], row["responses_5xx"]) == (3, 2, 1)
        assert row["accepted"] == 2
        assert row["bytes_sent"] >= len("/slow/next")
        assert row["resident_bytes"] > 1 << 20
        assert row["pool"] == 1
        assert 0 < row["started_s"] <= time.time()
        assert _percentile(row, 0, 1.0) == pytest.approx(2, rel=0.1)
        assert sum(row[column] for column in columns_of(HISTOGRAMS[0])) == 3
        assert _percentile(row, 1, 1.0) == pytest.approx(1.9, rel=0.1), "it waited for the slow one's slot"
        assert row["request_us"] == pytest.approx(3.9e6, rel=0.1), "a queued request's time counts its wait"
        publisher.stop()


def test_the_numbers_are_written_a_last_time(board, tmp_path: Path):
    row = board.row(0)
    with in_one_hub(_App(), tmp_path) as (server, _):
        publisher = Publisher(row, Numbers(server))
        with RawClient(server.address, green=True) as client:
            client.send(request("/"))
            client.answer()
            assert row["requests"] == 0
            publisher.stop()
            assert row["requests"] == 1
            row.clear()
            publisher.stop()
            sleep(1)
            assert row["pool"] == 0, "it has stopped"


def test_a_hub_that_was_held_is_told_late(board, tmp_path: Path):
    row = board.row(0)
    with in_one_hub(_App(), tmp_path) as (server, clock):
        publisher = Publisher(row, Numbers(server))
        sleep(0.3)
        assert row["hub_lag_us"] == 0
        clock.advance(0.7)  # nothing ran for so long
        sleep(0.3)
        late = row["hub_late_us"]
        assert late == pytest.approx(0.7e6 - 0.2e6, abs=0.1e6)
        assert row["hub_lag_us"] == late
        sleep(3)
        assert (row["hub_lag_us"], row["hub_late_us"]) == (0, late)
        publisher.stop()


def test_a_child_of_a_fork_writes_nothing(board, tmp_path: Path):
    row = board.row(0)
    with in_one_hub(_App(), tmp_path) as (server, _):
        publisher = Publisher(row, Numbers(server))
        publisher.leave_behind()
        row.clear()
        sleep(1)
        publisher.stop()
        assert row["pool"] == 0


def test_memory_is_told_without_proc(monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("builtins.open", refuse)
    assert 1 << 20 < resident_bytes() < 1 << 40


def test_without_a_publisher_no_durations_are_kept(tmp_path: Path):
    with in_one_hub(_App(), tmp_path) as (server, _), RawClient(server.address, green=True) as client:
        client.send(request("/"))
        client.answer()
        assert server.tally.took is None
        assert server.stats.responses_2xx == 1
