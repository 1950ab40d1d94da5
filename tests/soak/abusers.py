"""The abusive clients of a soak: `python -m tests.soak.abusers` is the one process of them.

They keep their number at a share of all connections while the well-behaved clients run, each kind as often as
any other.
"""

from __future__ import annotations

import json
import random
import socket
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from tests.soak.abuses import EVERY, WAIT
from tests.soak.answers import Unexpected
from tests.soak.board import Board

SHARE = 0.08  # of all connections
_AT_ONCE = 100  # abuses that run at the same time; most wait for a deadline of the server's
_MOST_TOLD = 20


class Abusers:
    """A crowd, and what the server did with it."""

    def __init__(self, address: tuple[str, int], board: Board) -> None:
        self.outcomes: Counter[str] = Counter()
        self.failures: list[str] = []
        self._address = address
        self._board = board
        self._begun = 0
        self._lock = threading.Lock()

    def run(self) -> None:
        threads = [threading.Thread(target=self._one_after_another) for _ in range(_AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _one_after_another(self) -> None:
        while (number := self._next()) is not None:
            abuse = EVERY[number % len(EVERY)]
            try:
                # Many hosts, as a botnet has.
                source = (f"127.0.1.{1 + number % 250}", 0) if sys.platform == "linux" else None
                with socket.create_connection(self._address, WAIT, source) as sock:
                    outcome = abuse(sock, random.Random(number))
            except Unexpected as error:
                with self._lock:
                    self.failures.append(f"{abuse.__name__} {number}: {error}")
            except OSError as error:  # the server was faster than we, say with a reset
                outcome = type(error).__name__
            with self._lock:
                self.outcomes[f"{abuse.__name__}: {outcome}"] += 1

    def _next(self) -> int | None:
        """The number of the next abuse, when it is due; None at the end."""
        board = self._board
        while not board.is_over or self._begun < len(EVERY):  # each once, however short the soak
            with self._lock:
                if self._begun < max(len(EVERY), board.connections * SHARE / (1 - SHARE)):
                    number, self._begun = self._begun, self._begun + 1
                    board.abuses = self._begun
                    return number
            time.sleep(0.02)
        return None


def main(arguments: list[str]) -> int:
    folder, port, clients = Path(arguments[0]), *map(int, arguments[1:])
    board = Board(folder / "board", clients)
    abusers = Abusers(("127.0.0.1", port), board)
    abusers.run()
    told = {
        "outcomes": abusers.outcomes,
        "failures": abusers.failures[:_MOST_TOLD],
        "failed": len(abusers.failures),
    }
    (folder / "abusers.json").write_text(json.dumps(told))
    board.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
