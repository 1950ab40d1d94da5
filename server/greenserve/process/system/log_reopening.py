"""ReopeningLogs: SIGUSR1 reopens every log of the process, as logrotate and people ask.

Facts: the default action of SIGUSR1 ends a process, with its requests. Consequence: it is taken from the start on,
also while the app is imported, when no log is open yet (starting.py). Two others may have it instead: --dump-signal,
and a handler of the app's own. Then files that were moved are still followed, within a second: see logs/files.py.

Used by serving.py, in the one process or in each worker.
"""

from __future__ import annotations

import logging
import signal  # patched or not: getsignal() tells which handler is meant
from types import FrameType
from typing import Any, Self

from greenserve.config import Config
from greenserve.logs.files import reopen_all
from greenserve_hub.forks import leave_in_children

__all__ = ["ReopeningLogs", "ignore"]

log = logging.getLogger("greenserve.error")

_BY_ITSELF = "a log file that was moved away is opened again by itself, within a second"


def ignore(number: int, frame: FrameType | None) -> None:
    """The handler of SIGUSR1 until there are logs."""


class ReopeningLogs:
    """In its block SIGUSR1 reopens the logs. In the main thread, before debugging()."""

    def __init__(self, config: Config) -> None:
        """Takes no signal yet."""
        self._dumps = config.dump_signal == "usr1"
        self._before: Any = signal.SIG_DFL

    def __enter__(self) -> Self:
        """Take the signal, unless another use of it goes first."""
        before = signal.getsignal(signal.SIGUSR1)
        if self._dumps:
            log.info("SIGUSR1 dumps stacks (dump_signal = usr1) and does not reopen the logs: %s", _BY_ITSELF)
        elif before not in (signal.SIG_DFL, signal.SIG_IGN, ignore):
            log.info(
                "the app has a handler for SIGUSR1, so the signal does not reopen the logs: %s", _BY_ITSELF
            )
        else:
            self._before = signal.SIG_DFL if before is ignore else before
            signal.signal(signal.SIGUSR1, self._reopen)
            leave_in_children(self)
        return self

    def __exit__(self, *error: object) -> None:
        """Restore the handler of before."""
        self.leave_behind()

    def leave_behind(self) -> None:
        """The same, in the child of a fork."""
        if signal.getsignal(signal.SIGUSR1) == self._reopen:
            signal.signal(signal.SIGUSR1, self._before)

    def _reopen(self, number: int, frame: FrameType | None) -> None:
        if reopen_all():
            log.info("SIGUSR1: the logs are reopened")
        else:
            log.warning("SIGUSR1: a log can't be reopened, see above: its lines go on to the file of before")
