"""ThreadPool: a limited number of OS threads, for calls that would block the hub.

`shared` is for all users, through osthreads/threads.py; `waiting` is for the runtime itself; osthreads/dns.py has a
third. Threads start when there is work for one more, and end when idle for a while, so a program that stops calling has
none. They are not joined at exit.

Facts: an OS thread cannot be interrupted. Consequence: a green thread that is killed, or gets a Timeout, while its call
runs continues at once. The call runs to its end in its OS thread, and its result is dropped. A call that has not begun
by then never runs. A finalizer may call and wait in the middle of any step here, so no lock guards the counters: they
change where CPython does not interrupt (see loop/parking.py).
"""

from __future__ import annotations

import os
from _queue import Empty, SimpleQueue  # never patched, unlike `queue`
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

DEFAULT_SIZE: Final = (
    20  # eventlet's. Blocking calls wait rather than compute, so the number of cores does not matter
)
_REST: Final = 10.0  # seconds until an idle OS thread ends
_here = _thread._local()  # .pool: the ThreadPool that this OS thread belongs to
_pools: WeakSet[ThreadPool] = WeakSet()  # for the child of a fork, which has none of their threads


class ThreadPool:
    """At most `size` OS threads, which run calls in the order in which they came."""

    def __init__(self, size: int, rest: float | None = None) -> None:
        """No thread is started yet. `size` 0: calls run directly in the caller.

        `rest`: seconds until an idle thread ends; 10 unless given.
        """
        self._size = _checked(size)
        self._seconds_of_rest = rest
        self._start_over()
        _pools.add(self)

    def _start_over(self) -> None:
        self._jobs: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._unclaimed = 0  # jobs in the queue
        self._idle = 0
        self.threads = 0  # busy and idle ones

    def __repr__(self) -> str:
        """Return the text for dumps."""
        return f"<ThreadPool of {self._size}: {self.threads} threads, {self._idle} idle>"

    @property
    def size(self) -> int:
        """The limit. When it shrinks, surplus threads end after their calls."""
        return self._size

    @size.setter
    def size(self, size: int) -> None:
        self._size = _checked(size)

    def execute(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `fn` in one of the threads, in a copy of the caller's context, and return its result or raise its error.

        Switches: always. In a thread of this pool `fn` is called directly, because a wait might never end.
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
        """Call `job()` in one of the threads; it must not raise. Switches: never.

        RuntimeError if no thread can be started and none runs.
        """
        if has_begun():
            raise RuntimeError("no OS thread can be started while the interpreter exits")
        self._jobs.put(job)
        self._unclaimed += 1
        if self._unclaimed > self._idle and self.threads < self._size:
            self.threads += 1
            try:
                _thread.start_new_thread(self._work, ())
            except RuntimeError:
                self.threads -= 1
                if not self.threads:
                    raise  # otherwise another thread takes the job

    def _work(self) -> None:
        _here.pool = self
        jobs = self._jobs
        while self._rest(jobs):
            pass

    def _rest(self, jobs: SimpleQueue[Callable[[], object]]) -> bool:
        """Wait for one job and run it; False if this thread must end."""
        if self.threads > self._size:
            self.threads -= 1
            return False
        self._idle += 1
        try:
            job = jobs.get(timeout=_REST if self._seconds_of_rest is None else self._seconds_of_rest)
        except Empty:
            self._idle -= 1
            if self._unclaimed > self._idle:
                return True  # a job came in this moment, and counts on this thread
            self.threads -= 1
            return False
        self._idle -= 1
        self._unclaimed -= 1
        job()
        return True


class _Call:
    """A call in a ThreadPool."""

    __slots__ = ("_begin", "_crossing", "_error", "_value")

    def __init__(self, call: Callable[[], Any], crossing: Crossing) -> None:
        self._begin = [call]  # taken by the first of the two: the OS thread, or the caller when it gives up
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
            return  # the caller has given up
        process = os.getpid()
        try:
            self._value = call()
        except BaseException as error:
            self._error = error
        if os.getpid() != process:
            end_child(self._error)  # in the child of a fork, where the caller does not exist
        del call
        self._crossing.wake()


def _checked(size: int) -> int:
    if size < 0:
        raise ValueError(f"a pool has 0 OS threads or more, not {size}")
    return size


def threads_of_pools() -> int:
    """Return the number of OS threads of all pools. Switches: never."""
    return sum(pool.threads for pool in _pools)


def _after_fork() -> None:
    for pool in _pools:
        pool._start_over()


shared: Final = ThreadPool(DEFAULT_SIZE)
# For calls of the runtime that wait for others: the end of a child, the other end of a FIFO. Practically unlimited,
# because the other side may need an OS thread too.
waiting: Final = ThreadPool(1 << 15)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
