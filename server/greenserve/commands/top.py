"""`greenserve top`: what the workers do, in a terminal, again every two seconds. q ends it.

Without a terminal at stdin and stdout, in a pipe say, it is printed once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Sequence
from typing import Any, Final

from greenserve.commands.admin_client import AdminClient, parser, told
from greenserve.commands.view import lines

__all__ = ["main"]

_TIMEOUT: Final = 5.0  # seconds
_PERIOD: Final = 2.0
_KEPT: Final = 300  # points
_WIDE: Final = 200  # columns, where there is no terminal


def main(argv: Sequence[str]) -> int:
    """Show it until a key ends it. The exit code is 1 if it was never to be had."""
    made = parser("top", "Show what the workers do, from the admin pages. q ends it.")
    made.add_argument("--once", action="store_true", help="print it once, as without a terminal")
    options = made.parse_args(argv)
    source = _Source(AdminClient(options, _TIMEOUT))
    if options.once or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return _print_once(source)
    from greenserve.commands.screen import Screen  # there are systems without termios

    with Screen() as screen, contextlib.suppress(KeyboardInterrupt):
        going = True
        while going:
            try:
                shown = source.lines(screen.width, is_coloured="NO_COLOR" not in os.environ)
            except OSError as error:
                shown = [
                    f"{source.place} does not answer: {told(error)}"[: screen.width],
                    "It is asked again.",
                ]
            screen.draw(shown)
            going = screen.wait(_PERIOD)
    return 0


class _Source:
    """The pages, with the points that have come so far."""

    def __init__(self, client: AdminClient) -> None:
        self.place = str(client.address)
        self._client = client
        self._points: list[dict[str, Any]] = []

    def lines(self, width: int, is_coloured: bool) -> list[str]:
        """Ask, and return the lines. Raises OSError, also for numbers that are none of greenserve's."""
        try:
            return self._lines(width, is_coloured)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            raise OSError("its numbers can't be read: are these greenserve's admin pages?") from None

    def _lines(self, width: int, is_coloured: bool) -> list[str]:
        last = self._points[-1]["n"] if self._points else 0
        live = self._client.get_json(f"/live.json?fine={last}")
        new = live["history"]["fine"]
        if new and new[0]["n"] <= last:
            self._points.clear()  # the master has started anew
        self._points = live["history"]["fine"] = [*self._points, *new][-_KEPT:]
        return lines(self.place, live, self._client.get_json("/requests?stacks=no"), width, is_coloured)


def _print_once(source: _Source) -> int:
    try:
        width = shutil.get_terminal_size((_WIDE, 0)).columns if sys.stdout.isatty() else _WIDE
        for line in source.lines(width, is_coloured=False):
            print(line.rstrip())
    except OSError as error:
        sys.stderr.write(f"greenserve top: {source.place} does not answer: {told(error)}\n")
        return 1
    return 0
