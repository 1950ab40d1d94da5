"""eventlet.hubs.hub: the hub of this OS thread, with eventlet's methods.

The runtime's hub does the work; a BaseHub holds none of its state but the listeners that it has added.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

from greenlet import getcurrent, greenlet

from greenserve_eventlet.hubs.listeners import READ, WRITE, DebugListener, FdListener, noop
from greenserve_eventlet.hubs.timer import LocalTimer, Timer
from greenserve_hub import get_hub, sleep
from greenserve_hub.diagnostics.debug import hub_exceptions
from greenserve_hub.unpatched import signal as native_signal


class BaseHub:
    """The runtime's hub under eventlet's names. get_hub() returns one for each OS thread."""

    SYSTEM_EXCEPTIONS = (KeyboardInterrupt, SystemExit)
    READ = READ
    WRITE = WRITE

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        """For the current OS thread. `clock` is the runtime's own: another one is refused by nothing, and not used."""
        self.hub = get_hub()
        self.clock = self.hub.clock
        self.lclass: type[FdListener] = FdListener
        self.listeners: dict[str, dict[int, list[FdListener]]] = {READ: {}, WRITE: {}}
        self.debug_exceptions = True
        self.debug_blocking = False
        self.debug_blocking_resolution = 1.0
        self._is_aborted = False
        self._main_waits = False

    # Waiting ---------------------------------------------------------------------------------------------

    @property
    def greenlet(self) -> greenlet:
        """The greenlet in which the hub runs."""
        return self.hub.greenlet

    @property
    def running(self) -> bool:
        """True unless abort() was the last that was asked of it."""
        return not self._is_aborted

    def switch(self) -> Any:
        """Let others run until something switches back to this green thread; return what that passes.

        Switches: always.
        """
        current = getcurrent()
        if current is self.hub.greenlet:
            raise AssertionError("the hub cannot switch to itself")
        if current.parent is not None and current.parent is not self.hub.greenlet:
            current.parent = self.hub.greenlet  # it ends in the hub: eventlet's programs rely on it
        self._is_aborted = False
        self._main_waits = current is self.hub.main
        try:
            return self.hub.switch()
        finally:
            self._main_waits = False

    def ensure_greenlet(self) -> None:
        """Do nothing: the runtime's hub does not end by errors."""

    def abort(self, wait: bool = False) -> None:
        """Let the main green thread continue, if it waits in switch(): the runtime's hub ends with its OS thread.

        Switches: with `wait`.
        """
        if wait:
            sleep(0)
        elif self._main_waits:
            self.hub.call_soon(self.hub.main.switch)
        self._is_aborted = True

    # Timers ----------------------------------------------------------------------------------------------

    def schedule_call_global(self, seconds: float, cb: Callable[..., object], *args: Any, **kw: Any) -> Timer:
        """Call `cb(*args, **kw)` from the hub after `seconds`. Switches: never."""
        self._is_aborted = False
        return Timer(seconds, cb, *args, **kw).schedule()

    def schedule_call_local(self, seconds: float, cb: Callable[..., object], *args: Any, **kw: Any) -> Timer:
        """Like schedule_call_global, unless the current green thread is dead by then. Switches: never."""
        return LocalTimer(seconds, cb, *args, **kw).schedule()

    def add_timer(self, timer: Timer) -> float:
        """Schedule a Timer; return when it is due, by `clock`. Switches: never."""
        timer.schedule()
        return self.clock() + timer.seconds

    @property
    def timers(self) -> list[tuple[float, Any]]:
        """When each is due, by `clock`, and what is called."""
        heap = self.hub.deadlines.heap
        return sorted(
            [(due.when, due.callback) for _, _, due in heap if due.pending], key=lambda timer: timer[0]
        )

    def get_timers_count(self) -> int:
        """Return the number of timers, with those that are cancelled and not swept yet. Switches: never."""
        return len(self.hub.deadlines.heap)

    @property
    def timers_canceled(self) -> int:
        """The number of timers that are cancelled and not swept yet."""
        return self.hub.deadlines.cancelled

    # Descriptors -----------------------------------------------------------------------------------------

    def add(
        self,
        evtype: str,
        fileno: int,
        cb: Callable[[int], object],
        tb: Callable[..., object] | None,
        mark_as_closed: Callable[[], object] | None,
    ) -> FdListener:
        """Call `cb(fileno)` whenever the descriptor is ready, until remove(). Switches: never."""
        listener = self.lclass(evtype, fileno, cb, tb, mark_as_closed)
        listener.start()
        self.listeners[evtype].setdefault(fileno, []).append(listener)
        return listener

    def remove(self, listener: FdListener) -> None:
        """Undo add(). Repeatable. Switches: never."""
        listener.stop()
        known = self.listeners[listener.evtype].get(listener.fileno, [])
        if listener in known:
            known.remove(listener)
            if not known:
                del self.listeners[listener.evtype][listener.fileno]

    def remove_descriptor(self, fileno: int) -> None:
        """Remove all listeners of a descriptor, after a call of each. Switches: never."""
        for side in (READ, WRITE):
            for listener in tuple(self.listeners[side].get(fileno, ())):
                try:
                    listener.cb(fileno)
                except Exception:
                    self.squelch_generic_exception(sys.exc_info())
                self.remove(listener)

    def notify_close(self, fileno: int) -> None:
        """Tell the waiters of a descriptor that it is about to be closed. Switches: never."""
        descriptor = self.hub.descriptors.get(fileno)
        if descriptor is not None:
            descriptor.close()

    mark_as_reopened = notify_close

    def get_readers(self) -> list[FdListener]:
        """Return the listeners of add() for reading. Switches: never."""
        return [one for found in self.listeners[READ].values() for one in found]

    def get_writers(self) -> list[FdListener]:
        """Return the listeners of add() for writing. Switches: never."""
        return [one for found in self.listeners[WRITE].values() for one in found]

    # Debugging -------------------------------------------------------------------------------------------

    def set_debug_listeners(self, value: bool) -> None:
        """Remember where each listener was added. Switches: never."""
        self.lclass = DebugListener if value else FdListener

    def set_timer_exceptions(self, value: bool) -> None:
        """Print errors that no green thread waits for, or not. Switches: never."""
        self.debug_exceptions = value
        hub_exceptions(value)

    def squelch_generic_exception(self, exc_info: Any) -> None:
        """Print an error, unless set_timer_exceptions(False)."""
        if self.debug_exceptions:
            traceback.print_exception(*exc_info)

    def block_detect_pre(self) -> None:
        """Start the alarm of debug.hub_blocking_detection(), once for each turn. Switches: never."""
        if self.debug_blocking:
            native_signal.signal(signal.SIGALRM, alarm_handler)
            native_signal.setitimer(signal.ITIMER_REAL, self.debug_blocking_resolution)
            self.hub.call_after(self.debug_blocking_resolution / 4, self.block_detect_pre)

    def block_detect_post(self) -> None:
        """Stop the alarm. Switches: never."""
        native_signal.setitimer(signal.ITIMER_REAL, 0)


def alarm_handler(number: int, frame: FrameType | None) -> None:
    """Raise in the code that has held the hub for too long."""
    place = "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}, in {frame.f_code.co_name}"
    raise RuntimeError(f"Blocking detector ALARMED at {place}")


__all__ = ["READ", "WRITE", "BaseHub", "DebugListener", "FdListener", "alarm_handler", "noop"]
