"""Watcher: the process that looks at the files, with no green threads and nothing patched.

It reads orders of the master from a socket, as JSON on lines, and tells it when files have changed. It ends with the
master: the socket is then at its end.

Files change in groups (a checkout, "save all", a truncation before the text is written), so a change is told twice: at
once, so that the old app answers no more, and again when nothing has changed for a moment, so that the new one starts.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from greenserve.process.reloading.engines import Engine, Polling, open_engine
from greenserve.process.reloading.marks import MOST_FOLDERS
from greenserve.process.reloading.snapshot import Snapshot

__all__ = ["Watcher", "main"]

_SECOND_LOOK: Final = 0.03  # seconds: a file is truncated, and then written
_QUIET: Final = 0.1
_MOST_GATHERING: Final = 3.0

Order = dict[str, Any]


class Watcher:
    """Looks when the engine says so."""

    def __init__(
        self,
        engine: Engine,
        tell: Callable[[Order], object],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """`tell(message)` reaches the master."""
        self._engine = engine
        self._tell = tell
        self._clock = clock
        self._sleep = sleep
        self._snapshot = Snapshot()
        self._lenient = False
        self._cost = 0.0  # seconds of a look
        self._told: set[str] = set()
        self._failures = 0

    def take(self, order: Order) -> None:
        """Watch more: `trees` (folder: suffix), `files`, changed after `since`. `lenient`: the app has failed."""
        self._snapshot.add(order["trees"], order["files"], order["since"])
        self._lenient = order["lenient"]
        for top in sorted(self._snapshot.too_large - self._told):
            self._told.add(top)
            self._tell(
                {"warning": f"{top} has more than {MOST_FOLDERS} folders: the deepest ones are not watched"}
            )
        self.look()

    def turn(self) -> None:
        """Wait for a short time, and look if it is time to."""
        try:
            is_time = self._engine.wait(self._snapshot.folders, self._cost)
            self._failures = 0
        except Exception as error:  # a folder is gone, or the kernel allows no more watches
            self._failures += 1
            if self._failures > 1:
                self._engine = Polling(self._sleep)
                why = f"{type(error).__name__}: {error}"
                self._tell(
                    {
                        "warning": f"the kernel's events are not to be had ({why}): files are polled from now on"
                    }
                )
            is_time = True
        if is_time:
            self.look()

    def look(self) -> None:
        """Compare the files with what is known of them, and tell of changes."""
        began = self._clock()
        changes = self._changes()
        self._cost = self._clock() - began
        if not changes:
            return
        self._sleep(_SECOND_LOOK)
        changes = self._changes()
        if not changes:
            return
        self._tell({"changing": True})
        until = self._clock() + _MOST_GATHERING
        names = set(changes)
        while self._clock() < until:
            self._sleep(_QUIET)
            before, changes = changes, self._changes()
            names |= changes.keys()
            if changes == before:
                break
        self._snapshot.accept()
        self._tell({"changed": sorted(names)})

    def _changes(self) -> dict[str, Any]:
        return self._snapshot.changes(self._lenient)


def main(fd: int, engine_name: str) -> None:
    """Be the watcher, until the socket with this descriptor is at its end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # sent to all processes: the master decides
        signal.signal(number, signal.SIG_IGN)
    sock = socket.socket(fileno=fd)
    orders: queue.SimpleQueue[Order] = queue.SimpleQueue()

    def read() -> None:
        with sock.makefile("rb") as lines:
            for line in lines:
                orders.put(json.loads(line))
        os._exit(0)

    def tell(message: Order) -> None:
        try:
            sock.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            os._exit(0)

    try:
        engine = open_engine(engine_name, time.monotonic, time.sleep)
    except ImportError as error:
        tell(
            {
                "failed": f"reload_engine = {engine_name}: {error}; pip install 'greenserve[reload]', or set poll"
            }
        )
        sys.exit(2)
    watcher = Watcher(engine, tell)
    threading.Thread(target=read, daemon=True).start()
    watcher.take(orders.get())
    tell({"watches": engine.name})
    while True:
        while not orders.empty():
            watcher.take(orders.get())
        watcher.turn()
