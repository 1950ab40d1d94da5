"""SimpleQueue: queue.SimpleQueue in a patched program.

The standard one is in C and waits on a lock in C. A finalizer may call its put() in the middle of a put() or a get(),
where the Python version in `queue` would wait for itself. This one is for green threads and OS threads, and has no
lock.
"""

from __future__ import annotations

from collections import deque
from queue import Empty
from types import GenericAlias
from typing import Any, ClassVar

from greenserve_hub.sync.thread_sync import Semaphore


class SimpleQueue:
    """First in, first out, without a limit; put() never waits."""

    __slots__ = ("__weakref__", "_items", "_ready")
    __class_getitem__: ClassVar[Any] = classmethod(GenericAlias)

    def __init__(self) -> None:
        """Empty."""
        self._items: deque[Any] = deque()
        self._ready = Semaphore(0)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add an item. `block` and `timeout` are ignored, as in the native one. Switches: never."""
        self._items.append(item)
        self._ready.release()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the oldest item; queue.Empty if there is none in time. Switches: when empty."""
        if block and timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        if not self._ready.acquire(bool(block), timeout if block else None):
            raise Empty
        return self._items.popleft()

    def put_nowait(self, item: Any) -> None:
        """Like put(). Switches: never."""
        self.put(item)

    def get_nowait(self) -> Any:
        """Take the oldest item; queue.Empty if there is none. Switches: never."""
        return self.get(block=False)

    def empty(self) -> bool:
        """Return True if get() would wait. Switches: never."""
        return not self._items

    def qsize(self) -> int:
        """Return the number of items. Switches: never."""
        return len(self._items)
