"""greenserve_eventlet: eventlet's modules and names, over greenserve.

`import greenserve_eventlet as eventlet` is the explicit way in; hook.py makes `import eventlet` the same. names.py says
where each of eventlet's modules is.
"""
# ruff: noqa: I001  # the finder comes first: all others are imported through it

from greenserve_eventlet.names import NAMES as _NAMES  # noqa: F401

# The modules that eventlet itself imports. Its greenlet is one: programs take GreenletExit from eventlet.greenlet.
import greenlet as greenlet
from greenserve_eventlet import green as green, greenio as greenio, hubs as hubs, support as support
from greenserve_eventlet.patching import patcher as patcher
from greenserve_eventlet.serving import convenience as convenience
from greenserve_eventlet.spawning import event as event, greenpool as greenpool, greenthread as greenthread
from greenserve_eventlet.spawning import queue as queue, semaphore as semaphore, timeout as timeout

# Their functions and classes
from greenserve_eventlet.support.deprecation import wrap_deprecated as _wrap_deprecated
from greenserve_eventlet.patching.patcher import import_patched, monkey_patch
from greenserve_eventlet.serving.convenience import StopServe, connect, listen, serve, wrap_ssl
from greenserve_eventlet.spawning.event import Event
from greenserve_eventlet.spawning.greenpool import GreenPile, GreenPool
from greenserve_eventlet.spawning.greenthread import getcurrent, kill, sleep, spawn, spawn_after, spawn_n
from greenserve_eventlet.spawning.queue import Queue
from greenserve_eventlet.spawning.semaphore import BoundedSemaphore, CappedSemaphore, Semaphore
from greenserve_eventlet.spawning.timeout import Timeout, is_timeout, with_timeout, wrap_is_timeout

TimeoutError = _wrap_deprecated("TimeoutError", "Timeout")(Timeout)
exc_after = greenthread.exc_after
call_after_global = greenthread.call_after_global


class EventletDeprecationWarning(Warning):
    """eventlet's import gives this warning; this package's does not. Programs filter it by name."""


__version__ = "0.41.3"  # of eventlet: libraries compare it

__all__ = [
    "BoundedSemaphore",
    "CappedSemaphore",
    "Event",
    "EventletDeprecationWarning",
    "GreenPile",
    "GreenPool",
    "Queue",
    "Semaphore",
    "StopServe",
    "Timeout",
    "TimeoutError",
    "call_after_global",
    "connect",
    "exc_after",
    "getcurrent",
    "import_patched",
    "is_timeout",
    "kill",
    "listen",
    "monkey_patch",
    "serve",
    "sleep",
    "spawn",
    "spawn_after",
    "spawn_n",
    "with_timeout",
    "wrap_is_timeout",
    "wrap_ssl",
]
