"""Handing a lock or a token to the first waiter, across OS threads.

Crossing is one wait, of a green thread or an OS thread, that any OS thread can end. wait_in_line() and hand_off() are
shared by the locks of a patched program and the semaphores of sync/thread_sync.py.

Invariants: first come, first served. A token is never lost: if the waiter's timeout has just passed, the wait succeeds;
if an exception reached the waiter, the token goes to the next one.

Facts: no lock guards this code. A finalizer or a signal handler may run in the middle of it, call the same object and
wait; it would own that lock already, or keep it from the other OS threads meanwhile. Consequence: steps that must be
atomic stand together where CPython does not interrupt (see loop/parking.py). Code that gave something back and then
sees a new waiter makes that one look again. A wait for the same object inside another wait of the same thread is served
in the place of the outer one, which cannot continue before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from greenlet import getcurrent, greenlet

from greenserve_hub.finalization import deadlock, has_begun
from greenserve_hub.loop.current import find_hub
from greenserve_hub.loop.parking import TIMED_OUT, Waiter
from greenserve_hub.loop.wakeups import Ring
from greenserve_hub.unpatched import _thread, time

_FOREVER = -1.0  # _thread's "no timeout"
_clock: Final = time.monotonic


class Crossing:
    """One wait, of a green thread or of a whole OS thread, that any OS thread can end."""

    __slots__ = ("_lock", "_waiter")

    def __init__(self, verb: str, subject: object = None) -> None:
        """`verb` and `subject` describe the wait in a dump."""
        hub = find_hub()
        self._waiter = None if hub is None else Waiter(hub, verb, subject)
        if hub is None:
            self._lock = _thread.allocate_lock()
            self._lock.acquire()

    def park(self, timeout: float | None = None, in_hub: bool = False) -> bool:
        """Wait for wake(); False if `timeout` seconds pass first. Switches: always, in an OS thread with a hub.

        `in_hub`: wait even in a callback of the hub.
        """
        waiter = self._waiter
        if waiter is None:
            if timeout is None and has_begun() and self._lock.locked():
                raise deadlock()
            return self._lock.acquire(timeout=_FOREVER if timeout is None else timeout)
        wakeup = waiter.hub.wakeup
        wakeup.users += 1
        try:
            return waiter.park(timeout, None, in_hub) is not TIMED_OUT
        finally:
            wakeup.users -= 1

    def again(self) -> None:
        """Prepare for another park(). Switches: never."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = Waiter(waiter.hub, waiter.verb, waiter.subject)

    def wake(self) -> None:
        """End the wait, now or when it begins. From any OS thread. Switches: never."""
        ring, with_it = self.ring()
        waiter = self._waiter
        if waiter is not None:
            waiter.woken = True
        with suppress(RuntimeError):  # an OS thread's lock that was released already
            ring(*with_it)

    def ring(self) -> Ring:
        """Return the call that wakes this wait after `_waiter.woken` is set. It is in C: nothing interrupts it."""
        waiter = self._waiter
        if waiter is None:
            return self._lock.release, ()
        hub = waiter.hub
        if find_hub() is not hub:
            # A turn later, as from the hub's own thread: after green threads that were spawned from here before.
            return hub.wakeup.ring(hub.ready.append, ((waiter.resume, ()),))
        if type(hub.ready) is not deque:
            hub.poller.interrupt()  # type: ignore[attr-defined]  # asyncio's append() does this too
        return deque.append, (hub.ready, (waiter.resume, ()))


class _Place(Crossing):
    """A wait in a queue of waiters."""

    __slots__ = ("granted", "green", "inner", "line", "outer")

    def __init__(self, line: Line, subject: object) -> None:
        super().__init__("acquire", subject)
        self.granted = False
        self.line = line
        self.green = getcurrent()
        self.outer = _standing.get(self.green)  # the wait that this one interrupts
        self.inner: _Place | None = None  # a wait for the same object that interrupts this one


# A deque takes 600 bytes even when empty, and most lines are short.
Line = list[_Place]
_standing: dict[greenlet, _Place] = {}  # the innermost wait of each green thread or OS thread


def wait_in_line(
    line: Line,
    subject: object,
    take: Callable[[], bool],
    give_back: Callable[[], object],
    timeout: float | None,
    in_hub: bool = False,
) -> bool:
    """Wait in `line` until `take()` returns True or hand_off() serves this waiter; False after `timeout` seconds.

    After an exception, `give_back()` passes what was received to the next waiter. Switches: unless `take()` is true.
    """
    place = _Place(line, subject)
    green, outer = place.green, place.outer
    end = None if timeout is None else _clock() + timeout
    try:
        _stand(place)
        while not place.granted:
            if take():
                if not _leave(place):
                    give_back()  # hand_off() has served it too, just before
                break
            if not place.park(None if end is None else max(0, end - _clock()), in_hub):
                return not _leave(place)
            place.again()
        return True
    except BaseException:
        if not _leave(place):
            give_back()
        raise
    finally:
        if outer is None:
            _standing.pop(green, None)
        else:
            _standing[green] = outer


def _over(place: _Place) -> _Place | None:
    """Return the wait for the same object that `place` interrupts, unless it has left the line and is ending."""
    outer = place.outer
    while outer is not None and (outer.line is not place.line or _has_left(outer)):
        outer = outer.outer
    return outer


def _has_left(place: _Place) -> bool:
    over = _over(place)
    # No interruption between these: a wait that is not served is in the line, or interrupts one that is.
    return not (place.granted or place in place.line or (over is not None and over.inner is place))


def _stand(place: _Place) -> None:
    over, line, mine = _over(place), place.line, [place]
    # No interruption between these: each wait in a line must be in `_standing`.
    if over is None:
        line += mine
    elif over.granted:
        over.granted, place.granted = False, True
        line[:0] = [over]
    else:
        over.inner = place
    _standing[place.green] = place


def _leave(place: _Place) -> bool:
    """Leave the line; False if it was served."""
    over = _over(place)
    if over is not None and over.inner is place:
        over.inner = None
    elif not place.granted:
        with suppress(ValueError):  # it was served in this moment
            place.line.remove(place)
    return not place.granted


def hand_off(line: Line, owner: dict[int, Any] | None = None) -> bool:
    """Serve the first in line, whose green thread becomes `owner[0]`; False if the line is empty.

    From any OS thread. Switches: never.
    """
    while line:
        first = place = line[0]
        over = None
        while place.inner is not None:
            over, place = place, place.inner
        ring, with_it = place.ring()
        waiter = place._waiter
        if line and line[0] is first and place.inner is None and (over is None or over.inner is place):
            # No interruption from here to ring().
            if over is None:
                del line[0]
            else:
                over.inner = None
            place.granted = True
            if owner is not None:
                owner[0] = place.green
            if waiter is not None:
                waiter.woken = True
            try:
                ring(*with_it)
            except RuntimeError:
                return True  # see Crossing.wake
            return True
    return False


def nudge(line: Line) -> None:
    """Make the first in line try again, after something was released. From any OS thread. Switches: never."""
    with suppress(IndexError):
        line[0].wake()
