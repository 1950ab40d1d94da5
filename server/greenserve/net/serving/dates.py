"""The Date field (RFC 9110 §6.6.1), formatted once a second."""

from __future__ import annotations

import time
from email.utils import formatdate


class DateLine:
    """Called, gives the whole line of the current second."""

    __slots__ = ("_line", "_since", "_until")

    def __init__(self) -> None:
        """Nothing formatted yet."""
        self._since = self._until = 0.0
        self._line = ""

    def __call__(self) -> str:
        """`Date: …` with its line end."""
        now = time.time()
        # The first comparison is for a clock that was set back.
        if now < self._since or now >= self._until:
            self._since = second = float(int(now))
            self._until = second + 1.0
            self._line = f"Date: {formatdate(second, usegmt=True)}\r\n"
        return self._line
