"""sharing: a worker with more connections than the others leaves new ones to them."""

from __future__ import annotations

import pytest

from greenserve.metrics.board import Board
from greenserve.process.master.sharing import HELD, Sharing

pytestmark = pytest.mark.no_hub


@pytest.mark.parametrize(
    ("own", "others", "waits"),
    [
        (0, [], False),
        (100, [], False),  # alone
        (0, [0, 0], False),
        (1, [0, 0], True),
        (5, [5, 5], False),
        (6, [5, 5], True),
        (5, [6, 5], False),
        (1000, [999, 1000], False),  # one more is no more
        (1100, [1000, 1000], True),
    ],
)
def test_one_that_has_more_than_its_share_waits(own: int, others: list[int], waits: bool) -> None:
    board = Board([HELD], 8)
    for index, held in enumerate(others, 1):
        board.row(index)[HELD] = held + 1
    assert bool(Sharing(board, 0, 8).hold_back(own)) is waits
    assert board.row(0)[HELD] == own + 1
    board.close()
