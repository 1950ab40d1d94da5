"""eventlet.pools: a bounded number of objects that green threads take and give back.

An object is made when one is wanted and none is free. Invariant: an object that is not in use is among the free ones,
so none is lost if what waits for it is interrupted; a token of the semaphore only says to look again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from greenserve_hub import Semaphore

__all__ = ["Pool", "TokenPool"]


class Pool:
    """At most `max_size` objects, made by `create`: an argument, or a method of a subclass."""

    def __init__(
        self,
        min_size: int = 0,
        max_size: int = 4,
        order_as_stack: bool = False,
        create: Callable[[], Any] | None = None,
    ) -> None:
        """Make `min_size` objects now. `order_as_stack`: get() returns the object that came back last, else first."""
        self.min_size = min_size
        self.max_size = max_size
        self.order_as_stack = order_as_stack
        self.current_size = 0  # objects that are made or being made, free or in use
        self._freed = Semaphore(0)
        self.free_items: deque[Any] = deque()
        if create is not None:
            self.create = create  # type: ignore[method-assign]  # eventlet's way of passing it
        for _ in range(min_size):
            self.current_size += 1
            self.free_items.append(self.create())

    def get(self) -> Any:
        """Return an object. Switches: when all are in use, and if create() does."""
        while not self.free_items:
            if self.current_size < self.max_size:
                return self._created()
            self._freed.acquire()
        return self.free_items.popleft()

    def _created(self) -> Any:
        self.current_size += 1  # first: create() may let other green threads run
        try:
            return self.create()
        except BaseException:
            self.current_size -= 1
            self._wake()
            raise

    def _wake(self) -> None:
        if self.waiting():
            self._freed.release()

    @contextmanager
    def item(self) -> Iterator[Any]:
        """An object for the time of a `with` block. Switches: as get()."""
        item = self.get()
        try:
            yield item
        finally:
            self.put(item)

    def put(self, item: Any) -> None:
        """Give an object back; it is dropped if the pool was made smaller meanwhile. Switches: never."""
        if self.current_size > self.max_size:
            self.current_size -= 1
            return
        if self.order_as_stack:
            self.free_items.appendleft(item)
        else:
            self.free_items.append(item)
        self._wake()

    def resize(self, new_size: int) -> None:
        """Set the largest number of objects. Those in use are dropped when they come back. Switches: never."""
        self.max_size = new_size

    def free(self) -> int:
        """Return how many objects can be had without waiting. Switches: never."""
        return len(self.free_items) + self.max_size - self.current_size

    def waiting(self) -> int:
        """Return how many green threads wait for an object. Switches: never."""
        return self._freed.waiting()

    def create(self) -> Any:
        """Make an object. Raises NotImplementedError unless a subclass or an argument says how."""
        raise NotImplementedError(
            "a Pool needs create: pass Pool(create=...), or define create() in a subclass"
        )


class Token:
    """A right to use something; nothing more."""


class TokenPool(Pool):
    """A pool of rights to use something."""

    def create(self) -> Token:
        """Make a token."""
        return Token()
