"""eventlet.queue: greenserve's queues, and channels that let the getter run first."""

from __future__ import annotations

from typing import TypeVar

import greenserve_hub
from greenserve_hub import Empty, Full, LifoQueue, PriorityQueue, getcurrent, sleep
from greenserve_hub.loop.current import get_hub

T = TypeVar("T")


class Queue(greenserve_hub.Queue[T]):
    """First in, first out. `maxsize` None or negative: no limit; 0: a channel."""

    def put(self, item: T, block: bool = True, timeout: float | None = None) -> None:
        """Put an item in. Switches: when full; at a channel always.

        At a channel a waiting getter runs before this returns, as in eventlet: programs rely on the order.
        """
        lets_run = block and self.maxsize == 0 and self.getting() and getcurrent() is not get_hub().greenlet
        super().put(item, block, timeout)
        if lets_run:
            sleep(0)


LightQueue = Queue

__all__ = ["Empty", "Full", "LifoQueue", "LightQueue", "PriorityQueue", "Queue"]
