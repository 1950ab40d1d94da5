"""A trace function and a profile function for each green thread, as each OS thread has them.

Facts: Python stores both (sys.settrace, sys.setprofile) per OS thread, and a greenlet switch does not change them. A
function that one green thread sets would be called for all, and would see frames that never called each other.
Decision: while anything traces, greenlet calls `_Exchange` after each switch, and it restores the functions of the
green thread that continues. Cost: nothing in a program that is not traced, 3 µs per switch in one that is.

Knows greenlets but no hub. Used by a hub whose OS thread is traced already (coverage), and by a patched program that
calls one of the functions above (patching/green/green_tracing.py).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, Final
from weakref import WeakKeyDictionary

import greenlet as greenlets
from greenlet import greenlet

from greenserve_hub.unpatched import _thread

TRACE: Final = 0
PROFILE: Final = 1
# From Python 3.12 on, code is rewritten when tracing begins or ends, except frames that wait in a greenlet: after a
# pause in all tracing they would miss events. Setting their function again, on their own stack, repairs them.
_FRAMES_GO_STALE: Final = sys.version_info >= (3, 12)
# The one function in it that waits is an idle pool worker. It begins its next job as a new green thread would, but
# keeps a function that its last job left set, as a thread of a thread pool does.
_WORKERS: Final = "greenserve_hub.greenthreads.workers"

# Unpatched: pydevd replaces settrace by a function that warns, and keeps the original here.
_set_trace: Final = getattr(sys.modules.get("pydevd_tracing"), "_original_settrace", sys.settrace)
_set_profile: Final = sys.setprofile
_current = _thread._local()  # .exchange, if this OS thread has one


def is_traced() -> bool:
    """Return True if this OS thread, or the next one that threading starts, is traced or profiled. Switches: never."""
    return any(
        function() is not None
        for function in (sys.gettrace, sys.getprofile, threading.gettrace, threading.getprofile)
    )


def trace_apart() -> None:
    """From now on keep the functions of each green thread of this OS thread apart. Switches: never.

    The functions set now belong to the current green thread. This ends by itself when nothing is traced any more.
    """
    exchange = getattr(_current, "exchange", None)
    if exchange is None:
        exchange = _current.exchange = _Exchange()
    exchange.paused()


def trace_others(greens: Iterable[greenlet], kind: int, function: Any) -> None:
    """Set the trace function (TRACE) or profile function (PROFILE) of green threads that wait. Switches: never."""
    trace_apart()
    kept: _Kept = _current.exchange.kinds[kind]
    kept.of.clear()
    if function is not None:
        kept.of.update((green, (function, -1)) for green in greens)


def trace_everybody(greens: Iterable[greenlet], function: Any) -> None:
    """Set the trace function of `greens`, which wait, and of all that begin from now on. Switches: never."""
    trace_others(greens, TRACE, function)
    _current.exchange.kinds[TRACE].everybodys = function


def is_everybody_traced() -> bool:
    """Return True while trace_everybody() is in effect. Switches: never."""
    exchange = getattr(_current, "exchange", None)
    return exchange is not None and exchange.kinds[TRACE].everybodys is not None


def stop_tracing() -> None:
    """Keep a trace function that trace_everybody() has set for the current green thread only. Switches: never."""
    if not is_everybody_traced():
        return
    kept: _Kept = _current.exchange.kinds[TRACE]
    function = kept.everybodys
    if sys.gettrace() == function:
        kept.everybodys = None
        for green, (its, _) in tuple(kept.of.items()):
            if its == function:
                del kept.of[green]


class _Exchange:
    """Called by greenlet after each switch of an OS thread, in the green thread that continues."""

    def __init__(self) -> None:
        self.kinds = (
            _Kept(sys.gettrace, _set_trace, threading.gettrace),
            _Kept(sys.getprofile, _set_profile, threading.getprofile),
        )
        self._before: Any = greenlets.settrace(self)  # another library's callback, still called

    def __call__(self, event: Any, args: tuple[greenlet, greenlet]) -> None:
        if self._before is not None:
            self._before(event, args)
        frame = sys._getframe().f_back
        for kept in self.kinds:
            kept.exchange(*args, frame)
        called: object = greenlets.gettrace()
        if called is self and not is_traced() and not any(kept.of or kept.everybodys for kept in self.kinds):
            greenlets.settrace(self._before)
            _current.exchange = None

    def paused(self) -> None:
        """Note a time in which Python itself may have traced nothing."""
        for kept in self.kinds:
            kept.pauses += 1


class _Kept:
    """The trace functions, or the profile functions, of the green threads that wait."""

    def __init__(
        self, get: Callable[[], Any], put: Callable[[Any], None], for_new: Callable[[], Any]
    ) -> None:
        self.of: WeakKeyDictionary[greenlet, tuple[Any, int]] = (
            WeakKeyDictionary()
        )  # with `pauses` of that time
        self.everybodys: Any = None  # also for green threads that begin
        self.pauses = 0  # times in which nothing of this kind may have been traced
        self._get = get
        self._put = put
        self._for_new = for_new

    def exchange(self, left: greenlet, entered: greenlet, frame: FrameType | None) -> None:
        """Store the current function and set that of `entered`, which continues at `frame`; None if it begins."""
        now = self._get()
        if not _can_be_put_back(now):
            return
        if now is not None and not left.dead:
            self.of[left] = (now, self.pauses)
        own, pauses = self.of.pop(entered, (None, self.pauses))
        if frame is None or (own is None and frame.f_globals.get("__name__") == _WORKERS):
            own = self._first(entered, now)
        if own is None:
            self.pauses += 1
            if now is not None:
                self._put(None)
        elif _FRAMES_GO_STALE and pauses != self.pauses:
            self._put(None)
            self._put_back(own)
        elif own is not now:
            self._put_back(own)

    def _first(self, green: greenlet, now: Any) -> Any:
        if self.everybodys is not None:
            return self.everybodys
        # coverage with concurrency=greenlet has one function for all.
        if getattr(now, "concur_id_func", None) is not None:
            return now
        # The function of threading.settrace(), as for a thread. threading.Thread sets it itself,
        # _thread.start_new_thread() does not.
        return None if getattr(green, "begins_untraced", False) else self._for_new()

    def _put_back(self, function: Any) -> None:
        if callable(function):
            self._put(function)
        else:
            function.enable()


def _can_be_put_back(function: Any) -> bool:
    # Tracers in C set themselves in C. Most can also be called from Python, for this case. cProfile's, before Python
    # 3.12, has a method that sets it again. All others stay with the OS thread.
    return function is None or callable(function) or hasattr(function, "enable")
