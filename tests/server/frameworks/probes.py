"""What the five small apps here have in common: the file they serve, and what a test watches them by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.support.servers.running import Gate

CONTENT = bytes(range(256)) * 4096  # of the file that is served: 1 MiB


class Probe:
    """Given to an app when it is made."""

    def __init__(self, path: Path) -> None:
        """`path` is the file that the app serves."""
        self.path = path
        self.gate = Gate()
        self.closed: list[str] = []

    def stream(self) -> Iterator[bytes]:
        """Two pieces, the second made when the test has opened the gate."""
        yield b"first\n"
        self.gate.wait()
        yield b"second\n"

    def endless(self) -> Iterator[bytes]:
        """Pieces until it is closed, which is noted."""
        try:
            while True:
                yield b"x" * 10_000
        finally:
            self.closed.append("endless")


def digest(read: Callable[[int], bytes]) -> dict[str, Any]:
    """The size and SHA-256 of all that `read` gives."""
    found = hashlib.sha256()
    size = 0
    while piece := read(64 * 1024):
        found.update(piece)
        size += len(piece)
    return {"size": size, "sha256": found.hexdigest()}
