"""Lines for the log about what strangers do, one in a while: a flood of connections must not become one of lines."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

log = logging.getLogger("greenserve.error")

_PAUSE: Final = 10.0  # seconds between two lines that say the same of different connections


class Complaints:
    """One kind of line. Those that come too soon are counted, and the next tells how many they were."""

    def __init__(self, clock: Callable[[], float], level: int) -> None:
        """`clock` in seconds, `level` as logging has it."""
        self._clock = clock
        self._level = level
        self._next = float("-inf")
        self._untold = 0

    def tell(self, message: str, *args: object) -> None:
        """Log it, or count it. Switches: never."""
        now = self._clock()
        if now < self._next:
            self._untold += 1
            return
        self._next = now + _PAUSE
        if self._untold:
            message = f"{message} (and %d more)"
            args = *args, self._untold
        self._untold = 0
        log.log(self._level, message, *args)
