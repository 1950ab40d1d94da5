"""Screen: a terminal in which the same lines are drawn again and again, until a key ends it.

The invariant: however it ends, the terminal is as it was.
"""

from __future__ import annotations

import os
import select
import shutil
import sys
import termios
import time
import tty
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

__all__ = ["Screen"]

_OPEN: Final = "\x1b[?1049h\x1b[?25l"  # another screen, without a cursor
_CLOSE: Final = "\x1b[?25h\x1b[?1049l"
_LOOK: Final = 0.2  # seconds between two looks at the size
_ENDS: Final = {b"q", b"Q", b"\x03", b"\x04", b"\x1b"}


class Screen:
    """The terminal of stdin and stdout, as a context manager."""

    def __init__(self) -> None:
        """Both have to be terminals."""
        self._before: list[Any] = []
        self._input = sys.stdin.fileno()

    def __enter__(self) -> Self:
        """Take it: keys come at once, and are not shown."""
        self._before = termios.tcgetattr(self._input)
        tty.setcbreak(self._input)
        sys.stdout.write(_OPEN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        sys.stdout.write(_CLOSE)
        sys.stdout.flush()
        termios.tcsetattr(self._input, termios.TCSADRAIN, self._before)

    @property
    def width(self) -> int:
        """Columns, as of now."""
        return shutil.get_terminal_size().columns

    def draw(self, lines: Sequence[str]) -> None:
        """Draw as many lines as there is room for, each no wider than the screen."""
        rows = max(shutil.get_terminal_size().lines, 1)
        sys.stdout.write("\x1b[H" + "\n".join(f"{line}\x1b[K" for line in lines[:rows]) + "\x1b[J")
        sys.stdout.flush()

    def wait(self, seconds: float) -> bool:
        """Wait, or until the size changes; return False if a key says that it is over."""
        size, until = shutil.get_terminal_size(), time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self._input], [], [], min(left, _LOOK))[0]:
                key = os.read(self._input, 1)
                if not key or key in _ENDS:
                    return False
            if shutil.get_terminal_size() != size:
                return True
        return True
