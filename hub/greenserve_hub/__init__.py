"""greenserve_hub: green threads for Python, a runtime that knows nothing of HTTP or of the server.

The folders, each importing only from those before it: the files of this folder except `testing`, pollers, loop, sync,
greenthreads, osthreads, greenio, aio, diagnostics, patching. `testing`, for tests, is not imported here. `threads`,
`dns`, `hubs` and `debug` are used as modules. `from greenserve import ...` provides the same names.
"""
# ruff: noqa: I001  # grouped by purpose, not by alphabet

# First, because it looks which modules were imported before
import greenserve_hub.unpatched as _natives  # noqa: F401
from greenserve_hub.interpreters import warn_without_gil as _warn_without_gil

# The hub and its errors
from greenserve_hub.errors import ConcurrentUseError, Deadlock, HubError, IOClosed
from greenserve_hub.loop.current import get_hub, use_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.pollers.choosing import available_pollers

# Green threads
from greenserve_hub.greenthreads.greenthreads import GreenletExit, GreenThread, getcurrent, kill
from greenserve_hub.greenthreads.greenthreads import sleep, spawn, spawn_after, spawn_after_local, spawn_n
from greenserve_hub.aio.awaitables import spawn_for_awaitable, wait_for_awaitable
from greenserve_hub.greenthreads.piles import GreenPile
from greenserve_hub.greenthreads.pools import GreenPool
from greenserve_hub.greenthreads.timeouts import Timeout, is_timeout, with_timeout, wrap_is_timeout

# Synchronization
from greenserve_hub.sync.events import Event
from greenserve_hub.sync.locks import Condition, Lock, RLock
from greenserve_hub.sync.queues import Empty, Full, LifoQueue, LightQueue, PriorityQueue, Queue
from greenserve_hub.sync.semaphores import BoundedSemaphore, CappedSemaphore, Semaphore

# Monkey patching
from greenserve_hub.greenthreads.locals import local
from greenserve_hub.patching import MonkeyPatchWarning, PatchReport, import_patched
from greenserve_hub.patching import is_monkey_patched, monkey_patch, original

# The network
from greenserve_hub.greenio.serving import StopServe, connect, listen, serve
from greenserve_hub.greenio.connecting import create_connection
from greenserve_hub.greenio.sockets import GreenSocket, socketpair

# Looking inside
from greenserve_hub.diagnostics.backdoors import backdoor, backdoor_server

# Used as modules
from greenserve_hub.diagnostics import debug as debug
from greenserve_hub.greenio import hubs as hubs
from greenserve_hub.osthreads import dns as dns, threads as threads

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
