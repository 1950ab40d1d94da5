"""Log lines about what clients do, each at most once in a while: a flood of connections must not become one of lines.

Throttle and Once decide and know nothing of logging; ThrottledLog writes. Called by everything that logs what a client,
a proxy or the app can repeat.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from typing import Final

__all__ = ["Once", "Throttle", "ThrottledLog"]

log = logging.getLogger("greenserve.error")

_PAUSE: Final = 10.0  # seconds between two lines that say the same of different connections
_NEVER_YET: Final = float("-inf")


class Throttle:
    """Admits one event of each key in `pause` seconds, and counts those between."""

    def __init__(self, clock: Callable[[], float], pause: float, most: int = 1) -> None:
        """`clock` and `pause` are in seconds. Beyond `most` keys all are forgotten."""
        self._clock = clock
        self._pause = pause
        self._most = most
        self._seen: dict[
            str, tuple[float, int]
        ] = {}  # when the next is admitted, and how many were not since

    def admit(self, key: str = "") -> int | None:
        """Return how many were held back since the last one, or None to hold this one back too. Switches: never."""
        now = self._clock()
        due, held_back = self._seen.get(key, (_NEVER_YET, 0))
        if now < due:
            self._seen[key] = due, held_back + 1
            return None
        if len(self._seen) >= self._most:
            self._seen.clear()
        self._seen[key] = now + self._pause, 0
        return held_back


class Once:
    """Admits each key once, and no more than `most` of them."""

    def __init__(self, most: int) -> None:
        """`most` bounds the memory that clients can make it take."""
        self._most = most
        self._seen: set[Hashable] = set()

    def admit(self, key: Hashable) -> bool:
        """Return True the first time that `key` comes, unless `most` others came before. Switches: never."""
        if key in self._seen or len(self._seen) >= self._most:
            return False
        self._seen.add(key)
        return True


class ThrottledLog:
    """Lines of one kind: one in ten seconds, which ends with the number of those that were left out before it."""

    def __init__(self, clock: Callable[[], float], level: int) -> None:
        """`clock` in seconds, `level` as in the logging module."""
        self._throttle = Throttle(clock, _PAUSE)
        self._level = level

    def log(self, message: str, *args: object) -> None:
        """Log the line, or count it. Switches: never."""
        left_out = self._throttle.admit()
        if left_out:
            message = f"{message} (and %d more)"
            args = *args, left_out
        if left_out is not None:
            log.log(self._level, message, *args)
