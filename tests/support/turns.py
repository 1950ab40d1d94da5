"""A lock between the processes of one test run: tests that measure time or memory run with no other test beside them.

A fair lock of readers and writers made of two files: everybody passes the door, and who wants the room alone keeps it
closed until the room is empty, so that the others cannot keep it waiting for ever.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class Turns:
    """One process's hold on the lock in `folder`, which the processes of a run share."""

    def __init__(self, folder: Path) -> None:
        self._door = (folder / "door").open("w")
        self._room = (folder / "room").open("w")

    @contextmanager
    def beside_others(self) -> Iterator[None]:
        """Any number at a time."""
        with _held(self._door, fcntl.LOCK_EX):
            fcntl.flock(self._room, fcntl.LOCK_SH)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else, for as long as this lasts."""
        with _held(self._door, fcntl.LOCK_EX), _held(self._room, fcntl.LOCK_EX):
            yield

    def close(self) -> None:
        self._door.close()
        self._room.close()


@contextmanager
def _held(file: IO[str], how: int) -> Iterator[None]:
    fcntl.flock(file, how)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
