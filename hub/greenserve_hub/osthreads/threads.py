"""OS threads for green threads: `execute` a call that blocks, and what both kinds of threads meet at.

For libraries in C that wait by themselves (database drivers, image decoders) and for files on slow disks: what is not
green holds the hub, and in an OS thread it does not. Used as `threads.execute(...)`; eventlet calls it tpool.
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
    """Call `fn`, or `meth=`, in an OS thread, with the caller's context variables; its result or exception.

    Switches: always. A Timeout or kill() reaches the caller at once, while a call that has begun runs to its end
    unheard. From an OS thread of the pool itself, or with a pool of size 0, `fn` is called on the spot.
    """
    if fn is BY_NAME:
        fn = take_named(kwargs, "meth", "fn")
    return shared.execute(fn, *args, **kwargs)


def set_size(size: int) -> None:
    """How many OS threads there may be, in all: 20 unless set; 0 for none. Switches: never."""
    shared.size = size


def get_size() -> int:
    """What set_size() set. Switches: never."""
    return shared.size


__all__ = ["DEFAULT_SIZE", "Event", "Proxy", "Queue", "Semaphore", "execute", "get_size", "set_size"]
