"""SimpleQueue: what queue.SimpleQueue is in a patched program.

The standard's is in C, waits on a lock of C and may be put into from a finalizer in the midst of a put or a get, when
queue's own twin in Python would wait for itself. This one is for green threads and OS threads alike, and has no lock.
"""

from __future__ import annotations

from collections import deque
from queue import Empty
from types import GenericAlias
from typing import Any, ClassVar

from greenserve_hub.sync.thread_sync import Semaphore


class SimpleQueue:
    """First in, first out, without a bound; put() never waits."""

    __slots__ = ("__weakref__", "_items", "_ready")
    __class_getitem__: ClassVar[Any] = classmethod(GenericAlias)

    def __init__(self) -> None:
        """Empty."""
        self._items: deque[Any] = deque()
        self._ready = Semaphore(0)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add an item. `block` and `timeout` are ignored, as by the native one. Switches: never."""
        self._items.append(item)
        self._ready.release()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the oldest item; queue.Empty when there is none in time. Switches: when empty."""
        if block and timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        if not self._ready.acquire(bool(block), timeout if block else None):
            raise Empty
        return self._items.popleft()

    def put_nowait(self, item: Any) -> None:
        """As put(). Switches: never."""
        self.put(item)

    def get_nowait(self) -> Any:
        """Take the oldest item; queue.Empty when there is none. Switches: never."""
        return self.get(block=False)

    def empty(self) -> bool:
        """Whether get() would wait. Switches: never."""
        return not self._items

    def qsize(self) -> int:
        """How many items are in it. Switches: never."""
        return len(self._items)
