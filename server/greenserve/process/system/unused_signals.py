"""UnusedSignals: signals that only a master can carry out do no harm to a process without one.

Facts: operators know these signals from other servers, and their default action ends a process, with its requests, or
stops it (SIGTTIN, SIGTTOU). Decision: they are taken and answered by a line in the log. A handler of the app's own
stays.
"""

from __future__ import annotations

import logging
import signal  # patched or not: getsignal() tells which handler is meant
from types import FrameType, TracebackType
from typing import Any, Final, Self

from greenserve_hub.forks import leave_in_children

__all__ = ["UnusedSignals"]

log = logging.getLogger("greenserve.error")

_MEANT: Final = {
    signal.SIGHUP: "reload the app",
    signal.SIGUSR2: "load greenserve anew",
    signal.SIGTTIN: "add a worker",
    signal.SIGTTOU: "take a worker away",
}


class UnusedSignals:
    """Takes them in its block. In the main thread."""

    def __init__(self) -> None:
        """Takes none yet."""
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        """Take those that have their default action."""
        for number in _MEANT:
            if signal.getsignal(number) is signal.SIG_DFL:
                self._before[number] = signal.signal(number, self._tell)
        leave_in_children(self)
        return self

    def _tell(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        log.warning(
            "%s does not %s: a single process can't. Start it with --master, or with several --workers",
            *(name, _MEANT[signal.Signals(number)]),
        )

    def leave_behind(self) -> None:
        """Give back what nobody else has taken since; also in the child of a fork. Repeatable."""
        while self._before:
            number, handler = self._before.popitem()
            if signal.getsignal(number) == self._tell:
                signal.signal(number, handler)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give them back."""
        self.leave_behind()
