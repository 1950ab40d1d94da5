"""Stopping: signals stop a serving process, gracefully if the hub can, else by force.

Facts: the hub carries out a stop, and a green thread that spins or waits in C code holds the hub. Decision: once a stop
was asked for, the process ends at a fixed moment, whatever runs: half a second after `graceful_timeout`, or a second
after a signal has asked again. An OS thread keeps these moments, and logs where the main thread was by then. If it
can't get the interpreter's lock any more, faulthandler's own thread, which is C, ends the process a second later, with
exit code 1; the signal handlers set that alarm too. Cost: the app does not clean up.

These ask again: SIGINT at any time; SIGTERM a second after the first, since wrappers that pass signals on send one
twice; SIGTERM at once while the hub is held.

The invariant: a signal is counted once: by its handler or, if that does not run, by the OS thread.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final, Self
from weakref import WeakSet

from greenserve.logs.error_log import ErrorLog
from greenserve.net import Server
from greenserve.process.requests import holder_of_request
from greenserve.process.signal_thread import SignalThread
from greenserve_hub.deadlines import NEVER
from greenserve_hub.forks import leave_in_children
from greenserve_hub.greenthreads.greenthreads import spawn_n
from greenserve_hub.loop.hub import Hub
from greenserve_hub.loop.origins import stack_of
from greenserve_hub.unpatched import _thread, os, signal, time

log = logging.getLogger("greenserve.error")

_PATIENCE: Final = 1.0  # seconds: until the hub begins, until a handler runs, between two SIGTERMs
_MARGIN: Final = 0.5  # seconds that a graceful stop may take beyond graceful_timeout
_NUMBERS: Final = (signal.SIGTERM, signal.SIGINT)


class Stopping:
    """Handles the signals that stop one server, from take() to the end of its block. In the main thread."""

    def __init__(
        self, hub: Hub, server: Server, error_log: ErrorLog, begins: Callable[[int], object]
    ) -> None:
        """Takes no signal yet. `begins(running)` is called when a stop begins, with the number of requests."""
        self._hub = hub
        self._server = server
        self._log_fd = error_log.duplicate()
        self._before: dict[int, Any] = {}
        self._thread = SignalThread(self._heard, self._due)
        self._begins = begins
        self._restarts = False  # another process takes the place of this one
        self._was_told = False  # to stop, by a master, and no signal has come yet
        self._asked_at = NEVER
        self._has_begun = False  # the hub has begun to stop the server
        self._tell_at = NEVER  # when to log what delays it
        self._end_at = NEVER  # when to end by force
        self._end_held_at = NEVER  # the same, unless the hub has begun by then
        self._unhandled: list[tuple[float, int]] = []  # signals that were heard, and when
        self._owed = False  # a handler is due to run for a signal that was counted already
        self._has_stopped = False  # the server has, and only the process is to end
        self._staying: list[threading.Thread] = []

    def __enter__(self) -> Self:
        """Take no signal yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the signal handlers of before."""
        self._give_back()
        self._thread.close()
        faulthandler.cancel_dump_traceback_later()
        os.close(self._log_fd)

    def take(self, hangup: bool) -> None:
        """Have SIGTERM and SIGINT stop the server, and with `hangup` SIGHUP reload its certificates."""
        self._thread.start()
        leave_in_children(self)
        _taken.add(self)
        handlers = dict.fromkeys(_NUMBERS, self._handle)
        if hangup:
            handlers[signal.SIGHUP] = self._reload
        for number, handler in handlers.items():
            self._before[number] = signal.signal(number, handler)

    def leave_behind(self) -> None:
        """Restore the handlers in the child of a fork."""
        self._give_back()
        fd, self._log_fd = self._log_fd, -1
        if fd >= 0:
            os.close(fd)

    def _give_back(self) -> None:
        _taken.discard(self)
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)

    # Signals -------------------------------------------------------------------------------------------

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """In the main thread, between two bytecodes of whatever runs."""
        if self._owed:
            self._owed = False
        else:
            self._ask(number, time.monotonic())
            # Here too: a call in C that runs handlers (re's) may run no other OS thread.
            self._set_alarm()
        self._thread.wake()

    def _reload(self, number: int, frame: FrameType | None) -> None:
        self._hub.call_from_thread(spawn_n, self._server.reload_or_tell)

    def _heard(self, number: int) -> None:
        """In the OS thread, also while no handler can run."""
        if not number:
            self._unhandled.clear()  # the main thread runs Python, and so the handlers
        elif number in _NUMBERS and signal.getsignal(number) == self._handle:
            self._unhandled.append((time.monotonic(), number))

    def _ask(self, number: int, came: float) -> None:
        """Stop, or stop more quickly: a signal has `came` at this moment. In either OS thread."""
        now = time.monotonic()
        name = signal.Signals(number).name
        if self._has_stopped:
            self._end_at = now
        elif self._asked_at == NEVER:
            self._asked_at = came
            self._end_at = came + self._server.config.graceful_timeout + _MARGIN
            self._tell_at = came + _PATIENCE
            self._hub.call_from_thread(spawn_n, self._begin, name)
        elif self._was_told:
            self._was_told = False  # sent to all processes of the service, which means one stop
        elif number == signal.SIGINT or came >= self._asked_at + _PATIENCE:
            self._tell_at = NEVER
            self._end_at = min(self._end_at, now + _PATIENCE)
            self._hub.call_from_thread(spawn_n, self._hurry, name)
        elif not self._has_begun:
            self._tell_at = NEVER
            self._end_held_at = min(self._end_held_at, now + _PATIENCE)

    def ask(self, number: int, restarts: bool = False) -> None:
        """Stop as a signal does, unless one came before; one that comes later does not hurry it yet. In the hub.

        `restarts`: another process takes its place.
        """
        if self._asked_at == NEVER:
            self._restarts = restarts
            self._ask(number, time.monotonic())
            self._was_told = True
            self._set_alarm()
            self._thread.wake()

    # In the hub -------------------------------------------------------------------------------------------

    def _begin(self, name: str) -> None:
        self._has_begun = True
        self._tell_at = self._end_held_at = NEVER
        self._thread.wake()
        server = self._server
        running = server.stats.active + server.stats.queued
        log.info(
            "%s: stopping; %d requests run, for at most %g s more%s",
            "another worker serves in its place" if self._restarts else name,
            running,
            server.config.graceful_timeout,
            "; SIGINT (Ctrl-C) again ends them at once" if name == "SIGINT" and running else "",
        )
        self._begins(running)
        config = server.config
        # At a terminal there is no proxy in front that could lose a request, and no crowd of clients.
        by_hand = name == "SIGINT" and os.isatty(0)
        server.stop(
            drain_delay=0.0 if by_hand else config.drain_delay,
            restarts=self._restarts,
            jitter=0.0 if by_hand else config.ws_restart_jitter,
        )

    def _hurry(self, name: str) -> None:
        log.info("%s while stopping: stopping at once", name)
        self._server.stop(0)

    # By force, in the OS thread --------------------------------------------------------------------------

    def _due(self) -> float:
        """Do what is due and return the moment of the next call."""
        now = time.monotonic()
        while self._unhandled and self._unhandled[0][0] + _PATIENCE <= now:
            came, number = self._unhandled.pop(0)
            self._owed = True
            self._ask(number, came)
        end_at = min(self._end_at, self._end_held_at)
        if now >= end_at:
            self._end_by_force()
        if now >= self._tell_at:
            self._tell_at = NEVER
            self._tell()
        self._set_alarm()
        return min(end_at, self._tell_at, self._unhandled[0][0] + _PATIENCE if self._unhandled else NEVER)

    def _set_alarm(self) -> None:
        """Have faulthandler end the process if the OS thread can't. In either OS thread."""
        end_at = min(self._end_at, self._end_held_at)
        if end_at != NEVER:
            left = max(0.0, end_at - time.monotonic())
            faulthandler.dump_traceback_later(left + _PATIENCE, exit=True, file=self._log_fd)

    def _tell(self) -> None:
        left = self._end_at - time.monotonic()
        if self._has_stopped:
            log.warning(
                "the server has stopped, but the process stays, for at most %.1f s more: %s",
                left,
                self._stayer(),
            )
        else:
            log.warning(
                "the stop cannot begin, since the hub is held; the process ends in %.1f s, or a second after a "
                "signal asks again (Ctrl-C, SIGTERM). It is held by %s",
                left,
                self._holder(),
            )

    def _end_by_force(self) -> None:
        if self._has_stopped:
            log.error("the process ends now, whatever it still does: %s", self._stayer())
        else:
            log.error(
                "the server does not stop in time, and the process ends now. It is held by %s", self._holder()
            )
        if self._server.access_log is not None:
            self._server.access_log.flush()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(0)

    def _stayer(self) -> str:
        names = ", ".join(thread.name for thread in self._staying if thread.is_alive())
        if names:
            return f"it waits for threads of the app: {names}. Have them end, or start them with daemon=True"
        frame = self._hub.main.gr_frame
        return (
            f"its main thread is here:\n{stack_of(frame)}" if self._hub.waiting and frame else self._holder()
        )

    def _holder(self) -> str:
        frame = sys._current_frames().get(self._hub.thread_id)
        return "nobody" if frame is None else f"{holder_of_request(frame)}\n{stack_of(frame)}"

    # After the server --------------------------------------------------------------------------------------

    def watch_exit(self) -> None:
        """The server has stopped: have the process end in time, whatever the app has left running."""
        main = threading.main_thread()
        self._staying = [one for one in threading.enumerate() if one is not main and not one.daemon]
        now = time.monotonic()
        asked_at = now if self._asked_at == NEVER else self._asked_at
        self._end_at = max(asked_at + self._server.config.graceful_timeout, now + _PATIENCE)
        self._tell_at = (
            now + _PATIENCE / 2
        )  # threads of executors end by themselves when the interpreter does
        self._has_stopped = True
        self._thread.wake()


# A SIGTERM that reaches a child before it has restored its handlers would be lost: the parent's handler serves the
# parent, and CPython drops signals that came before it was told of the fork. multiprocessing sends one that early.
_LATER: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
_taken: WeakSet[Stopping] = WeakSet()
_here = _thread._local()


def _before_fork() -> None:
    _here.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _LATER) if _taken else None


def _after_fork() -> None:
    if _here.mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _here.mask)


if hasattr(os, "register_at_fork"):
    # After that of forks.py, in which a child restores its handlers.
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
