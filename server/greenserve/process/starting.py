"""The signals of a process before it serves, while the app is imported: one that would end it ends it at once.

Facts: the kernel gives process 1, as which a container runs it, no signal that it has no handler for
(pid_namespaces(7)), nor one that it sends to itself; every other process is ended by the kernel, in the middle of C
code too. Consequence: process 1 alone gets handlers, and an OS thread for an import that waits in C. The exit code is
what a shell would say of the signal: 143 for SIGTERM. SIGINT has Python's own handler anywhere.

Called by the command, which has nothing open by then.
"""

from __future__ import annotations

import contextlib
import signal  # patched or not: getsignal() tells which handler is meant
import sys
from types import FrameType, TracebackType
from typing import Any, Final, Self

from greenserve.process.signal_thread import SignalThread
from greenserve_hub.deadlines import NEVER
from greenserve_hub.forks import leave_in_children
from greenserve_hub.unpatched import os, time

_ENDING: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_PATIENCE: Final = 1.0  # seconds that the main thread has to run a handler


class Starting:
    """While inside, and until `end`, signals that end a process end this one. In the main thread."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._before: dict[signal.Signals, Any] = {}
        self._thread: SignalThread | None = None
        self._late = 0  # the signal that was heard of last
        self._late_at = NEVER

    def __enter__(self) -> Self:
        """Take the signals, where nobody else would."""
        if os.getpid() == 1:
            for number in _ENDING:
                if signal.getsignal(number) is signal.SIG_DFL:
                    self._before[number] = signal.signal(number, _end)
            leave_in_children(self)
        return self

    def listen(self) -> None:
        """Hear of them also where the main thread runs no Python. When all is patched that will be."""
        if self._before:
            self._thread = SignalThread(self._heard, self._due).start()

    def end(self) -> None:
        """Give back what nobody has taken since. Repeatable."""
        if self._thread is not None:
            self._thread.close()
        self.leave_behind()

    def leave_behind(self) -> None:
        """In the child of a fork, which is not process 1."""
        while self._before:
            number, handler = self._before.popitem()
            if signal.getsignal(number) is _end:
                signal.signal(number, handler)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self.end()

    def _heard(self, number: int) -> None:
        if self._late_at == NEVER and number in _ENDING and signal.getsignal(number) is _end:
            self._late = number
            self._late_at = time.monotonic() + _PATIENCE

    def _due(self) -> float:
        if time.monotonic() >= self._late_at:
            _end(self._late, None)
        return self._late_at


def _end(number: int, frame: FrameType | None) -> None:
    with contextlib.suppress(Exception):
        sys.stderr.write(
            f"greenserve: {signal.Signals(number).name} while starting: ended, nothing was served\n"
        )
        sys.stderr.flush()
    os._exit(128 + number)
