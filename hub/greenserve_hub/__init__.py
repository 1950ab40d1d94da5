"""greenserve_hub: green threads for Python, a runtime that knows nothing of HTTP or of the server.

Layers, each importing from those before it only: errors, deadlines, pollers, descriptors, doors · loop (the
hub) · parking (the
one place that waits and wakes) · greenthreads, timeouts, readiness · semaphores, locks, events, queues ·
maps, pools ·
sockets, serving · testing. `from greenserve import ...` gives the same names.
"""

# The loop and what can go wrong in it
from greenserve_hub.errors import ConcurrentUseError, Deadlock, HubError, IOClosed, WouldBlock

# What passes between them
from greenserve_hub.events import Event

# Green threads
from greenserve_hub.greenthreads import (
    GreenletExit,
    GreenThread,
    getcurrent,
    kill,
    sleep,
    spawn,
    spawn_after,
    spawn_after_local,
    spawn_n,
)
from greenserve_hub.locks import Condition, Lock, RLock
from greenserve_hub.loop import Hub, get_hub, use_hub
from greenserve_hub.pollers import available_pollers
from greenserve_hub.pools import GreenPile, GreenPool
from greenserve_hub.semaphores import BoundedSemaphore, CappedSemaphore, Semaphore
from greenserve_hub.timeouts import Timeout, is_timeout, with_timeout, wrap_is_timeout

__all__ = [
    "BoundedSemaphore",
    "CappedSemaphore",
    "ConcurrentUseError",
    "Condition",
    "Deadlock",
    "Event",
    "GreenPile",
    "GreenPool",
    "GreenThread",
    "GreenletExit",
    "Hub",
    "HubError",
    "IOClosed",
    "Lock",
    "RLock",
    "Semaphore",
    "Timeout",
    "WouldBlock",
    "available_pollers",
    "get_hub",
    "getcurrent",
    "is_timeout",
    "kill",
    "sleep",
    "spawn",
    "spawn_after",
    "spawn_after_local",
    "spawn_n",
    "use_hub",
    "with_timeout",
    "wrap_is_timeout",
]
