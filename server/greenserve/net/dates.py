"""The Date field (RFC 9110 §6.6.1), formatted once a second."""

from __future__ import annotations

import time
from email.utils import formatdate


class DateLine:
    """Called, gives the whole line of the current second."""

    __slots__ = ("_line", "_until")

    def __init__(self) -> None:
        """Nothing formatted yet."""
        self._until = 0.0
        self._line = ""

    def __call__(self) -> str:
        """`Date: …` with its line end."""
        now = time.time()
        # The second comparison is for a clock that was set back.
        if not self._until - 1 <= now < self._until:
            self._until = int(now) + 1.0
            self._line = f"Date: {formatdate(int(now), usegmt=True)}\r\n"
        return self._line
