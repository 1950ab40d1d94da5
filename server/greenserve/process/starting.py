"""Starting: while the app is imported, a signal that ends a process ends it at once.

Facts: a container runs the command as process 1, to which the kernel gives no signal without a handler
(pid_namespaces(7)), nor one that it sends to itself; the kernel ends every other process, in the middle of C code too.
Consequence: process 1 alone gets handlers, and an OS thread for an import that waits in C. The exit code is the one
that a shell reports for the signal: 143 for SIGTERM. SIGINT has Python's own handler in any process. SIGUSR1 ends none.

Used by the command, which has nothing open by then.
"""

from __future__ import annotations

import contextlib
import signal  # patched or not: getsignal() tells which handler is meant
import sys
from types import FrameType, TracebackType
from typing import Any, Final, Self

from greenserve.process.signal_thread import SignalThread
from greenserve.process.system.daemons import Daemon
from greenserve.process.system.log_reopening import ignore
from greenserve_hub.deadlines import NEVER
from greenserve_hub.forks import leave_in_children
from greenserve_hub.unpatched import os, time

_ENDING: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_PATIENCE: Final = 1.0  # seconds within which the main thread has to run a handler


class Starting:
    """In its block, and until end(), signals that end a process end this one. In the main thread."""

    def __init__(self) -> None:
        """No signal is taken yet."""
        self._before: dict[signal.Signals, Any] = {}
        self._thread: SignalThread | None = None
        self._late = 0  # the signal whose handler has not run yet
        self._late_at = NEVER
        self._daemon: Daemon | None = None

    def __enter__(self) -> Self:
        """Take the signals that would otherwise be lost."""
        if os.getpid() == 1:
            for number in _ENDING:
                if signal.getsignal(number) is signal.SIG_DFL:
                    self._before[number] = signal.signal(number, _end)
        if signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:
            # It asks for logs to be reopened, and none is open yet.
            self._before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, ignore)
        leave_in_children(self)
        return self

    def listen(self) -> None:
        """Hear of them also while the main thread runs no Python. To be called after monkey_patch."""
        if not self._before.keys().isdisjoint(_ENDING):
            self._thread = SignalThread(self._heard, self._due).start()

    def end(self) -> None:
        """Give back the signals that no other code has taken since. Repeatable."""
        if self._thread is not None:
            self._thread.close()
        self.leave_behind()

    def detach(self) -> None:
        """Go on in the background; the command returns when ready() is called. Before any thread and any hub."""
        self._daemon = Daemon()

    def ready(self) -> None:
        """The server serves: a command that has detached returns. Repeatable."""
        if self._daemon is not None:
            self._daemon.ready()

    def failed(self, code: int) -> None:
        """The process ends with this exit code: a command that still waits does so too."""
        if self._daemon is not None:
            self._daemon.ended(code)

    def leave_behind(self) -> None:
        """The same, in the child of a fork, which is not process 1."""
        while self._before:
            number, handler = self._before.popitem()
            if signal.getsignal(number) in (_end, ignore):
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
