"""SignalThread: an OS thread that hears of each signal at once, whatever the main thread does.

Facts: Python calls a handler between two bytecodes of the main thread. While that waits in C code no handler runs, and
while a green thread holds the hub nothing happens that a handler has asked it for. CPython writes a byte for each
signal all the same (signal.set_wakeup_fd). Consequence: the bytes go to an OS thread, which needs the interpreter's
lock and nothing else. Cost: an OS thread, and the one wake-up descriptor that a process has. C code that keeps the lock
stops this thread too.

Knows no server. Used by starting.py and stopping.py, one at a time.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Self

from greenserve_hub.deadlines import NEVER
from greenserve_hub.forks import leave_in_children
from greenserve_hub.loop.current import find_hub
from greenserve_hub.unpatched import _thread, os, select, signal, time


class SignalThread:
    """Calls `heard(number)` for each signal that has a handler, in their order, and `due()` when due."""

    def __init__(self, heard: Callable[[int], object], due: Callable[[], float]) -> None:
        """Both are called in the OS thread and raise nothing. `due()` returns the moment of its next call, or NEVER."""
        self._heard = heard
        self._due = due
        self._is_open = False

    def start(self) -> Self:
        """Take the wake-up descriptor. Raises ValueError outside the main thread. Switches: never."""
        self._hub = find_hub()
        # A pipe: in a patched program sockets are green, and this thread must have no hub.
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)  # a full buffer wakes the thread as well
        self._before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._is_open = True
        leave_in_children(self)
        _thread.start_new_thread(self._listen, ())
        return self

    def wake(self) -> None:
        """Have `heard(0)` called, after the signals that came before, and `due()`. From the main thread."""
        if self._is_open:
            with contextlib.suppress(BlockingIOError):
                os.write(self._writer, b"\0")  # no signal has this number

    def close(self) -> None:
        """Restore the wake-up descriptor of before. In the main thread. Repeatable."""
        if self._is_open:
            self._is_open = False
            others = signal.set_wakeup_fd(self._before, warn_on_full_buffer=False)
            if others != self._writer:
                signal.set_wakeup_fd(others, warn_on_full_buffer=False)  # set by other code since
            os.close(self._writer)  # the thread reads the end, and closes its own

    def leave_behind(self) -> None:
        """In the child of a fork, which has no such thread; its signals are none of the parent's."""
        if self._is_open:
            self.close()
            os.close(self._reader)

    def _listen(self) -> None:
        poller = select.poll()
        poller.register(self._reader, select.POLLIN)
        while True:
            moment = self._due()
            if not poller.poll(
                None if moment == NEVER else max(1, math.ceil((moment - time.monotonic()) * 1000))
            ):
                continue
            numbers = os.read(self._reader, 4096)
            if not numbers:
                os.close(self._reader)
                return
            if self._hub is not None:
                self._hub.call_from_thread(_nothing)  # its wait ends, and the handlers run
            for number in numbers:
                self._heard(number)


def _nothing() -> None:
    pass
