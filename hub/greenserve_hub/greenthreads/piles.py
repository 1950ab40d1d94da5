"""GreenPile: functions spawned on a pool, with their results in the order of the spawns.

Uses GreenPool and GreenThread. One green thread may spawn while another takes results.
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
    """Functions spawned on a pool. Iteration returns the results in the order of the spawns."""

    def __init__(self, size_or_pool: int | GreenPool = 1000) -> None:
        """Use a new pool of this size, or the given pool."""
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
        """Return the pile itself."""
        return self

    def __next__(self) -> Any:
        """Return the next result or raise its exception; StopIteration when all were taken.

        The iteration may continue after an exception, and after StopIteration if more was spawned. Switches: when the
        result is not ready.
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
            ):  # the exception was raised here, not by its function: its result is still to come
                self._spawned.appendleft(green)
            raise

    next = __next__
