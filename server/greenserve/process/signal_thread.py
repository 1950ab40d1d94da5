"""An OS thread that hears of every signal at once, whatever the main thread does.

Facts: Python calls a handler between two bytecodes of the main thread. While that waits in C code no handler runs, and
a hub that a green thread holds does nothing of what a handler asks of it. C writes a byte for each signal all the same
(signal.set_wakeup_fd). Consequence: the bytes go to an OS thread, which needs the interpreter's lock and nothing else.
Cost: an OS thread, and the one wake-up descriptor that a process has. C code that keeps the lock stops this thread too.

Knows no server. Used by starting.py and stopping.py, one at a time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Self

from greenserve_hub.deadlines import NEVER
from greenserve_hub.forks import leave_in_children
from greenserve_hub.loop import find_hub
from greenserve_hub.natives import _thread, signal, socket, time


class SignalThread:
    """Calls `heard(number)` for each signal that has a handler, and `due()` when a moment has come."""

    def __init__(self, heard: Callable[[int], object], due: Callable[[], float]) -> None:
        """Both are called in the OS thread and raise nothing. `due()` gives the moment of its next call, or NEVER."""
        self._heard = heard
        self._due = due
        self._is_open = False

    def start(self) -> Self:
        """Take the wake-up descriptor. In the main thread, else ValueError. Switches: never."""
        self._hub = find_hub()
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)  # a full buffer is going to wake it all the same
        self._before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._is_open = True
        leave_in_children(self)
        _thread.start_new_thread(self._listen, ())
        return self

    def wake(self) -> None:
        """Have `due()` called now. From any thread, and from signal handlers."""
        with contextlib.suppress(OSError):
            self._writer.send(b"\0")  # no signal has this number

    def close(self) -> None:
        """Give the wake-up descriptor back to who had it. Repeatable."""
        if self._is_open:
            self._is_open = False
            mine = self._writer.fileno()
            others = signal.set_wakeup_fd(self._before, warn_on_full_buffer=False)
            if others != mine:
                signal.set_wakeup_fd(others, warn_on_full_buffer=False)  # taken since
            self._writer.close()  # the thread meets the end, and closes its own

    def leave_behind(self) -> None:
        """In the child of a fork the thread is missing, and what comes there is not the parent's to hear of."""
        self.close()
        self._reader.close()

    def _listen(self) -> None:
        with self._reader as reader:
            while True:
                moment = self._due()
                reader.settimeout(None if moment == NEVER else max(0.001, moment - time.monotonic()))
                try:
                    numbers = reader.recv(4096)
                except TimeoutError:
                    continue
                if not numbers:
                    return
                if self._hub is not None:
                    self._hub.call_from_thread(_nothing)  # its wait ends, and the handlers run
                for number in numbers:
                    if number:
                        self._heard(number)


def _nothing() -> None:
    pass
