"""Each green thread has a trace function and a profile function of its own, as each OS thread has.

Facts: Python keeps both (sys.settrace, sys.setprofile) for the OS thread, and a switch of greenlets leaves them as they
are. What one green thread sets would be called for all, and see frames that never called each other. Decision: where
something traces, greenlet calls `_Exchange` after each switch, which puts back what the green thread had that goes on.
Cost: nothing for a program that is not traced, and 3 µs for each switch in one that is.

Knows greenlets and no hub. A hub asks for it where something traces its OS thread already (coverage), and a patched
program when it calls one of the functions above (patching/green/green_tracing.py).
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
# From Python 3.12 on, code is rewritten when tracing begins or ends, but for the frames that wait in a greenlet: after
# a pause in all tracing they would lack events. Setting their function anew, on their own stack, mends them.
_FRAMES_GO_STALE: Final = sys.version_info >= (3, 12)
# Its one function that waits is a worker of a pool at rest, which begins its next job as a new green thread would, but
# for what the last one has left: a thread of a pool keeps that too.
_WORKERS: Final = "greenserve_hub.greenthreads.workers"

# As they are before anybody patches them: pydevd has one that warns of its use, and keeps what was there.
_set_trace: Final = getattr(sys.modules.get("pydevd_tracing"), "_original_settrace", sys.settrace)
_set_profile: Final = sys.setprofile
_current = _thread._local()  # .exchange, of an OS thread where there is one


def is_traced() -> bool:
    """Whether this OS thread, or the next one that threading starts, is traced or profiled. Switches: never."""
    return any(
        function() is not None
        for function in (sys.gettrace, sys.getprofile, threading.gettrace, threading.getprofile)
    )


def trace_apart() -> None:
    """From now on each green thread of this OS thread keeps its own. Switches: never.

    What is set now is the current one's. It ends by itself when nobody is traced any more.
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
    """Set the trace function of these, which wait, and of all that begin from now on. Switches: never."""
    trace_others(greens, TRACE, function)
    _current.exchange.kinds[TRACE].everybodys = function


def is_everybody_traced() -> bool:
    """Whether trace_everybody() is in force. Switches: never."""
    exchange = getattr(_current, "exchange", None)
    return exchange is not None and exchange.kinds[TRACE].everybodys is not None


def stop_tracing() -> None:
    """If the current trace function is everybody's, it is the current one's alone from now on. Switches: never."""
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
    """What greenlet calls after each switch of an OS thread, in the green thread that goes on."""

    def __init__(self) -> None:
        self.kinds = (
            _Kept(sys.gettrace, _set_trace, threading.gettrace),
            _Kept(sys.getprofile, _set_profile, threading.getprofile),
        )
        self._before: Any = greenlets.settrace(self)  # somebody else's, called as before

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
        """Nothing may be traced for a while, by what Python itself is told."""
        for kept in self.kinds:
            kept.pauses += 1


class _Kept:
    """The trace functions, or the profile functions, of the green threads that wait."""

    def __init__(
        self, get: Callable[[], Any], put: Callable[[Any], None], for_new: Callable[[], Any]
    ) -> None:
        self.of: WeakKeyDictionary[greenlet, tuple[Any, int]] = WeakKeyDictionary()  # and what `pauses` was
        self.everybodys: Any = None  # also of those that begin
        self.pauses = 0  # how often nothing of this kind may have been traced
        self._get = get
        self._put = put
        self._for_new = for_new

    def exchange(self, left: greenlet, entered: greenlet, frame: FrameType | None) -> None:
        """Keep what is set, and set what `entered` had; `frame` is where that goes on, None where it begins."""
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
        # coverage's, where it was told to tell greenlets from each other, is one for all.
        if getattr(now, "concur_id_func", None) is not None:
            return now
        # As a thread does, with what threading.settrace() was given. threading.Thread sees to that itself, and
        # _thread.start_new_thread() does not.
        return None if getattr(green, "begins_untraced", False) else self._for_new()

    def _put_back(self, function: Any) -> None:
        if callable(function):
            self._put(function)
        else:
            function.enable()


def _can_be_put_back(function: Any) -> bool:
    # Tracers in C set themselves by C's own call. Most can be called from Python too, for this very case; cProfile's,
    # before Python 3.12, is set again by its own method. The rest stay with the OS thread.
    return function is None or callable(function) or hasattr(function, "enable")
