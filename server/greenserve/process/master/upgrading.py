"""Upgrading: another program in the same process (SIGUSR2), a new version of greenserve say.

Facts: exec(2) keeps the process id, the children, and the descriptors that are inheritable. So a pid file, systemd, a
container and a supervisor see no change. The workers of before serve on: their master is the same process. Decision:
the next program is checked first, as by `--check-config`, and executed only if that succeeds. Cost: the check imports
the app once more, in a process of its own.
"""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from greenserve.process.master.handover import Handover, Held
from greenserve.process.master.plan import Plan
from greenserve.process.system.settling import without_settings
from greenserve_hub.deadlines import NEVER
from greenserve_hub.unpatched import signal, time

__all__ = ["Trial", "Upgrading"]

log = logging.getLogger("greenserve.error")


class Trial:
    """The next program in a process of its own, which checks its settings and its start, and ends."""

    def __init__(
        self, command: Sequence[str], folder: str, environ: Mapping[str, str], until: float, held: Held
    ) -> None:
        """`until` by time.monotonic(). Raises OSError."""
        self._until = until
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # outcome() closes it
        try:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=held.put(environ),
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=subprocess.STDOUT,
            )
        except BaseException:
            self._said.close()
            raise

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def end(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._said.close()

    def outcome(self) -> tuple[bool, str] | None:
        """Return None while it runs, then if it has succeeded and what it said."""
        code = self._process.poll()
        if code is None:
            if time.monotonic() < self._until:
                return None
            self._process.kill()
            self._process.wait()
        self._said.seek(0)
        said = self._said.read().decode("utf-8", "replace").strip()
        self._said.close()
        return (
            code == 0,
            said if code is not None else f"it was not ready in time (worker_start_timeout) {said}",
        )


class Inheritable(Protocol):
    """The listening sockets."""

    def set_inheritable(self, inheritable: bool) -> None:
        """Let an executed program have them, or not."""


class Upgrading:
    """The way from SIGUSR2 to the next program. In the main green thread of the master."""

    def __init__(
        self,
        hand_over: Callable[[], Handover | None],
        held: Callable[[bool], Held],
        sockets: Inheritable,
        begins: Callable[[], object],
        reread: Callable[[], object],
    ) -> None:
        """`hand_over()` returns what the next program needs, or None if it is to be asked again in a moment.

        `held(settings_only)` returns what this one holds. `begins()` is called when the check has succeeded, and
        `reread()` when that of the settings has.
        """
        self._held = held
        self._reread = reread
        self._hand_over = hand_over
        self._sockets = sockets
        self._begins = begins
        self._trial: tuple[Trial, bool] | None = None  # and if it is of the settings only
        self._is_checked = False

    def begin(self, name: str, plan: Plan) -> None:
        """Check the next program. `name` of the signal."""
        if plan.command is None:
            log.error(
                "%s: greenserve.run() got its app from a program, which only a new start can load again; "
                "everything goes on as before",
                name,
            )
        elif self._is_free(name):
            log.info("%s: checking the next program: %s", name, shlex.join(plan.command))
            self._try(name, plan, settings_only=False)

    def check_settings(self, name: str, plan: Plan) -> None:
        """Run the code of the settings in a process of its own first: it may wait or fail."""
        if self._is_free(name):
            self._try(name, plan, settings_only=True)

    @property
    def pids(self) -> set[int]:
        """The process that checks, if there is one."""
        return {self._trial[0].pid} if self._trial is not None else set()

    def close(self) -> None:
        """End what checks. Repeatable."""
        if self._trial is not None:
            self._trial[0].end()
            self._trial = None

    def _is_free(self, name: str) -> bool:
        is_free = self._trial is None and not self._is_checked
        if not is_free:
            log.info("%s: the settings are being checked already", name)
        return is_free

    def _try(self, name: str, plan: Plan, settings_only: bool) -> None:
        assert plan.command is not None
        timeout = plan.config.worker_start_timeout
        until = time.monotonic() + timeout if timeout else NEVER
        try:
            with without_settings(plan.config):
                trial = Trial(plan.command, plan.folder, os.environ, until, self._held(settings_only))
        except OSError as error:
            log.error(
                "%s: %s can't be executed: %s. Everything goes on as before",
                *(name, plan.command[0], error.strerror),
            )
        else:
            self._trial = trial, settings_only

    def step(self, plan: Plan) -> None:
        """Go on, if there is something to go on with. Does not return if the next program is executed."""
        if self._trial is not None and (outcome := self._trial[0].outcome()) is not None:
            (_, settings_only), self._trial = self._trial, None
            succeeded, said = outcome
            self._is_checked = succeeded and not settings_only
            if self._is_checked:
                self._begins()
            elif succeeded:
                self._reread()
            elif settings_only:
                log.error(
                    "reload failed: the settings can't be read. Everything goes on as before; mend it, then reload "
                    "again (SIGHUP). They say:\n%s",
                    said,
                )
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
            with without_settings(plan.config):
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
