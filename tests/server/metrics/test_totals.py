"""totals: the sum over all workers never goes back, whatever dies."""

from __future__ import annotations

from random import Random

import pytest

from greenserve.metrics.board import Board
from greenserve.metrics.names import COLUMNS, COUNTERS
from greenserve.metrics.totals import Totals


@pytest.fixture
def board():
    board = Board(COLUMNS, 4)
    yield board
    board.close()


def test_what_a_dead_worker_has_counted_stays_and_its_gauges_go(board):
    totals, row = Totals(board.row(0)), board.row(1)
    row["requests"], row["request_7"], row["active"] = 5, 3, 2
    assert totals.sum([row.values()])["active"] == 2
    totals.fold(row)
    assert not any(row.values().values())
    found = totals.sum([row.values()])
    assert (found["requests"], found["request_7"], found["active"]) == (5, 3, 0)


def test_no_counter_goes_back_through_deaths_and_new_workers(board):
    random = Random(1)
    totals = Totals(board.row(0))
    rows = [board.row(1), board.row(2), board.row(3)]
    names = sorted(COUNTERS)
    before = totals.sum(row.values() for row in rows)
    for _ in range(300):
        row = random.choice(rows)
        if random.random() < 0.2:
            totals.fold(row)
        else:
            row[random.choice(names)] += random.randrange(5)
        now = totals.sum(row.values() for row in rows)
        assert all(now[name] >= before[name] for name in names)
        before = now


def test_a_new_program_goes_on_with_the_numbers_of_the_old_ones_board(board):
    old = Board(["requests", "gone_since"], 1)
    old.row(0)["requests"], old.row(0)["gone_since"] = 9, 9
    totals = Totals(board.row(0))
    totals.take_over(old.row(0).values())
    assert totals.sum([])["requests"] == 9
    row = board.row(1)
    row["requests"] = 1
    assert totals.sum([old.row(0).values(), row.values()])["requests"] == 19, "a worker of before still lives"
    old.close()
