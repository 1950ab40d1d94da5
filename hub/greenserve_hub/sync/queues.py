"""Queues between green threads: first in first out, by priority, last in first out, and the channel (size 0).

Use WaitQueue. An item goes directly to the longest waiting getter. When there is room, the item of the longest waiting
putter goes in at once, within the call that made the room. So no other green thread can come in between.

Invariants: while a green thread waits to get, the queue is empty; while one waits to put, it is full. If an exception
(Timeout, kill) reaches a getter before its item, the item goes to the next getter, or back to the head of the queue. A
finalizer that puts, gets or waits in the middle of these steps finds the first two broken for a moment; the interrupted
code then serves all waiters that can be served.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from heapq import heappop, heappush
from queue import Empty, Full
from typing import Any, Generic, TypeVar

from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.parking import TIMED_OUT, Waiter, WaitQueue

__all__ = ["Empty", "Full", "LifoQueue", "LightQueue", "PriorityQueue", "Queue"]

T = TypeVar("T")


class _Offer(Generic[T]):
    """An item whose putter waits; as text the queue, for dumps."""

    __slots__ = ("item", "queue")

    def __init__(self, queue: Queue[T], item: T) -> None:
        self.queue = queue
        self.item = item

    def __str__(self) -> str:
        return str(self.queue)


class Queue(Generic[T]):
    """First in, first out. `maxsize` None or negative: no limit; 0: a channel, where put() waits for a get()."""

    def __init__(self, maxsize: int | None = None) -> None:
        """Empty."""
        self.maxsize = None if maxsize is None or maxsize < 0 else maxsize
        self.unfinished_tasks = 0
        self._getters = WaitQueue()
        self._putters = WaitQueue()
        self._joiners = WaitQueue()
        self._init(self.maxsize)

    # For subclasses, with the names of queue.Queue ------------------------------------------------------

    def _init(self, maxsize: int | None) -> None:
        self.queue: Any = deque()

    def _put(self, item: T) -> None:
        self.queue.append(item)

    def _put_back(self, item: T) -> None:
        self.queue.appendleft(item)

    def _get(self) -> T:
        item: T = self.queue.popleft()
        return item

    # State -----------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        """Return the text for dumps."""
        size = "" if self.maxsize is None else f" maxsize={self.maxsize}"
        return (
            f"<{type(self).__name__} at {id(self):#x}{size} items={self.qsize()}"
            f" getting={self.getting()} putting={self.putting()}>"
        )

    def qsize(self) -> int:
        """Return the number of items. Switches: never."""
        return len(self.queue)

    def empty(self) -> bool:
        """Return True if there are no items; always True for a channel. Switches: never."""
        return not self.queue

    def full(self) -> bool:
        """Return True if there is no room for an item; always True for a channel. Switches: never."""
        return self.maxsize is not None and len(self.queue) >= self.maxsize

    def getting(self) -> int:
        """Return the number of waiting getters. Switches: never."""
        return len(self._getters)

    def putting(self) -> int:
        """Return the number of waiting putters. Switches: never."""
        return len(self._putters)

    # Items in and out ------------------------------------------------------------------------------------

    def put(self, item: T, block: bool = True, timeout: float | None = None) -> None:
        """Put an item in, or hand it to the longest waiting getter. Switches: when full.

        Full if there is no room and not `block`, or none within `timeout` seconds. If an exception reaches a waiting
        putter after its item was taken, the item stays taken.
        """
        if self._getters.waiting:
            self.unfinished_tasks += 1  # before task_done() can be called for it
            if self._getters.wake_one(item):
                return
            self._finished()
        if self.maxsize is None or len(self.queue) < self.maxsize:
            self.unfinished_tasks += 1
            self._put(item)
            if self._getters.waiting:
                self._match()
            return
        if not block:
            raise Full
        waiter = Waiter(get_hub(), "put into", _Offer(self, item))
        self._putters.waiting[waiter] = None
        self._match()  # room or a getter may have come in this moment
        if self._putters.park_in(waiter, timeout) is TIMED_OUT:
            raise Full

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """Take an item out. Switches: when empty.

        Empty if there is none and not `block`, or none within `timeout` seconds.
        """
        item: T
        waiter = None
        while True:
            if self.queue:
                try:
                    item = self._get()
                except IndexError:
                    if self.queue:
                        raise
                    continue  # it was taken in this moment
                if self._putters.waiting:
                    self._match()
                return item
            if self._putters.waiting:  # at a channel
                offer = self._putters.take_one()
                if offer is not None:
                    self.unfinished_tasks += 1
                    item = offer.item
                    return item
            elif not block:
                raise Empty
            elif waiter is None:
                waiter = Waiter(get_hub(), "get from", self)
            else:
                self._getters.waiting[waiter] = None
                item = self._getters.park_in(waiter, timeout, self._undo_get)
                if item is TIMED_OUT:
                    raise Empty
                return item

    def put_nowait(self, item: T) -> None:
        """put(item, block=False). Switches: never."""
        self.put(item, False)

    def get_nowait(self) -> T:
        """get(block=False). Switches: never."""
        return self.get(False)

    def resize(self, maxsize: int | None) -> None:
        """Change the limit. Items above a smaller limit stay. Switches: never."""
        self.maxsize = None if maxsize is None or maxsize < 0 else maxsize
        self._match()

    def _match(self) -> None:
        # Give the items to waiting getters, and the room to waiting putters.
        while True:
            if self._getters.waiting and self.queue:
                with suppress(IndexError):  # it was taken in this moment
                    self._undo_get(self._get())
            elif self._putters.waiting and (
                self._getters.waiting or self.maxsize is None or len(self.queue) < self.maxsize
            ):
                offer = self._putters.take_one()
                if offer is not None:
                    self.unfinished_tasks += 1
                    if self.queue or not self._getters.wake_one(offer.item):
                        self._put(offer.item)
            else:
                return

    def _undo_get(self, item: T) -> None:
        if not self._getters.wake_one(item):
            self._put_back(item)

    # Tasks -----------------------------------------------------------------------------------------------

    def task_done(self) -> None:
        """Mark one item as processed; ValueError if called more often than items were put in. Switches: never."""
        if self.unfinished_tasks <= 0:
            raise ValueError("task_done() called more often than items were put in")
        self._finished()

    def _finished(self) -> None:
        self.unfinished_tasks -= 1
        if not self.unfinished_tasks:
            self._joiners.wake_all()

    def join(self) -> None:
        """Wait until all items are processed (task_done). Switches: unless all are."""
        while self.unfinished_tasks:
            waiter = Waiter(get_hub(), "the tasks of", self)
            if self.unfinished_tasks:
                self._joiners.waiting[waiter] = None
                self._joiners.park_in(waiter)


LightQueue = Queue  # eventlet's name for a queue without join(), which costs nothing here


class PriorityQueue(Queue[T]):
    """The smallest item first."""

    def _init(self, maxsize: int | None) -> None:
        self.queue: list[T] = []

    def _put(self, item: T) -> None:
        heappush(self.queue, item)  # type: ignore[type-var]  # the caller's items must be comparable

    _put_back = _put

    def _get(self) -> T:
        return heappop(self.queue)  # type: ignore[type-var]  # see _put


class LifoQueue(Queue[T]):
    """The newest item first."""

    def _init(self, maxsize: int | None) -> None:
        self.queue: list[T] = []

    def _put(self, item: T) -> None:
        self.queue.append(item)

    _put_back = _put

    def _get(self) -> T:
        return self.queue.pop()
