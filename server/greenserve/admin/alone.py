"""Alone: one server that is its own Master, for a process without workers: an embedded server, say.

Its admin pages stand on the server's own hub, so they answer only while that turns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from greenserve.admin.describing import describe
from greenserve.admin.master import Question, Worker
from greenserve.errors import ConfigError
from greenserve.metrics.board import Board
from greenserve.metrics.names import COLUMNS
from greenserve.metrics.publisher import Publisher
from greenserve.metrics.totals import Totals
from greenserve.net import Server
from greenserve.net.serving.stats import Numbers
from greenserve_hub.unpatched import os, time

__all__ = ["Alone"]


class Alone:
    """The Master of one server that has started."""

    def __init__(self, server: Server) -> None:
        """Begin to publish its numbers. Raises OSError."""
        self._server = server
        self._board = Board(COLUMNS, 2)
        self._row = self._board.row(1)
        self._totals = Totals(self._board.row(0))
        self._since = time.monotonic()
        self._publisher = Publisher(self._row, Numbers(server))

    def workers(self) -> Sequence[Worker]:
        """See Master."""
        state = "draining" if self._server.is_stopping else "ready"
        age = time.monotonic() - self._since
        return [Worker(1, os.getpid(), age, state, self._row.values())]

    def totals(self) -> Mapping[str, int]:
        """See Master."""
        return self._totals.sum([self._row.values()])

    def ask(self, number: int, question: Question, timeout: float) -> Any:
        """See Master."""
        return describe(self._server, question)

    def reload(self) -> str:
        """See Master."""
        raise ConfigError("this server has no master that could start another one: run it with --workers")

    def close(self) -> None:
        """Write the numbers a last time, and give the memory back. Switches: never."""
        self._publisher.stop()
        self._publisher.leave_behind()
        self._board.close()
