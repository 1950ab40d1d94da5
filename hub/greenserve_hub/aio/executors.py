"""An executor for asyncio that uses a ThreadPool of the runtime.

The standard executor starts threads with `threading` and waits until they have started. In a patched program these are
green threads, and the hub, where coroutines run, cannot wait for them. Imported by aio/awaitables.py when needed.
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
    """A ThreadPoolExecutor only by type, because asyncio accepts no other. Its OS threads do not delay the exit."""

    def __init__(self) -> None:
        """No OS thread yet."""
        super().__init__()
        self._own = ThreadPool(DEFAULT_SIZE)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Like Executor.submit. Switches: never."""
        future: Future[T] = _Future()
        self._own.submit(partial(_run, future, partial(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Do nothing: results of running calls are dropped, and idle OS threads end by themselves. Switches: never."""


class _Future(Future[T]):
    def __init__(self) -> None:
        super().__init__()
        # A native lock, which OS threads hold very briefly: the hub cannot wait for a green one.
        self._condition = threading.Condition(_thread.RLock())


def _run(future: Future[T], call: Callable[[], Any]) -> None:
    if future.set_running_or_notify_cancel():
        process = os.getpid()
        try:
            result = call()
        except BaseException as error:
            if os.getpid() != process:
                end_child(error)  # in the child of a fork, where nothing waits for the call
            future.set_exception(error)
        else:
            if os.getpid() != process:
                end_child()
            future.set_result(result)
