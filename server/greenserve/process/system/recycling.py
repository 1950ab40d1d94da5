"""Recycling: when a worker has lived long enough, by its requests, its age or its memory."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from greenserve.config import Config

__all__ = ["Recycling"]

_RANDOM: Final = random.SystemRandom()  # the app may have seeded the other one alike in all workers
_YOUNG: Final = (
    10.0  # seconds: with a max_rss that the app exceeds from its start, workers must not start in a loop
)


class Recycling:
    """The limits of one worker's life, each lowered by a random part, so that workers don't reach theirs together."""

    def __init__(self, config: Config, born: float, draw: Callable[[], float] = _RANDOM.random) -> None:
        """`born` by the clock of reached(); `draw()` returns a number from 0 to 1."""

        def lowered(limit: float) -> float:
            return limit * (1 - config.max_jitter * draw())

        self._requests = lowered(config.max_requests)
        self._grown_up = born + _YOUNG
        self._end = born + lowered(config.max_lifetime) if config.max_lifetime else 0.0
        self._bytes = lowered(config.max_rss)

    def reached(self, now: float, requests: int, memory: Callable[[], int]) -> str:
        """Return which limit is reached, for the log, or "". `memory()` is asked only if there is a limit."""
        if self._requests and requests >= self._requests:
            return f"it has served {requests} requests (max_requests)"
        if self._end and now >= self._end:
            return "it has lived long enough (max_lifetime)"
        if self._bytes and now >= self._grown_up and (resident := memory()) >= self._bytes:
            return f"it uses {resident / (1 << 20):.0f} MiB of memory (max_rss)"
        return ""
