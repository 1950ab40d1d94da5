"""Semaphore, Event and Queue between OS threads and green threads, with the interfaces of threading and queue.

A waiter is a green thread, whose hub keeps running, or an OS thread without a hub, which blocks. Either of them, or a
signal handler, can wake it. Within one hub, sync/semaphores.py, sync/events.py and sync/queues.py are cheaper. Also
used by osthreads/thread_pools.py and osthreads/dns.py.

Invariants: first come, first served. A token is never lost: if the waiter's timeout has just passed, the wait succeeds;
if an exception reached the waiter, the token goes to the next one.

No lock guards this code: see sync/handoffs.py, which it uses.
"""

from __future__ import annotations

from collections import deque
from queue import Empty, Full
from types import TracebackType
from typing import Generic, TypeVar

from greenserve_hub.sync.handoffs import Crossing, Line, hand_off, nudge, wait_in_line
from greenserve_hub.sync.semaphores import checked_timeout

T = TypeVar("T")


class Semaphore:
    """threading.Semaphore, also between OS threads and green threads."""

    __slots__ = ("__weakref__", "_line", "_tokens")

    def __init__(self, value: int = 1) -> None:
        """Start with `value` tokens; ValueError if negative."""
        if value < 0:
            raise ValueError(f"a semaphore starts with 0 tokens or more, not {value}")
        self._tokens = value
        self._line: Line = []

    def __repr__(self) -> str:
        """Return the text for dumps."""
        return f"<threads.Semaphore at {id(self):#x}, {self._tokens} free, {len(self._line)} waiting>"

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take a token; False if there is none and not `blocking`, or none within `timeout` seconds.

        Switches: when empty.
        """
        if timeout is not None:
            timeout = checked_timeout(blocking, timeout)
        if self._tokens:
            self._tokens -= 1
            return True
        return blocking and wait_in_line(self._line, self, self._take, self.release, timeout)

    def _take(self) -> bool:
        if self._tokens:
            self._tokens -= 1
            return True
        return False

    def release(self, n: int = 1) -> None:
        """Give `n` tokens back. From any OS thread. Switches: never."""
        if n < 1:
            raise ValueError(f"release() gives back 1 token or more, not {n}")
        line = self._line
        for _ in range(n):
            if not line or not hand_off(line):
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
        """Return the text for dumps."""
        state = "set" if self._set else f"unset, {len(self._line)} waiting"
        return f"<threads.Event at {id(self):#x}, {state}>"

    def is_set(self) -> bool:
        """Return True if it is set, so that wait() returns at once. Switches: never."""
        return self._set

    def set(self) -> None:
        """Wake all waiters, and let later waits return at once. From any OS thread. Switches: never."""
        line: dict[Crossing, None] = {}
        self._set = True
        line, self._line = self._line, line
        for crossing in line:
            crossing.wake()

    def clear(self) -> None:
        """Make later waits wait again. Switches: never."""
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
    """queue.Queue, also between OS threads and green threads. Waiters are served first come, first served."""

    __slots__ = ("__weakref__", "_all_done", "_items", "_ready", "_room", "_unfinished", "maxsize")

    def __init__(self, maxsize: int = 0) -> None:
        """Hold at most `maxsize` items; 0 or less is no limit."""
        self.maxsize = maxsize
        self._items: deque[T] = deque()
        self._ready = Semaphore(0)
        self._room = Semaphore(maxsize) if maxsize > 0 else None
        self._unfinished = 0
        self._all_done = Event()
        self._all_done.set()

    def __repr__(self) -> str:
        """Return the text for dumps."""
        return f"<threads.Queue at {id(self):#x}, {len(self._items)} items>"

    def qsize(self) -> int:
        """Return the number of items. Switches: never."""
        return len(self._items)

    def empty(self) -> bool:
        """Return True if get() would wait. Switches: never."""
        return not self._items

    def full(self) -> bool:
        """Return True if put() would wait. Switches: never."""
        return 0 < self.maxsize <= len(self._items)

    def put(self, item: T, block: bool = True, timeout: float | None = None) -> None:
        """Add an item; queue.Full if there is no room in time. Switches: when full."""
        if self._room is not None and not _acquire(self._room, block, timeout):
            raise Full
        self._unfinished += 1
        self._all_done.clear()
        self._items.append(item)
        self._ready.release()

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """Take the oldest item; queue.Empty if there is none in time. Switches: when empty."""
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
        """Mark one item as processed; ValueError if called more often than items were put in. Switches: never."""
        if not self._unfinished:
            raise ValueError("task_done() called more often than items were taken")
        self._unfinished -= 1
        if not self._unfinished:
            self._all_done.set()
            if self._unfinished:
                self._all_done.clear()  # an item came in meanwhile: see join()

    def join(self) -> None:
        """Wait until all items are processed (task_done). Switches: unless all are."""
        while self._unfinished:
            self._all_done.clear()  # still set if a finalizer waits in the middle of a put()
            if self._unfinished:
                self._all_done.wait()


def _acquire(semaphore: Semaphore, block: bool, timeout: float | None) -> bool:
    if timeout is not None and timeout < 0:
        raise ValueError("a timeout cannot be negative")
    return semaphore.acquire(block, timeout if block else None)
