"""Rows: the board of one master, and which row of it belongs to which worker.

Invariant: what a worker has counted is in its row while it lives, and in the totals from then on.
"""

from __future__ import annotations

import os
from heapq import heappop, heappush
from typing import Final

from greenserve.metrics.board import Board, Row
from greenserve.metrics.names import COLUMNS
from greenserve.metrics.totals import Totals
from greenserve.process.master.sharing import HELD, Sharing
from greenserve.process.master.worker_process import BEAT

__all__ = ["Rows"]

_ROWS: Final = 4096  # more workers than any machine runs at once
_LATER: Final = 64  # workers that may come after one that shares a socket with them


class Rows:
    """The rows of the workers, by their index. Row 0 is that of the totals."""

    def __init__(self) -> None:
        """Make a board. Raises OSError."""
        self.board = Board([*COLUMNS, BEAT, HELD], _ROWS)
        self.totals = Totals(self.board.row(0))
        self._free = list(range(1, _ROWS))  # a heap: the lowest are used

    def take(self) -> tuple[int, Row]:
        """Take a row, which is empty, for a new worker; return its index too."""
        index = heappop(self._free)
        row = self.board.row(index)
        row.clear()
        return index, row

    def drop(self, index: int) -> None:
        """Give back a row whose worker was not started."""
        heappush(self._free, index)

    def fold(self, row: Row, index: int | None) -> None:
        """Keep what a worker that has ended has counted. `index` None: its row is of the board before."""
        if index is None:
            self.totals.take_over(row.values())
            row.clear()  # or it would be counted again
        else:
            self.totals.fold(row)
            self.drop(index)

    def take_over(self, fd: int) -> Board:
        """Go on with the totals of the program before this one; return its board."""
        os.set_inheritable(fd, False)
        board = Board.attach(fd)
        self.totals.take_over(board.row(0).values())
        return board

    def sharing(self, index: int) -> Sharing:
        """Return the part of a worker in sharing sockets with those that live now and come soon. In its process."""
        living = _ROWS - 1 - len(self._free)
        return Sharing(self.board, index, min(_ROWS, living + _LATER))
