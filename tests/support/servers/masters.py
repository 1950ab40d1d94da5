"""A master without processes: its workers are rows that a test writes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from greenserve import sleep
from greenserve.admin import NoAnswer, Worker
from greenserve.errors import ConfigError
from greenserve.metrics.board import Board, Row
from greenserve.metrics.durations import bucketed
from greenserve.metrics.names import COLUMNS
from greenserve.metrics.totals import Totals


class FakeMaster:
    """The Master of workers that there are not."""

    def __init__(self, count: int = 2) -> None:
        self.board = Board(COLUMNS, count + 1)
        self.rows: dict[int, Row] = {number: self.board.row(number) for number in range(1, count + 1)}
        self.states = dict.fromkeys(self.rows, "ready")
        self.sums = Totals(self.board.row(0))
        self.answers: dict[int, Any] = {}  # a worker without one is stuck
        self.asked: list[tuple[int, str]] = []
        self.reloads = 0
        self.refusal = ""

    def workers(self) -> Sequence[Worker]:
        return [
            Worker(number, 1000 + number, 60.0 * number, self.states[number], row.values())
            for number, row in self.rows.items()
        ]

    def totals(self) -> Mapping[str, int]:
        return self.sums.sum(row.values() for row in self.rows.values())

    def ask(self, number: int, question: str, timeout: float) -> Any:
        self.asked.append((number, question))
        if number not in self.answers:
            sleep(timeout)
            raise NoAnswer(f"its hub has not turned for {timeout:g} s")
        return self.answers[number]

    def reload(self) -> str:
        if self.refusal:
            raise ConfigError(self.refusal)
        self.reloads += 1
        return "reload: 2 workers are replaced"

    def dies(self, number: int) -> None:
        self.sums.fold(self.rows.pop(number))
        del self.states[number]

    def works(self, number: int, requests: int, seconds: float, status: str = "2xx") -> None:
        """Count requests that took so long each."""
        row = self.rows[number]
        row["requests"] += requests
        row[f"responses_{status}"] += requests
        row["request_us"] += int(requests * seconds * 1e6)
        for bucket, count in bucketed([seconds] * requests):
            row[f"request_{bucket}"] += count


@contextlib.contextmanager
def fake_master(count: int = 2) -> Iterator[FakeMaster]:
    master = FakeMaster(count)
    yield master
    master.rows.clear()
    master.board.close()
