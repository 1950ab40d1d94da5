"""Sharing: how workers share the connections of one socket evenly.

Facts: each of them is woken for each connection, and the one that is quickest takes it, so that lasting connections
pile up on one. Decision: a worker that has more than its share leaves the next ones to the others for 2 ms, then takes
what is still there. Each notes the number of its connections in its row of the board. Cost: 2 ms for a connection that
no other one takes.
"""

from __future__ import annotations

from typing import Final

from greenserve.metrics.board import Board

__all__ = ["HELD", "Sharing"]

HELD: Final = "held"  # the column for the number of connections, plus one; 0 for no worker
_PAUSE: Final = 0.002  # seconds
_SLACK: Final = 1.02  # times the average


class Sharing:
    """The part of one worker in it."""

    def __init__(self, board: Board, own: int, rows: int) -> None:
        """It has the row `own`; the others are among the first `rows` of the board."""
        self._own = board.row(own)
        self._rows = [board.row(index) for index in range(rows)]

    def hold_back(self, connections: int) -> float:
        """Return the seconds for which this worker, which has so many connections, leaves new ones to others."""
        self._own[HELD] = connections + 1
        counts = [held - 1 for row in self._rows if (held := row[HELD])]
        return _PAUSE if connections * len(counts) > _SLACK * sum(counts) else 0.0
