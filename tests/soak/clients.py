"""The well-behaved clients of a soak: `python -m tests.soak.clients` is one process of them, a thread each.

A client has numbers 0 to `count` and asks each once, on one connection after another, in batches. An answer counts when
status, proof and content are those of the request whose turn it is; a connection ends when the server has
closed its side and nothing more has come.
"""

from __future__ import annotations

import json
import random
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.soak.answers import Answers, Unexpected
from tests.soak.board import Board
from tests.soak.kinds import ALONE, EVERY, IN_BATCHES, LAST, Asked, Kind

PATIENCE = 60.0  # seconds that one answer may take
_BATCHES = (1, 1, 2, 4, 8, 16, 32)  # requests that are sent together
_MOST_TOLD = 20


class Client:
    """One client, and what it has seen."""

    def __init__(self, address: tuple[str, int], number: int, count: int, board: Board | None = None) -> None:
        self.address = address
        self.number = number
        self.count = count
        self.asked = 0
        self.answered: Counter[str] = Counter()  # rightly, by kind
        self.connections = 0
        self.failures: list[str] = []
        self._board = board
        self._random = random.Random(number)
        self._first = list(EVERY)  # each kind once, however short the soak
        # A host of its own, as clients have: 127.0.0.0/8 is all this machine (Linux).
        self._source = (f"127.0.0.{2 + number % 200}", 0) if sys.platform == "linux" else None

    def run(self) -> None:
        while self.asked < self.count:
            self.connections += 1
            try:
                with socket.create_connection(self.address, PATIENCE, self._source) as sock:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._talk(sock)
            except (OSError, Unexpected) as error:
                if not isinstance(error, Unexpected):
                    self._failed(f"up to number {self.asked}: {error!r}")
            if self._board is not None:
                self._board.tell(self.number, self.answered.total(), self.connections)

    def as_dict(self) -> dict[str, Any]:
        return {
            "client": self.number,
            "asked": self.asked,
            "answered": self.answered,
            "connections": self.connections,
            "failures": self.failures[:_MOST_TOLD],
            "failed": len(self.failures),
        }

    def _failed(self, what: str) -> None:
        self.failures.append(f"client {self.number}, {what}")

    def _talk(self, sock: socket.socket) -> None:
        """One connection's worth."""
        answers = Answers(sock)
        for batch in self._batches():
            self._exchange(sock, answers, batch)
            if batch[-1].closes:
                break
        else:
            sock.shutdown(socket.SHUT_WR)
        if rest := answers.rest():
            self._failed(f"before number {self.asked}: something follows the last answer: {rest[:100]!r}")

    def _exchange(self, sock: socket.socket, answers: Answers, batch: list[Asked]) -> None:
        sock.sendall(b"".join([one.data for one in batch]))
        for one in batch:
            try:
                if one.interim:
                    status = answers.next(one.method).status
                    if status != one.interim:
                        raise Unexpected(f"{status} where {one.interim} was due")
                    sock.sendall(one.later)
                self._check(one, answers)
            except (OSError, Unexpected) as error:
                self._failed(f"number {one.number}, {one.kind}: {error}")
                raise Unexpected from None
            self.answered[one.kind] += 1
        if answers.has_more:
            self._failed(f"behind number {batch[-1].number}: more answers than requests")
            raise Unexpected

    def _check(self, one: Asked, answers: Answers) -> None:
        answer = answers.next(one.method)
        if answer.status != one.status:
            raise Unexpected(f"{answer.status} {answer.body[:100]!r} where {one.status} was due")
        if answer.proof != one.proof:
            raise Unexpected(f"the answer of {answer.proof} where that of {one.proof} was due")
        if one.body is not None and answer.body != one.body:
            raise Unexpected(f"the content is wrong: {len(answer.body)} bytes where {len(one.body)} were due")
        if answer.is_whole is one.is_torn:
            raise Unexpected("whole" if answer.is_whole else "torn")
        if answer.closes and not one.closes:
            raise Unexpected("the server closes without a reason")

    # What is asked next --------------------------------------------------------------------------------------

    def _batches(self) -> Iterator[list[Asked]]:
        rng = self._random
        for _ in range(rng.randrange(1, 6)):
            size = rng.choice(_BATCHES)
            yield from self._made(rng.choices(list(IN_BATCHES), IN_BATCHES.values(), k=size))
            if self._first:
                kind = self._first.pop()
                yield from self._made([kind])
                if kind in LAST:
                    return
            if rng.random() < 0.1:
                yield from self._made(rng.choices(list(ALONE), ALONE.values()))
        if rng.random() < 0.4:
            yield from self._made(rng.choices(list(LAST), LAST.values()))

    def _made(self, kinds: list[Kind]) -> Iterator[list[Asked]]:
        """The requests, as far as numbers are left."""
        start = self.asked
        self.asked = min(start + len(kinds), self.count)
        batch = [kind(self.number, start + index) for index, kind in enumerate(kinds[: self.asked - start])]
        if batch:
            yield batch


def main(arguments: list[str]) -> int:
    folder, port, first, last, clients, count = Path(arguments[0]), *map(int, arguments[1:])
    board = Board(folder / "board", clients)
    crowd = [Client(("127.0.0.1", port), number, count, board) for number in range(first, last)]
    threads = [threading.Thread(target=one.run) for one in crowd]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (folder / f"clients-{first}.json").write_text(json.dumps([one.as_dict() for one in crowd]))
    board.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
