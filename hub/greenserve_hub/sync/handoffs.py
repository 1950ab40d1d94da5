"""Handing a thing from one who has it to the first of those who wait for it, across OS threads.

Crossing is one wait, of a green thread or an OS thread, that any OS thread ends. wait_in_line() and hand_off() are what
the locks of a patched program and the semaphores of sync/thread_sync.py have in common.

Invariants: first come, first served; what is handed off is never lost: to one whose time has just run out it is a
success, from one that an exception reached it goes to the next.

Facts: no lock guards any of this. A finalizer or a signal handler that runs in the midst of it may call the same
object, and may wait; a lock would be its own by then, or be kept from the other OS threads meanwhile. So what must be
one step stands in a row in which CPython lets nobody in (see loop/parking.py), and who has given something and finds
that somebody came meanwhile has him look again. Who waits in the midst of another wait of his own, for the same, is
served in that one's place: the other can't go on before.
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

_FOREVER = -1.0  # how _thread spells "no timeout"
_clock: Final = time.monotonic


class Crossing:
    """One wait, of a green thread or of a whole OS thread, that any OS thread may end."""

    __slots__ = ("_lock", "_waiter")

    def __init__(self, verb: str, subject: object = None) -> None:
        """`verb` and `subject` are what a dump of the green thread says."""
        hub = find_hub()
        self._waiter = None if hub is None else Waiter(hub, verb, subject)
        if hub is None:
            self._lock = _thread.allocate_lock()
            self._lock.acquire()

    def park(self, timeout: float | None = None, in_hub: bool = False) -> bool:
        """Wait for wake(); False when `timeout` seconds pass first. Switches: always, where there is a hub.

        `in_hub`: even in a callback of the hub.
        """
        waiter = self._waiter
        if waiter is None:
            if timeout is None and has_begun() and self._lock.locked():
                raise deadlock()
            return self._lock.acquire(timeout=_FOREVER if timeout is None else timeout)
        door = waiter.hub.door
        door.users += 1
        try:
            return waiter.park(timeout, None, in_hub) is not TIMED_OUT
        finally:
            door.users -= 1

    def again(self) -> None:
        """Have park() wait once more. Switches: never."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = Waiter(waiter.hub, waiter.verb, waiter.subject)

    def wake(self) -> None:
        """End the wait, now or when it begins. From any OS thread. Switches: never."""
        ring, with_it = self.ring()
        waiter = self._waiter
        if waiter is not None:
            waiter.woken = True
        with suppress(RuntimeError):  # an OS thread's lock: it is woken already
            ring(*with_it)

    def ring(self) -> Ring:
        """What to call, once, to wake whose `_waiter.woken` was set: in C, so that nothing interrupts it."""
        waiter = self._waiter
        if waiter is None:
            return self._lock.release, ()
        hub = waiter.hub
        if find_hub() is not hub:
            # A turn later, as from the hub's own thread: behind what was spawned from here before.
            return hub.door.ring(hub.ready.append, ((waiter.resume, ()),))
        if type(hub.ready) is not deque:
            hub.poller.interrupt()  # type: ignore[attr-defined]  # asyncio's: what its append() does besides
        return deque.append, (hub.ready, (waiter.resume, ()))


class _Place(Crossing):
    """A wait in a line."""

    __slots__ = ("granted", "green", "inner", "line", "outer")

    def __init__(self, line: Line, subject: object) -> None:
        super().__init__("acquire", subject)
        self.granted = False
        self.line = line
        self.green = getcurrent()
        self.outer = _standing.get(self.green)  # a wait in whose midst this one is
        self.inner: _Place | None = None  # a wait for the same, in the midst of this one


# A deque would take 600 bytes from the start, and most are short.
Line = list[_Place]
_standing: dict[greenlet, _Place] = {}  # in a line, the innermost of each green thread or OS thread


def wait_in_line(
    line: Line,
    subject: object,
    take: Callable[[], bool],
    give_back: Callable[[], object],
    timeout: float | None,
    in_hub: bool = False,
) -> bool:
    """Stand in `line` until `take()` gives what it stands for, or hand_off() does; False after `timeout` seconds.

    `give_back()` gives it to the next, from one that an exception has reached. Switches: unless `take()` is true.
    """
    place = _Place(line, subject)
    green, outer = place.green, place.outer
    end = None if timeout is None else _clock() + timeout
    try:
        _stand(place)
        while not place.granted:
            if take():
                if not _leave(place):
                    give_back()  # it was served as well, just before
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
    """The wait for the same in whose midst this one is, unless that one has left and is just coming to its end."""
    outer = place.outer
    while outer is not None and (outer.line is not place.line or _has_left(outer)):
        outer = outer.outer
    return outer


def _has_left(place: _Place) -> bool:
    over = _over(place)
    # Nobody is let in between: who is not served yet stands in the line, or in the midst of one who does.
    return not (place.granted or place in place.line or (over is not None and over.inner is place))


def _stand(place: _Place) -> None:
    over, line, mine = _over(place), place.line, [place]
    # Nobody is let in between: who is in line is known to be.
    if over is None:
        line += mine
    elif over.granted:
        over.granted, place.granted = False, True
        line[:0] = [over]
    else:
        over.inner = place
    _standing[place.green] = place


def _leave(place: _Place) -> bool:
    """Step out of the line; False if it was served."""
    over = _over(place)
    if over is not None and over.inner is place:
        over.inner = None
    elif not place.granted:
        with suppress(ValueError):  # it was served just now
            place.line.remove(place)
    return not place.granted


def hand_off(line: Line, owner: dict[int, Any] | None = None) -> bool:
    """Give what it has, to the first in line, whose green thread becomes `owner[0]`; False when nobody is.

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
            # From here to the ring nobody is let in.
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
    """Have the first in line look again at what was made free. From any OS thread. Switches: never."""
    with suppress(IndexError):
        line[0].wake()
