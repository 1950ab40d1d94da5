"""Upgrading: another program in the same process (SIGUSR2), a new version of greenserve say.

The next program is checked first, in a process of its own; if that fails, everything goes on as before. handover.py
says what is handed over, and why the process stays the same.
"""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Callable
from typing import Protocol

from greenserve.process.master.handover import Handover, Trial
from greenserve.process.master.plan import Plan
from greenserve_hub.deadlines import NEVER
from greenserve_hub.unpatched import signal, time

__all__ = ["Upgrading"]

log = logging.getLogger("greenserve.error")


class Inheritable(Protocol):
    """The listening sockets."""

    def set_inheritable(self, inheritable: bool) -> None:
        """Let an executed program have them, or not."""


class Upgrading:
    """The way from SIGUSR2 to the next program. In the main green thread of the master."""

    def __init__(
        self, hand_over: Callable[[], Handover | None], sockets: Inheritable, begins: Callable[[], object]
    ) -> None:
        """`hand_over()` returns what the next program needs, or None if it is to be asked again in a moment.

        `begins()` is called when the check has succeeded.
        """
        self._hand_over = hand_over
        self._sockets = sockets
        self._begins = begins
        self._trial: Trial | None = None
        self._is_checked = False

    def begin(self, name: str, plan: Plan) -> None:
        """Check the next program. `name` of the signal."""
        if plan.command is None:
            log.error(
                "%s: greenserve.run() got its app from a program, which only a new start can load again; "
                "everything goes on as before",
                name,
            )
        elif self._trial is not None or self._is_checked:
            log.info("%s: the next program is being checked already", name)
        else:
            log.info("%s: checking the next program: %s", name, shlex.join(plan.command))
            timeout = plan.config.worker_start_timeout
            until = time.monotonic() + timeout if timeout else NEVER
            try:
                self._trial = Trial(plan.command, plan.folder, os.environ, until)
            except OSError as error:
                log.error("%s: it can't be executed: %s. Everything goes on as before", name, error.strerror)

    def step(self, plan: Plan) -> None:
        """Go on, if there is something to go on with. Does not return if the next program is executed."""
        if self._trial is not None and (outcome := self._trial.outcome()) is not None:
            self._trial = None
            self._is_checked, said = outcome
            if self._is_checked:
                self._begins()
            else:
                log.error(
                    "the next program does not start. Everything goes on as before; mend it, then try again "
                    "(SIGUSR2). It says:\n%s",
                    said,
                )
        if self._is_checked and (handover := self._hand_over()) is not None:
            self._is_checked = False
            self._execute(plan, handover)

    def _execute(self, plan: Plan, handover: Handover) -> None:
        assert plan.command is not None
        self._set_inheritable(handover, True)
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # until it has its handlers
        try:
            os.chdir(plan.folder)
            os.execve(plan.command[0], plan.command, handover.put(os.environ))
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
            self._set_inheritable(handover, False)
            log.error(
                "%s can't be executed: %s. Everything goes on as before", plan.command[0], error.strerror
            )

    def _set_inheritable(self, handover: Handover, inheritable: bool) -> None:
        self._sockets.set_inheritable(inheritable)
        for fd in (handover.board, handover.pid_file, *(one.channel for one in handover.workers)):
            if fd >= 0:
                os.set_inheritable(fd, inheritable)
