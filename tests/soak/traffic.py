"""Requests of all kinds, and abusive clients beside them, against one server: what was answered, and what it cost.

Runs the server, the clients and the abusers in processes of their own (served.py, clients.py, abusers.py), looks at the
server now and then, and compares at the end: what the clients asked, what they were answered, what the app was run for.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.soak.board import Board
from tests.soak.clients import Client
from tests.soak.served import Held, ServedApp, python, served
from tests.support.clients.raw import ask, request
from tests.support.times import PATIENCE

# The app's ledger and the kinds' caches are full, and the allocator has seen the most that is needed at once, when a
# quarter is done. From then on 8 MiB are five bytes for each request of two million, a hundred for each connection,
# and one and a half thousand for each abusive one: a leak of any object by any of them would be more.
MOST_GROWTH = 8 << 20
_LOOKS = 20
_PROCESSES = 2
_SECONDS = 2  # of the server's deadlines, so that abusive clients meet them often
_FLAGS = [
    part
    for name in ("head-timeout", "body-timeout", "send-timeout")
    for part in (f"--{name}", f"{_SECONDS}s")
]
_AS_ASKED = "error in the app"
_HELD = "a green thread holds the hub"


class Traffic:
    """One soak. `failures` is empty if it is to be passed."""

    def __init__(
        self, requests: int, *, app: str = "tests.soak.app:app", clients: int = 16, abusive: bool = True
    ) -> None:
        """`requests` in all, by `clients` at once; `abusive` ones beside them."""
        self.clients = clients
        self.each = -(-requests // clients)
        self.failures: list[str] = []
        self.looks: list[Held] = []
        self.answered: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.connections = 0
        self.abuses = 0
        self.seconds = 0.0
        self.held_hub = 0  # the watchdog's warnings
        self.patience = PATIENCE  # seconds until what is left behind counts as left for ever
        self._app = app
        self._abusive = abusive

    @property
    def requests(self) -> int:
        return self.clients * self.each

    def run(self, tell: Callable[[Held], object] = lambda held: None) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            board = Board(folder / "board", self.clients)
            try:
                with served(self._app, folder, *_FLAGS) as server:
                    self._run(server, folder, board, tell)
            finally:
                board.close()

    def _run(self, server: ServedApp, folder: Path, board: Board, tell: Callable[[Held], object]) -> None:
        self._warm_up(server)
        for client in range(self.clients):
            _ask(server, f"/begin/{client}/{self.each}")
        self._add(self._calm(server, 0), tell)
        began = time.monotonic()
        port = server.address[1]
        cuts = [self.clients * part // _PROCESSES for part in range(_PROCESSES + 1)]
        crowds = [
            python("tests.soak.clients", folder, port, first, last, self.clients, self.each)
            for first, last in pairwise(cuts)
        ]
        abusers = [python("tests.soak.abusers", folder, port, self.clients)] if self._abusive else []
        try:
            self._watch(server, board, crowds, tell)
            self.seconds = time.monotonic() - began
            board.end()
            self._await_end(abusers)
        finally:
            for process in (*crowds, *abusers):
                process.kill()
                process.wait()
        self.abuses = board.abuses
        self._read_clients(folder, cuts)
        if self._abusive:
            self._read_abusers(folder)
        self._read_ledgers(server)
        self._settle(server, tell)
        self._read_log(server)

    def _warm_up(self, server: ServedApp) -> None:
        """Each kind of request a few times: modules are imported, caches begun."""
        count = min(self.each, 300)
        _ask(server, f"/begin/{self.clients}/{count}")
        client = Client(server.address, self.clients, count)
        client.run()
        self.answered += client.answered
        self.failures += client.failures

    def _watch(
        self,
        server: ServedApp,
        board: Board,
        crowds: list[subprocess.Popen[bytes]],
        tell: Callable[[Held], object],
    ) -> None:
        """Look at the server whenever another twentieth is done, until the clients have ended."""
        due = 1
        while any(process.poll() is None for process in crowds):
            while due < _LOOKS and board.requests >= self.requests * due // _LOOKS:
                self._look(server, board.requests, tell)
                due += 1
            time.sleep(0.02)
        self._look(server, board.requests, tell)

    def _look(self, server: ServedApp, requests: int, tell: Callable[[Held], object]) -> None:
        self._add(server.look(requests), tell)

    def _add(self, held: Held, tell: Callable[[Held], object]) -> None:
        self.looks.append(held)
        tell(held)

    def _calm(self, server: ServedApp, requests: int, goal: tuple[int, int] | None = None) -> Held:
        """What the server holds when the last connection has gone, and ours of the look before; or in the end."""
        limit = time.monotonic() + self.patience
        before = goal
        while True:
            held = server.look(requests)
            found = held.descriptors, held.green
            if (held.connections == 0 and found == before) or time.monotonic() > limit:
                return held
            before = goal or found
            time.sleep(0.05)

    def _await_end(self, abusers: list[subprocess.Popen[bytes]]) -> None:
        try:
            for process in abusers:
                process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.failures.append(f"abusive clients are still served {PATIENCE:g} s later")

    # What came of it -------------------------------------------------------------------------------------------

    def _read_clients(self, folder: Path, cuts: list[int]) -> None:
        for first in cuts[:-1]:
            path = folder / f"clients-{first}.json"
            if not path.exists():
                self.failures.append(f"the clients from {first} on did not come to their end")
                continue
            for told in json.loads(path.read_text()):
                self.answered.update(told["answered"])
                self.connections += told["connections"]
                self.failures += told["failures"]
                if sum(told["answered"].values()) != self.each:
                    self.failures.append(
                        f"client {told['client']}: {sum(told['answered'].values())} of {self.each} answered rightly, "
                        f"{told['failed']} failures"
                    )

    def _read_abusers(self, folder: Path) -> None:
        path = folder / "abusers.json"
        if not path.exists():
            self.failures.append("the abusive clients did not come to their end")
            return
        told = json.loads(path.read_text())
        self.outcomes.update(told["outcomes"])
        self.failures += told["failures"]

    def _read_ledgers(self, server: ServedApp) -> None:
        for client in range(self.clients):
            told = _ask(server, f"/ledger/{client}/0")
            if told["once"] != self.each:
                self.failures.append(
                    f"client {client}: the app was run once for {told['once']} of {self.each} requests, "
                    f"and not so for (number, times) {told['wrong']}"
                )
            if told["abuses"].get("smuggled"):
                self.failures.append(f"{told['abuses']['smuggled']} smuggled requests were run")

    def _settle(self, server: ServedApp, tell: Callable[[Held], object]) -> None:
        """When all clients are gone the server is as it was before they came."""
        before = self.looks[0]
        held = self._calm(server, self.looks[-1].requests, (before.descriptors, before.green))
        self._add(held, tell)
        if (held.connections, held.descriptors, held.green) != (0, before.descriptors, before.green):
            self.failures.append(
                f"left behind: {held.connections} connections, {held.descriptors - before.descriptors} descriptors, "
                f"{held.green - before.green} green threads"
            )
            self.failures.append(f"what the green threads do: {server.stacks()}")

    @property
    def growth(self) -> int:
        """Bytes of memory from a quarter of the requests on."""
        quarter = next((held for held in self.looks if held.requests >= self.requests // 4), self.looks[0])
        return max(held.resident for held in self.looks[-2:]) - quarter.resident

    def _read_log(self, server: ServedApp) -> None:
        troubles = server.troubles()
        asked = self.answered["error"] + self.answered["torn"]
        told = sum(_AS_ASKED in line for line in troubles)
        self.held_hub = sum(_HELD in line for line in troubles)
        if told != asked:
            self.failures.append(f"the log tells of {told} errors in the app where {asked} were asked for")
        others = [line for line in troubles if _AS_ASKED not in line and _HELD not in line]
        self.failures += [f"the log says: {line}" for line in others[:10]]


def _ask(server: ServedApp, path: str) -> Any:
    answer = ask(server.address, request(path))
    assert answer.status == 200, answer
    return json.loads(answer.body) if answer["Content-Type"] == "application/json" else answer.body
