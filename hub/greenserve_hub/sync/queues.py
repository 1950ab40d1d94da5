"""Queues between green threads: first in first out, by priority, last in first out, and the channel (size 0).

Stand on WaitQueue. An item goes straight to the green thread that waits longest for one, and a queue with
room takes the item of the one that waits longest to put one, at the time of the call that makes it possible:
nobody can slip in between.

Invariants: while anybody waits to get, the queue is empty; while anybody waits to put, it is full; an item on
its way to a green thread which an exception (Timeout, kill) reached first goes to the next, or back to the
head of the queue. A finalizer that puts, gets or waits in the midst of this finds them broken for a moment; who goes on
then sees to it that nobody is left waiting for what is there.
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
    """An item whose putter waits, and in a dump the reason why it does."""

    __slots__ = ("item", "queue")

    def __init__(self, queue: Queue[T], item: T) -> None:
        self.queue = queue
        self.item = item

    def __str__(self) -> str:
        return str(self.queue)


class Queue(Generic[T]):
    """First in, first out. `maxsize` None or negative: no limit; 0: a channel, where put waits until somebody gets."""

    def __init__(self, maxsize: int | None = None) -> None:
        """Empty."""
        self.maxsize = None if maxsize is None or maxsize < 0 else maxsize
        self.unfinished_tasks = 0
        self._getters = WaitQueue()
        self._putters = WaitQueue()
        self._joiners = WaitQueue()
        self._init(self.maxsize)

    # What a subclass may do otherwise, by the names of queue.Queue --------------------------------------

    def _init(self, maxsize: int | None) -> None:
        self.queue: Any = deque()

    def _put(self, item: T) -> None:
        self.queue.append(item)

    def _put_back(self, item: T) -> None:
        self.queue.appendleft(item)

    def _get(self) -> T:
        item: T = self.queue.popleft()
        return item

    # Looking at it ---------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        """As it stands in dumps."""
        size = "" if self.maxsize is None else f" maxsize={self.maxsize}"
        return (
            f"<{type(self).__name__} at {id(self):#x}{size} items={self.qsize()}"
            f" getting={self.getting()} putting={self.putting()}>"
        )

    def qsize(self) -> int:
        """The number of items in it. Switches: never."""
        return len(self.queue)

    def empty(self) -> bool:
        """Whether there are no items in it; a channel always is. Switches: never."""
        return not self.queue

    def full(self) -> bool:
        """Whether there is no room for one more; a channel never has any. Switches: never."""
        return self.maxsize is not None and len(self.queue) >= self.maxsize

    def getting(self) -> int:
        """How many wait for an item. Switches: never."""
        return len(self._getters)

    def putting(self) -> int:
        """How many wait for room. Switches: never."""
        return len(self._putters)

    # Items in and out ------------------------------------------------------------------------------------

    def put(self, item: T, block: bool = True, timeout: float | None = None) -> None:
        """Put an item in, or hand it to who waits for one. Switches: when full.

        Full when there is no room and not `block`, or none within `timeout` seconds. An exception that
        reaches a waiting green thread after its item was taken finds it taken.
        """
        if self._getters.waiting:
            self.unfinished_tasks += 1  # before somebody can say that it is done
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
        self._match()  # there may be room, or somebody who gets, since a moment ago
        if self._putters.park_in(waiter, timeout) is TIMED_OUT:
            raise Full

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """Take an item out. Switches: when empty.

        Empty when there is none and not `block`, or none within `timeout` seconds.
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
                    continue  # somebody took it just now
                if self._putters.waiting:
                    self._match()
                return item
            if self._putters.waiting:  # of a channel
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
        """Change the limit; items beyond a smaller one stay. Switches: never."""
        self.maxsize = None if maxsize is None or maxsize < 0 else maxsize
        self._match()

    def _match(self) -> None:
        # Those who wait to put get the room that there is now, those who wait to get the items.
        while True:
            if self._getters.waiting and self.queue:
                with suppress(IndexError):  # somebody took it just now
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

    # The work that the items stand for -------------------------------------------------------------------

    def task_done(self) -> None:
        """Say that an item taken out has been dealt with; ValueError if more often than items came in.

        Switches: never.
        """
        if self.unfinished_tasks <= 0:
            raise ValueError("task_done() called more often than items were put in")
        self._finished()

    def _finished(self) -> None:
        self.unfinished_tasks -= 1
        if not self.unfinished_tasks:
            self._joiners.wake_all()

    def join(self) -> None:
        """Wait until each item that came in has been dealt with. Switches: unless all have."""
        while self.unfinished_tasks:
            waiter = Waiter(get_hub(), "the tasks of", self)
            if self.unfinished_tasks:
                self._joiners.waiting[waiter] = None
                self._joiners.park_in(waiter)


LightQueue = Queue  # eventlet's name for one without join(), which costs nothing here


class PriorityQueue(Queue[T]):
    """The smallest item first."""

    def _init(self, maxsize: int | None) -> None:
        self.queue: list[T] = []

    def _put(self, item: T) -> None:
        heappush(self.queue, item)  # type: ignore[type-var]  # that items can be compared is the caller's promise

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
