"""Daemon: a process that goes on in the background when it is ready, while its command returns.

The command waits until the server is ready, and its exit code says so. Until then errors go to the terminal.
"""

from __future__ import annotations

import sys
from typing import NoReturn

from greenserve_hub.unpatched import os

__all__ = ["Daemon", "give_up_terminal"]


class Daemon:
    """The process in the background. It is made before any thread and any hub."""

    def __init__(self) -> None:
        """Fork: this returns in the background process only. The first process waits there for ready() or ended()."""
        reader, writer = os.pipe()
        if os.fork():
            os.close(writer)
            _wait(reader)
        os.close(reader)
        os.setsid()
        if os.fork():  # no session leader, so no terminal becomes its own
            os._exit(0)
        self._writer = writer

    def ready(self) -> None:
        """Have the command return with 0, and give up the terminal. Repeatable."""
        if self._writer >= 0:
            give_up_terminal()
            self.ended(0)

    def ended(self, code: int) -> None:
        """Have the command return with this exit code, if it still waits."""
        writer, self._writer = self._writer, -1
        if writer >= 0:
            os.write(writer, bytes([code & 0xFF]))
            os.close(writer)


def give_up_terminal() -> None:
    """Read nothing and write nowhere from now on, by the descriptors 0, 1 and 2."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


def _wait(reader: int) -> NoReturn:
    try:
        told = os.read(reader, 1)
    except KeyboardInterrupt:
        told = bytes([130])
    sys.stdout.flush()
    os._exit(told[0] if told else 1)
