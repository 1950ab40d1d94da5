"""Numbers that all processes of a soak see while it runs: how far each client is, and when to stop.

A file mapped into memory. Each number has one writer, so that none needs a lock.
"""

from __future__ import annotations

import mmap
from pathlib import Path

PER_CLIENT = 2  # requests answered, connections opened
_BYTES = 8


class Board:
    """`clients` pairs of numbers, one number of abusive connections, and a flag."""

    def __init__(self, path: Path, clients: int) -> None:
        """Opens the file, and makes it if it is not there."""
        size = (clients * PER_CLIENT + 2) * _BYTES
        if not path.exists():
            path.write_bytes(bytes(size))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)
        self._numbers = memoryview(self._map).cast("Q")
        self._clients = clients

    def tell(self, client: int, requests: int, connections: int) -> None:
        """For a client."""
        self._numbers[client * PER_CLIENT] = requests
        self._numbers[client * PER_CLIENT + 1] = connections

    @property
    def requests(self) -> int:
        return sum(self._numbers[: self._clients * PER_CLIENT : PER_CLIENT])

    @property
    def connections(self) -> int:
        return sum(self._numbers[1 : self._clients * PER_CLIENT : PER_CLIENT])

    @property
    def abuses(self) -> int:
        """Connections of abusive clients; the one process of theirs sets it."""
        return self._numbers[-2]

    @abuses.setter
    def abuses(self, count: int) -> None:
        self._numbers[-2] = count

    @property
    def is_over(self) -> bool:
        return bool(self._numbers[-1])

    def end(self) -> None:
        """The well-behaved clients are done: the others may end too."""
        self._numbers[-1] = 1

    def close(self) -> None:
        self._numbers.release()
        self._map.close()
