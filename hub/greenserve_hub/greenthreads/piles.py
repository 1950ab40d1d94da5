"""GreenPile: functions spawned on a pool, whose results are taken in the order of the spawns.

Stands on GreenPool and GreenThread. One may spawn while another takes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from greenserve_hub.greenthreads.greenthreads import GreenThread
from greenserve_hub.greenthreads.pools import GreenPool
from greenserve_hub.keywords import BY_NAME, take_named
from greenserve_hub.loop.parking import WaitQueue


class GreenPile:
    """Functions spawned on a pool, whose results come out in the order of the spawns by iterating over the pile."""

    def __init__(self, size_or_pool: int | GreenPool = 1000) -> None:
        """On a pool of its own with so many slots, or on the given one."""
        self.pool = size_or_pool if isinstance(size_or_pool, GreenPool) else GreenPool(size_or_pool)
        self._spawning = 0
        self._spawned: deque[GreenThread[Any]] = deque()
        self._arrivals = WaitQueue()

    def spawn(self, fn: Callable[..., Any] = BY_NAME, /, *args: Any, **kwargs: Any) -> None:
        """Run `fn`, or `func=`, on the pool and keep its place in the order. Switches: when the pool is full."""
        if fn is BY_NAME:
            fn = take_named(kwargs, "func", "fn")
        self._spawning += 1
        try:
            self._spawned.append(self.pool.spawn(fn, *args, **kwargs))
        finally:
            self._spawning -= 1
            self._arrivals.wake_all()

    def __iter__(self) -> Iterator[Any]:
        """The pile itself."""
        return self

    def __next__(self) -> Any:
        """The next result, or its exception raised; StopIteration when all have been taken.

        Switches: when it is not there yet.

        Goes on after an exception, and after StopIteration when more has been spawned.
        """
        while not self._spawned:
            if not self._spawning:
                raise StopIteration
            self._arrivals.park("the next spawn of", self)
        green = self._spawned.popleft()
        try:
            return green.wait()
        except BaseException:
            if (
                not green._ended
            ):  # the exception was for this one, not from that one: its result is still to come
                self._spawned.appendleft(green)
            raise

    next = __next__
