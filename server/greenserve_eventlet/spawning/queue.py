"""eventlet.queue: greenserve's queues."""

from greenserve_hub import Empty, Full, LifoQueue, LightQueue, PriorityQueue, Queue

__all__ = ["Empty", "Full", "LifoQueue", "LightQueue", "PriorityQueue", "Queue"]
