"""What OS threads and green threads meet at: Semaphore, Event and Queue, in the shape of threading and queue.

Whoever waits here may be a green thread, whose hub goes on meanwhile, or an OS thread without a hub, which simply
blocks; whoever wakes may be either, or a signal handler. Within one hub the primitives of semaphores.py, events.py
and queues.py are cheaper. Called by thread_pools.py and dns.py too.

Invariants: first come, first served; a token is given away and never lost: to a waiter whose time has just run out it
is a success, from one that an exception reached it goes to the next.

Facts: no lock guards any of this. A finalizer or a signal handler that runs in the midst of it may call the same
object, and may wait; a lock would be its own by then, or be kept from the other OS threads meanwhile. So what must be
one step stands in a row in which CPython lets nobody in (see parking.py), and who has given something and finds that
somebody came meanwhile has him look again. Who waits in the midst of another wait of his own, for the same, is served
in that one's place: the other can't go on before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from queue import Empty, Full
from types import TracebackType
from typing import Any, Final, Generic, TypeVar

from greenlet import getcurrent, greenlet

from greenserve_hub.doors import Ring
from greenserve_hub.loop import find_hub
from greenserve_hub.natives import _thread, time
from greenserve_hub.parking import TIMED_OUT, Waiter
from greenserve_hub.semaphores import checked_timeout

T = TypeVar("T")

_FOREVER = -1.0  # how _thread spells "no timeout"
_clock: Final = time.monotonic


class Crossing:
    """One wait, of a green thread or of a whole OS thread, that any OS thread may end."""

    __slots__ = ("_lock", "_waiter", "granted", "green", "inner", "line", "outer")

    def __init__(self, verb: str, subject: object = None) -> None:
        """`verb` and `subject` are what a dump of the green thread says."""
        self.granted = False
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
        try:
            ring(*with_it)
        except RuntimeError:
            pass  # the OS thread's lock: it is woken already

    def ring(self) -> Ring:
        """What to call, once, to wake whose `_waiter.woken` was set: in C, so that nothing interrupts it."""
        waiter = self._waiter
        if waiter is None:
            return self._lock.release, ()
        hub = waiter.hub
        if find_hub() is not hub:
            return hub.door.ring(waiter._resume, ())
        if type(hub.ready) is not deque:
            hub.poller.interrupt()  # type: ignore[attr-defined]  # asyncio's: what its append() does besides
        return deque.append, (hub.ready, (waiter._resume, ()))


# Lines: lists of Crossings. A deque would take 600 bytes from the start, and most are short.
Line = list[Crossing]
_standing: dict[greenlet, Crossing] = {}  # in a line, the innermost of each green thread or OS thread


def wait_in(
    line: Line,
    subject: object,
    take: Callable[[], bool],
    give_back: Callable[[], object],
    timeout: float | None,
    in_hub: bool = False,
) -> bool:
    """Stand in `line` until `take()` gives what it stands for, or serve() does; False after `timeout` seconds.

    `give_back()` gives it to the next, from one that an exception has reached. Switches: unless `take()` is true.
    """
    crossing = Crossing("acquire", subject)
    crossing.line = line
    crossing.inner = None
    crossing.green = green = getcurrent()
    crossing.outer = outer = _standing.get(green)
    end = None if timeout is None else _clock() + timeout
    try:
        _standing[green] = crossing
        _stand(crossing)
        while not crossing.granted:
            if take():
                _leave(crossing)
                break
            if not crossing.park(None if end is None else max(0, end - _clock()), in_hub):
                return not _leave(crossing)
            crossing.again()
        return True
    except BaseException:
        if not _leave(crossing):
            give_back()
        raise
    finally:
        if outer is None:
            _standing.pop(green, None)
        else:
            _standing[green] = outer


def _over(crossing: Crossing) -> Crossing | None:
    """The wait for the same in whose midst this one is."""
    outer = crossing.outer
    while outer is not None and outer.line is not crossing.line:
        outer = outer.outer
    return outer


def _stand(crossing: Crossing) -> None:
    over = _over(crossing)
    if over is None:
        crossing.line.append(crossing)
    elif over.granted:
        over.granted, crossing.granted = False, True
        crossing.line.insert(0, over)
    else:
        over.inner = crossing


def _leave(crossing: Crossing) -> bool:
    """Step out of the line; False if it was served."""
    over = _over(crossing)
    if over is not None and over.inner is crossing:
        over.inner = None
    elif not crossing.granted:
        try:
            crossing.line.remove(crossing)
        except ValueError:
            pass  # it was served just now
    return not crossing.granted


def serve(line: Line, owner: dict[int, Any] | None = None) -> bool:
    """Give what it has, to the first in line, whose green thread becomes `owner[0]`; False when nobody is.

    From any OS thread. Switches: never.
    """
    while line:
        first = crossing = line[0]
        over = None
        while crossing.inner is not None:
            over, crossing = crossing, crossing.inner
        ring, with_it = crossing.ring()
        waiter = crossing._waiter
        if line and line[0] is first and crossing.inner is None and (over is None or over.inner is crossing):
            # From here to the ring nobody is let in.
            if over is None:
                del line[0]
            else:
                over.inner = None
            crossing.granted = True
            if owner is not None:
                owner[0] = crossing.green
            if waiter is not None:
                waiter.woken = True
            try:
                ring(*with_it)
            except RuntimeError:
                pass  # see Crossing.wake
            return True
    return False


def nudge(line: Line) -> None:
    """Have the first in line look again at what was made free. From any OS thread. Switches: never."""
    try:
        line[0].wake()
    except IndexError:
        pass


class Semaphore:
    """threading.Semaphore, also between OS threads and green threads."""

    __slots__ = ("__weakref__", "_line", "_tokens")

    def __init__(self, value: int = 1) -> None:
        """`value` tokens to begin with, not negative."""
        if value < 0:
            raise ValueError(f"a semaphore begins with 0 tokens or more, not {value}")
        self._tokens = value
        self._line: Line = []

    def __repr__(self) -> str:
        """As it stands in dumps."""
        return f"<threads.Semaphore at {id(self):#x}, {self._tokens} free, {len(self._line)} waiting>"

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take a token; False when there is none and not `blocking`, or none within `timeout` seconds.

        Switches: when empty.
        """
        if timeout is not None:
            timeout = checked_timeout(blocking, timeout)
        if self._tokens:
            self._tokens -= 1
            return True
        return blocking and wait_in(self._line, self, self._take, self.release, timeout)

    def _take(self) -> bool:
        if self._tokens:
            self._tokens -= 1
            return True
        return False

    def release(self, n: int = 1) -> None:
        """Give `n` tokens back. From any OS thread. Switches: never."""
        if n < 1:
            raise ValueError(f"release gives back one token or more, not {n}")
        line = self._line
        for _ in range(n):
            if not line or not serve(line):
                self._tokens += 1
                if line:
                    nudge(line)

    def __enter__(self) -> bool:
        """Acquire. Switches: when empty."""
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release. Switches: never."""
        self.release()


class Event:
    """threading.Event, also between OS threads and green threads."""

    __slots__ = ("__weakref__", "_line", "_set")

    def __init__(self) -> None:
        """Not set."""
        self._set = False
        self._line: dict[Crossing, None] = {}

    def __repr__(self) -> str:
        """As it stands in dumps."""
        state = "set" if self._set else f"unset, {len(self._line)} waiting"
        return f"<threads.Event at {id(self):#x}, {state}>"

    def is_set(self) -> bool:
        """Whether wait() would return at once. Switches: never."""
        return self._set

    def set(self) -> None:
        """Let all go on that wait, and those to come. From any OS thread. Switches: never."""
        line: dict[Crossing, None] = {}
        self._set = True
        line, self._line = self._line, line
        for crossing in line:
            crossing.wake()

    def clear(self) -> None:
        """Have those to come wait again. Switches: never."""
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until set; False after `timeout` seconds. Switches: unless it is set."""
        if self._set:
            return True
        crossing = Crossing("the setting of", self)
        line = self._line
        if self._set:
            return True
        line[crossing] = None
        try:
            return crossing.park(timeout)
        finally:
            self._line.pop(crossing, None)


class Queue(Generic[T]):
    """queue.Queue, also between OS threads and green threads; FIFO among those who wait as well."""

    __slots__ = ("__weakref__", "_all_done", "_items", "_ready", "_room", "_unfinished", "maxsize")

    def __init__(self, maxsize: int = 0) -> None:
        """At most `maxsize` items; 0 or less is no bound."""
        self.maxsize = maxsize
        self._items: deque[T] = deque()
        self._ready = Semaphore(0)
        self._room = Semaphore(maxsize) if maxsize > 0 else None
        self._unfinished = 0
        self._all_done = Event()
        self._all_done.set()

    def __repr__(self) -> str:
        """As it stands in dumps."""
        return f"<threads.Queue at {id(self):#x}, {len(self._items)} items>"

    def qsize(self) -> int:
        """How many items are in it. Switches: never."""
        return len(self._items)

    def empty(self) -> bool:
        """Whether get() would wait. Switches: never."""
        return not self._items

    def full(self) -> bool:
        """Whether put() would wait. Switches: never."""
        return 0 < self.maxsize <= len(self._items)

    def put(self, item: T, block: bool = True, timeout: float | None = None) -> None:
        """Add an item; queue.Full when there is no room in time. Switches: when full."""
        if self._room is not None and not _acquire(self._room, block, timeout):
            raise Full
        self._unfinished += 1
        self._all_done.clear()
        self._items.append(item)
        self._ready.release()

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """Take the oldest item; queue.Empty when there is none in time. Switches: when empty."""
        if not _acquire(self._ready, block, timeout):
            raise Empty
        item = self._items.popleft()
        if self._room is not None:
            self._room.release()
        return item

    def put_nowait(self, item: T) -> None:
        """Add an item or raise queue.Full. Switches: never."""
        self.put(item, block=False)

    def get_nowait(self) -> T:
        """Take an item or raise queue.Empty. Switches: never."""
        return self.get(block=False)

    def task_done(self) -> None:
        """Say that an item taken is dealt with; ValueError when there are none left to be. Switches: never."""
        if not self._unfinished:
            raise ValueError("task_done() called more often than items were taken")
        self._unfinished -= 1
        if not self._unfinished:
            self._all_done.set()
            if self._unfinished:
                self._all_done.clear()  # one came in meanwhile: see join()

    def join(self) -> None:
        """Wait until every item put in has been dealt with. Switches: unless that is so."""
        while self._unfinished:
            self._all_done.wait()


def _acquire(semaphore: Semaphore, block: bool, timeout: float | None) -> bool:
    if timeout is not None and timeout < 0:
        raise ValueError("a timeout is not negative")
    return semaphore.acquire(block, timeout if block else None)
