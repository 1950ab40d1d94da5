"""greenserve_hub: green threads for Python, a runtime that knows nothing of HTTP or of the server.

Layers, each of which imports from those before it only: natives, interpreters, errors, deadlines, running_loops,
asyncio_poller, pollers, descriptors, doors, origins · loop (the hub), signals · parking (the one place that waits and
wakes) · greenthreads, timeouts, readiness, semaphores · locks, events, queues, hubs, locals · workers, maps, pools,
piles · crossings, thread_pools, proxies, threads · executors, awaitables · dns, selecting · sockets, tls_sockets,
files, children · serving · patching · watchdogs, debug, telnet, stdio, backdoors · testing (the kit for tests, not in
here). `threads`, `dns`, `hubs` and `debug` are used as modules. `from greenserve import ...` gives the same names.
"""
# ruff: noqa: I001  # in groups by what they are for, which the alphabet would mix up

# First: it looks what was imported before
import greenserve_hub.natives as _natives  # noqa: F401
from greenserve_hub.interpreters import warn_without_gil as _warn_without_gil

# The hub, and what can go wrong
from greenserve_hub.errors import ConcurrentUseError, Deadlock, HubError, IOClosed, WouldBlock
from greenserve_hub.loop import Hub, get_hub, use_hub
from greenserve_hub.pollers import available_pollers

# Green threads
from greenserve_hub.greenthreads import GreenletExit, GreenThread, getcurrent, kill
from greenserve_hub.greenthreads import sleep, spawn, spawn_after, spawn_after_local, spawn_n
from greenserve_hub.awaitables import spawn_for_awaitable, wait_for_awaitable
from greenserve_hub.piles import GreenPile
from greenserve_hub.pools import GreenPool
from greenserve_hub.timeouts import Timeout, is_timeout, with_timeout, wrap_is_timeout

# What passes between them, and what keeps them apart
from greenserve_hub.events import Event
from greenserve_hub.locks import Condition, Lock, RLock
from greenserve_hub.queues import Empty, Full, LifoQueue, LightQueue, PriorityQueue, Queue
from greenserve_hub.semaphores import BoundedSemaphore, CappedSemaphore, Semaphore

# Programs that never heard of green threads
from greenserve_hub.locals import local
from greenserve_hub.patching import MonkeyPatchWarning, PatchReport, import_patched
from greenserve_hub.patching import is_monkey_patched, monkey_patch, original

# The network
from greenserve_hub.serving import StopServe, connect, listen, serve
from greenserve_hub.sockets import GreenSocket, create_connection, socketpair

# Looking inside
from greenserve_hub.backdoors import backdoor, backdoor_server

_warn_without_gil()

__all__ = [
    "BoundedSemaphore",
    "CappedSemaphore",
    "ConcurrentUseError",
    "Condition",
    "Deadlock",
    "Empty",
    "Event",
    "Full",
    "GreenPile",
    "GreenPool",
    "GreenSocket",
    "GreenThread",
    "GreenletExit",
    "Hub",
    "HubError",
    "IOClosed",
    "LifoQueue",
    "LightQueue",
    "Lock",
    "MonkeyPatchWarning",
    "PatchReport",
    "PriorityQueue",
    "Queue",
    "RLock",
    "Semaphore",
    "StopServe",
    "Timeout",
    "WouldBlock",
    "available_pollers",
    "backdoor",
    "backdoor_server",
    "connect",
    "create_connection",
    "get_hub",
    "getcurrent",
    "import_patched",
    "is_monkey_patched",
    "is_timeout",
    "kill",
    "listen",
    "local",
    "monkey_patch",
    "original",
    "serve",
    "sleep",
    "socketpair",
    "spawn",
    "spawn_after",
    "spawn_after_local",
    "spawn_for_awaitable",
    "spawn_n",
    "use_hub",
    "wait_for_awaitable",
    "with_timeout",
    "wrap_is_timeout",
]
