"""Checks: which workers take too long to start, to end, or to show that they live, and are killed.

Knows workers by their Protocol, and gets the time as an argument.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from greenserve.config import Config
from greenserve.process.crew.seats import State, Worker
from greenserve_hub.deadlines import NEVER

__all__ = ["STOP_MARGIN", "Checks", "Limits"]

log = logging.getLogger("greenserve.error")

STOP_MARGIN: Final = 5.0  # seconds beyond graceful_timeout: a worker ends itself 1.5 s after it
_DUMP_TIME: Final = 2.0  # seconds that a stuck worker has to log its stacks
_WAKING: Final = 5.0  # seconds that workers have to be heard of again, when all processes were suspended


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds; 0 for none."""

    worker_timeout: float
    start_timeout: float
    graceful_timeout: float

    @classmethod
    def of(cls, config: Config) -> Self:
        """Return those that the settings name."""
        return cls(config.worker_timeout, config.worker_start_timeout, config.graceful_timeout)


class Checks:
    """The times of all workers of one crew."""

    def __init__(self, limits: Limits, now: float) -> None:
        """look() is called several times a second from `now` on."""
        self.limits = limits
        self._looked_at = now
        self._check_from = 0.0

    def look(self, workers: Iterable[Worker], now: float, kill_at: float) -> None:
        """Kill workers whose time is over; from `kill_at` on all of them."""
        if (
            now - self._looked_at > _WAKING
        ):  # Ctrl-Z, or the machine slept: no worker could show that it lives
            self._check_from = now + _WAKING
        self._looked_at = now
        for worker in workers:
            if now >= min(worker.kill_at, kill_at):
                worker.kill()
            elif worker.kill_at == NEVER and now >= self._check_from:
                self._check(worker, now)

    def _check(self, worker: Worker, now: float) -> None:
        limits = self.limits
        if worker.state is State.STARTING:
            if limits.start_timeout and now - worker.born >= limits.start_timeout:
                log.error(
                    "%s is not ready after %g s (worker_start_timeout) and is killed; this is what it does:",
                    worker,
                    limits.start_timeout,
                )
                _abort(worker, now)
        elif limits.worker_timeout and worker.silence() >= limits.worker_timeout:
            log.error(
                "%s is killed: its hub has not run for %g s (worker_timeout), so none of its requests went on; "
                "this is what holds it:",
                worker,
                limits.worker_timeout,
            )
            _abort(worker, now)
        elif worker.state is State.LEAVING and now - worker.left_at >= limits.graceful_timeout + STOP_MARGIN:
            log.error(
                "%s does not end in time (graceful_timeout) and is killed; this is what it does:", worker
            )
            _abort(worker, now)


def _abort(worker: Worker, now: float) -> None:
    worker.kill_at = now + _DUMP_TIME
    worker.abort()
