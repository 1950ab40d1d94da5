"""asyncio's executor on OS threads of the hub's own kind.

The standard one starts threads by threading and waits until they have begun: in a patched program these would be green
threads, and the hub, where coroutines run, cannot wait for them. Imported by aio/awaitables.py at need.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

from greenserve_hub.forks import end_child
from greenserve_hub.osthreads.thread_pools import DEFAULT_SIZE, ThreadPool
from greenserve_hub.unpatched import _thread, os

P = ParamSpec("P")
T = TypeVar("T")


class OSThreadExecutor(ThreadPoolExecutor):
    """A ThreadPoolExecutor in name, since asyncio takes no other. Its OS threads do not keep a program from ending."""

    def __init__(self) -> None:
        """No OS thread yet."""
        super().__init__()
        self._own = ThreadPool(DEFAULT_SIZE)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As Executor.submit. Switches: never."""
        future: Future[T] = _Future()
        self._own.submit(partial(_run, future, partial(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing: what runs ends unheard, and idle OS threads end by themselves. Switches: never."""


class _Future(Future[T]):
    def __init__(self) -> None:
        super().__init__()
        # A native lock: held for moments, but by OS threads, and the hub cannot wait for a green one.
        self._condition = threading.Condition(_thread.RLock())


def _run(future: Future[T], call: Callable[[], Any]) -> None:
    if future.set_running_or_notify_cancel():
        process = os.getpid()
        try:
            result = call()
        except BaseException as error:
            if os.getpid() != process:
                end_child(error)  # a fork's child, in which nobody waits for the call
            future.set_exception(error)
        else:
            if os.getpid() != process:
                end_child()
            future.set_result(result)
