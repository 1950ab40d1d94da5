"""Recycling: when a worker has lived long enough, by its requests, its age or its memory."""

from __future__ import annotations

import random
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from greenserve.config import Config

__all__ = ["Recycling", "resident_bytes"]

_STATM: Final = Path("/proc/self/statm")
_RANDOM: Final = random.SystemRandom()  # the app may have seeded the other one alike in all workers
_YOUNG: Final = (
    10.0  # seconds: max_rss below what an app needs from its start must not start workers in a loop
)
_PAGE: Final = resource.getpagesize()


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes; its largest so far where the system does not tell."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


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
