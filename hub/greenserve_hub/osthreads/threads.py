"""`threads` for users: execute() for blocking calls, and primitives between OS threads and green threads.

For C libraries that wait by themselves (database drivers, image decoders) and for files on slow disks: a call that is
not green blocks the hub, but not if it runs in an OS thread. Used as `threads.execute(...)`; eventlet calls it tpool.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from greenserve_hub.keywords import BY_NAME, take_named
from greenserve_hub.osthreads.proxies import Proxy
from greenserve_hub.osthreads.thread_pools import DEFAULT_SIZE, shared
from greenserve_hub.sync.thread_sync import Event, Queue, Semaphore

P = ParamSpec("P")
T = TypeVar("T")


def execute(fn: Callable[P, T] = BY_NAME, /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `fn`, or `meth=`, in an OS thread with the caller's context variables. Return its result or raise its error.

    Switches: always. A Timeout or kill() reaches the caller at once; a call that has begun then runs to its end, and
    its result is dropped. In an OS thread of the pool, or with a pool of size 0, `fn` is called directly.
    """
    if fn is BY_NAME:
        fn = take_named(kwargs, "meth", "fn")
    return shared.execute(fn, *args, **kwargs)


def set_size(size: int) -> None:
    """Set the maximum number of OS threads; 20 by default, 0 for none. Switches: never."""
    shared.size = size


def get_size() -> int:
    """Return the maximum number of OS threads. Switches: never."""
    return shared.size


__all__ = ["DEFAULT_SIZE", "Event", "Proxy", "Queue", "Semaphore", "execute", "get_size", "set_size"]
