"""Totals: the numbers of all workers in one, those that have ended included.

For the master, which alone writes the row of the dead. The invariant: no counter of sum() ever goes back, neither when
a worker dies nor when the next one takes its row, nor when a new program takes the board over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from greenserve.metrics.board import Row
from greenserve.metrics.names import COUNTERS

__all__ = ["Totals"]


class Totals:
    """The sums."""

    def __init__(self, dead: Row) -> None:
        """`dead` is a row of the same board, which no worker has: what the workers before have counted is in it."""
        self._dead = dead

    def fold(self, row: Row) -> None:
        """Keep what a worker that has ended has counted, and clear its row for the next one. Switches: never."""
        self.take_over(row.values())
        self._dead["workers_ended"] += 1
        row.clear()

    def take_over(self, values: Mapping[str, int]) -> None:
        """Add the counters of a board with other columns; names that this one does not have are dropped."""
        dead = self._dead
        for name, value in values.items():
            if value and name in COUNTERS:
                dead[name] += value

    def sum(self, rows: Iterable[Mapping[str, int]]) -> dict[str, int]:
        """Return the sums over the values() of the living rows and of the dead. Switches: never.

        A row may be of another board: of the program before this one, whose workers still live.
        """
        dead = self._dead.values()
        names = list(dead)
        found = [row.values() if list(row) == names else [row.get(name, 0) for name in names] for row in rows]
        return dict(zip(names, map(sum, zip(dead.values(), *found, strict=True)), strict=True))
