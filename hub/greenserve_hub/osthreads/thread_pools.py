"""ThreadPool: a bounded number of OS threads, for calls that would hold the hub.

`shared` is everybody's, behind osthreads/threads.py; `waiting` is the runtime's own; osthreads/dns.py has another.
Threads start when there is work for one more and end after a rest, so a program that stops calling keeps none. They are
not joined at exit.

Facts: an OS thread cannot be interrupted. Consequence: a green thread that is killed, or runs into a Timeout, while
its call runs goes on at once; the call runs to its end, holding its OS thread, and its result is dropped. A call
that has not begun by then never runs. A finalizer may call in the midst of anything here, and wait for it: so no lock
guards the numbers, which change where CPython lets nobody in (see loop/parking.py).
"""

from __future__ import annotations

import os
from _queue import Empty, SimpleQueue  # before anybody patches `queue`
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar, cast
from weakref import WeakSet

from greenlet import getcurrent

from greenserve_hub.errors import HubError
from greenserve_hub.finalization import has_begun
from greenserve_hub.forks import end_child
from greenserve_hub.loop.current import find_hub
from greenserve_hub.loop.standins import may_wait
from greenserve_hub.sync.handoffs import Crossing
from greenserve_hub.unpatched import _thread

P = ParamSpec("P")
T = TypeVar("T")

DEFAULT_SIZE: Final = 20  # eventlet's; what blocks waits rather than computes, so it is no matter of cores
_REST: Final = 10.0  # seconds without work after which an OS thread ends
_here = _thread._local()  # .pool: the ThreadPool whose thread this is
_pools: WeakSet[ThreadPool] = WeakSet()  # for the child of a fork, where none of the threads has come along


class ThreadPool:
    """At most `size` OS threads that run calls in the order of coming."""

    def __init__(self, size: int, rest: float | None = None) -> None:
        """Starts no thread yet. `size` 0: calls run at once, in whoever makes them.

        `rest`: seconds without work after which a thread ends, in place of ten.
        """
        self._size = _checked(size)
        self._seconds_of_rest = rest
        self._start_over()
        _pools.add(self)

    def _start_over(self) -> None:
        self._jobs: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._unclaimed = 0  # put into the queue and not taken yet
        self._idle = 0
        self.threads = 0  # how many run or rest

    def __repr__(self) -> str:
        """As it stands in dumps."""
        return f"<ThreadPool of {self._size}: {self.threads} threads, {self._idle} idle>"

    @property
    def size(self) -> int:
        """The bound; when it shrinks, threads end as their calls do."""
        return self._size

    @size.setter
    def size(self, size: int) -> None:
        self._size = _checked(size)

    def execute(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `fn` in one of the threads, in a copy of the caller's context; its result or exception.

        Switches: always. In a thread of this pool it is called at once, for waiting could be for ever.
        """
        if not self._size or getattr(_here, "pool", None) is self or has_begun():
            return fn(*args, **kwargs)
        hub = find_hub()
        if hub is not None and getcurrent() is hub.greenlet and not may_wait():
            raise HubError("a callback of the hub cannot wait for an OS thread: spawn a green thread for it")
        call = _Call(
            partial(copy_context().run, fn, *args, **kwargs), Crossing("the OS thread that runs", fn)
        )
        return cast(T, call.wait_on(self))

    def submit(self, job: Callable[[], object]) -> None:
        """Have `job()` called in one of the threads; it must raise nothing. Switches: never.

        RuntimeError when not a single thread can be had.
        """
        if has_begun():
            raise RuntimeError("there are no OS threads at the interpreter's end")
        self._jobs.put(job)
        self._unclaimed += 1
        if self._unclaimed > self._idle and self.threads < self._size:
            self.threads += 1
            try:
                _thread.start_new_thread(self._work, ())
            except RuntimeError:
                self.threads -= 1
                if not self.threads:
                    raise  # else another will come to it

    def _work(self) -> None:
        _here.pool = self
        jobs = self._jobs
        while self._rest(jobs):
            pass

    def _rest(self, jobs: SimpleQueue[Callable[[], object]]) -> bool:
        """Wait for one job and do it; False when this thread is to end."""
        if self.threads > self._size:
            self.threads -= 1
            return False
        self._idle += 1
        try:
            job = jobs.get(timeout=_REST if self._seconds_of_rest is None else self._seconds_of_rest)
        except Empty:
            self._idle -= 1
            if self._unclaimed > self._idle:
                return True  # it came in this very moment, and counted on us
            self.threads -= 1
            return False
        self._idle -= 1
        self._unclaimed -= 1
        job()
        return True


class _Call:
    """A call on its way through a ThreadPool."""

    __slots__ = ("_begin", "_crossing", "_error", "_value")

    def __init__(self, call: Callable[[], Any], crossing: Crossing) -> None:
        self._begin = [
            call
        ]  # taken by whoever is first: the thread that runs it, or the caller that gives up
        self._crossing = crossing
        self._value: Any = None
        self._error: BaseException | None = None

    def wait_on(self, pool: ThreadPool) -> Any:
        try:
            pool.submit(self._run)
            self._crossing.park()
        except BaseException:
            self._begin.clear()
            raise
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # its traceback holds this frame
        return self._value

    def _run(self) -> None:
        try:
            call = self._begin.pop()
        except IndexError:
            return  # nobody waits any more
        process = os.getpid()
        try:
            self._value = call()
        except BaseException as error:
            self._error = error
        if os.getpid() != process:
            end_child(self._error)  # a fork's child, in which nobody waits for the call
        del call
        self._crossing.wake()


def _checked(size: int) -> int:
    if size < 0:
        raise ValueError(f"a pool has 0 OS threads or more, not {size}")
    return size


def threads_of_pools() -> int:
    """How many OS threads all pools have. Switches: never."""
    return sum(pool.threads for pool in _pools)


def _after_fork() -> None:
    for pool in _pools:
        pool._start_over()


shared: Final = ThreadPool(DEFAULT_SIZE)
# For the runtime's own calls that wait for somebody else: a child's end, the other end of a FIFO. Without a bound that
# matters, for the one that they wait for may need an OS thread too.
waiting: Final = ThreadPool(1 << 15)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
