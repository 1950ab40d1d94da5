"""The Date field (RFC 9110 §6.6.1), formatted once a second."""

from __future__ import annotations

import time
from email.utils import formatdate


class DateLine:
    """Called, gives the whole line of the current second."""

    __slots__ = ("_line", "_second")

    def __init__(self) -> None:
        """Nothing formatted yet."""
        self._second = 0
        self._line = ""

    def __call__(self) -> str:
        """`Date: …` with its line end."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._line = f"Date: {formatdate(second, usegmt=True)}\r\n"
        return self._line
