"""GreenPool runs functions in at most so many green threads at once; GreenPile collects their results in order.

Stands on Semaphore (the slots) and GreenThread; maps.py does starmap and imap. The server asks
`start_nowait`, which never
waits. A pool belongs to the hub of the OS thread that uses it first.

Facts: making a greenlet costs most of a spawn, and a job whose result nobody asks for needs no greenlet of
its own.
Consequence: jobs without a result run on workers that are used again; `spawn`, which promises a GreenThread,
makes one.
Decision: an idle worker is parked by a plain `hub.switch()`, the one exception to parking.py, since it waits
for nothing and
belongs in no dump. Cost: whoever keeps a worker past its job holds somebody else's green thread; `generation`
tells.

Invariants: a slot is taken from before a job is scheduled until it has ended, however it ends; a job ends
once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, ParamSpec, TypeVar, cast

from greenlet import GreenletExit, getcurrent, greenlet

from greenserve_hub.errors import HubError
from greenserve_hub.greenthreads import GreenThread
from greenserve_hub.loop import Hub, get_hub
from greenserve_hub.maps import GreenMap
from greenserve_hub.parking import WaitQueue
from greenserve_hub.semaphores import Semaphore

P = ParamSpec("P")
T = TypeVar("T")

# A worker at rest holds some 20 KiB of stack. Bursts above this many make new ones, which costs 5 µs each.
_IDLE_WORKERS = 256


class PoolWorker(greenlet):
    """A green thread of a pool that runs one job after another. `generation` counts the jobs it has ended."""

    generation = 0
    pool: GreenPool | None = None  # while it has a job

    def _end_unstarted(self, throw_args: tuple[Any, ...]) -> None:
        # Called by kill() on a worker whose first job has not begun.
        if self.pool is not None:
            self.pool._job_ended(self)


def _work(fn: Callable[..., object], args: tuple[Any, ...]) -> None:
    """The life of a worker.

    A plain function: a bound method would keep the worker alive after its pool has gone.
    """
    worker = cast(PoolWorker, getcurrent())
    pool = worker.pool
    assert pool is not None
    hub = pool._bound_hub()
    while True:
        killed = False
        try:
            fn(*args)
        except GreenletExit:
            killed = True
        except BaseException:
            hub._callback_failed()
        worker.generation += 1
        pool._job_ended(worker)
        if killed or len(pool._idle) >= _IDLE_WORKERS:
            return
        pool._idle.append(worker)
        # At rest it holds on to nothing: neither to what the job used, nor to the pool, which holds on to it.
        del fn, args, pool, worker
        try:
            fn, args = hub.switch()
        except BaseException:
            cast(PoolWorker, getcurrent())._end_unstarted(())
            raise
        worker = cast(PoolWorker, getcurrent())
        pool = worker.pool
        assert pool is not None


class _PoolThread(GreenThread[T]):
    """A GreenThread that holds a slot of its pool."""

    def __init__(
        self, pool: GreenPool, hub: Hub, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        super().__init__(hub, fn, args, kwargs)
        self._pool = pool

    def run(self) -> None:
        try:
            super().run()
        finally:
            self._pool._job_ended(self)

    def _end_unstarted(self, throw_args: tuple[Any, ...]) -> None:
        super()._end_unstarted(throw_args)
        self._pool._job_ended(self)


class GreenPool:
    """At most `size` green threads at once; who asks for one more waits, first come, first served."""

    def __init__(self, size: int = 1000) -> None:
        """`size` slots. TypeError, ValueError for what is no number >= 0."""
        self.size = _checked_size(size)
        self.sem = Semaphore(self.size)
        self.coroutines_running: set[greenlet] = set()
        self._idle: list[PoolWorker] = []
        self._emptied = WaitQueue()
        self._hub: Hub | None = None

    def __repr__(self) -> str:
        """As it stands in dumps."""
        return (
            f"<GreenPool at {id(self):#x} size={self.size} running={self.running()} waiting={self.waiting()}>"
        )

    # What is going on ----------------------------------------------------------------------------------

    def running(self) -> int:
        """How many green threads it runs. Switches: never."""
        return len(self.coroutines_running)

    def free(self) -> int:
        """The slots left; negative while more run than a shrunk pool has slots. Switches: never."""
        return self.sem.counter

    def waiting(self) -> int:
        """How many wait for a slot. Switches: never."""
        return self.sem.waiting()

    def members(self) -> Iterator[greenlet]:
        """The green threads that it runs right now. Switches: never."""
        return iter(tuple(self.coroutines_running))

    def resize(self, new_size: int) -> None:
        """Change the number of slots. What runs goes on, so after a shrink free() may be negative.

        Switches: never.
        """
        grown = _checked_size(new_size) - self.size
        self.size += grown
        if grown < 0:
            self.sem.counter += grown
        for _ in range(grown):
            self.sem.release()
        self._tell_if_empty()

    # Running functions -----------------------------------------------------------------------------------

    def spawn(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> GreenThread[T]:
        """Run `fn` in a green thread of its own, from the next turn on. Switches: when full.

        A member of a full pool runs `fn` itself, at once, since waiting for its own slot could last for ever.
        """
        hub = self._bound_hub()
        if not self._take_slot():
            green = GreenThread(hub, fn, args, kwargs)
            green._run_here()
            return green
        member = _PoolThread(self, hub, fn, args, kwargs)
        self.coroutines_running.add(member)
        hub.ready.append((member.switch, ()))
        return member

    def spawn_n(self, fn: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Like spawn, without a result and cheaper: on a worker that is used again. Switches: when full.

        Errors of `fn` go to the hub's `on_error`.
        """
        hub = self._bound_hub()
        call: Callable[..., object] = partial(fn, **kwargs) if kwargs else fn
        if self._take_slot():
            worker = self._worker(hub)
            self.coroutines_running.add(worker)
            hub.ready.append((worker.switch, (call, args)))
            return
        try:
            call(*args)
        except Exception:
            hub._callback_failed()

    def start_nowait(self, fn: Callable[..., object], *args: Any) -> bool:
        """Like spawn_n if a slot is free, else False. Switches: never, or from the hub straight into `fn`."""
        if self.sem.counter <= 0:
            return False
        hub = self._bound_hub()
        self.sem.counter -= 1
        worker = self._worker(hub)
        self.coroutines_running.add(worker)
        if getcurrent() is hub.greenlet:
            worker.switch(fn, args)
        else:
            hub.ready.append((worker.switch, (fn, args)))
        return True

    def starmap(self, fn: Callable[..., T] | None, iterable: Iterable[Iterable[Any]]) -> GreenMap[Any]:
        """Call `fn(*item)` for each item, as many at once as there are slots; iterate over the results in order.

        Begins at once, and is never more than `size` items ahead of who takes the results. An exception of
        `fn`
        is raised where its result would have come, and iteration may go on after it. `fn` None gives tuples.
        Switches: never; the iteration: when the next result is not there yet.
        """
        return GreenMap(self, _tuple if fn is None else fn, iter(iterable))

    def imap(self, fn: Callable[..., T] | None, *iterables: Iterable[Any]) -> GreenMap[Any]:
        """starmap over the items of several iterables side by side, as map() takes them.

        Switches: see starmap.
        """
        return self.starmap(fn, zip(*iterables, strict=False))

    def waitall(self) -> None:
        """Wait until nothing runs in it. Switches: unless it is empty.

        AssertionError from a member: it would never return.
        """
        if getcurrent() in self.coroutines_running:
            raise AssertionError("a member of a pool cannot wait for the end of all its members")
        while self.sem.counter < self.size:
            self._emptied.park("the end of all in", self)

    # Slots and workers -----------------------------------------------------------------------------------

    def _take_slot(self) -> bool:
        # False: the pool is full and the current green thread is in it.
        if self.sem.counter > 0:
            self.sem.counter -= 1
            return True
        if self._runs_here():
            return False
        try:
            self.sem.acquire()
        except BaseException:
            self._tell_if_empty()  # it may have given back the last slot, on its way to this one
            raise
        return True

    def _runs_here(self) -> bool:
        # Whether a spawn runs inline: the pool is full, and waiting for one's own slot could last for ever.
        return self.sem.counter <= 0 and getcurrent() in self.coroutines_running

    def _worker(self, hub: Hub) -> PoolWorker:
        idle = self._idle
        while idle:
            worker = idle.pop()
            if not worker.dead:  # else killed while it was idle
                worker.pool = self
                return worker
        worker = PoolWorker(_work, hub.greenlet)
        worker.pool = self
        return worker

    def _start_helper(self, fn: Callable[[], object]) -> None:
        # For GreenMap: a worker that takes its slot itself.
        hub = self._bound_hub()
        hub.ready.append((self._worker(hub).switch, (fn, ())))

    def _join(self) -> None:
        # The second half of _start_helper: the current worker waits for its slot and is a member then.
        self._take_slot()
        self.coroutines_running.add(getcurrent())

    def _job_ended(self, member: greenlet) -> None:
        if isinstance(member, PoolWorker):
            member.pool = None
        if member in self.coroutines_running:
            self.coroutines_running.remove(member)
            self.sem.release()
            self._tell_if_empty()

    def _tell_if_empty(self) -> None:
        if self.sem.counter == self.size:
            self._emptied.wake_all()

    def _bound_hub(self) -> Hub:
        hub = get_hub()
        if hub is not self._hub:
            if self._hub is not None and not self._hub.closed and self.sem.counter < self.size:
                raise HubError(f"{self!r} is at work in another OS thread: a pool belongs to one")
            self._idle.clear()
            self._hub = hub
        return hub


def _checked_size(size: int) -> int:
    if not isinstance(size, int | float):
        raise TypeError(f"the size of a pool is a number, not {size!r}")
    if size < 0:
        raise ValueError(f"the size of a pool is not negative: {size!r}")
    return int(size)


def _tuple(*items: Any) -> tuple[Any, ...]:
    return items


class GreenPile:
    """Functions spawned on a pool, whose results come out in the order of the spawns by iterating over the pile."""

    def __init__(self, size_or_pool: int | GreenPool = 1000) -> None:
        """On a pool of its own with so many slots, or on the given one."""
        self.pool = size_or_pool if isinstance(size_or_pool, GreenPool) else GreenPool(size_or_pool)
        self._spawning = 0
        self._spawned: deque[GreenThread[Any]] = deque()
        self._arrivals = WaitQueue()

    def spawn(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Run `fn` on the pool and keep its place in the order. Switches: when the pool is full."""
        self._spawning += 1
        try:
            self._spawned.append(self.pool.spawn(fn, *args, **kwargs))
        finally:
            self._spawning -= 1
            self._arrivals.wake_all()

    def __iter__(self) -> Iterator[Any]:
        """The pile itself."""
        return self

    def __next__(self) -> Any:
        """The next result, or its exception raised; StopIteration when all have been taken.

        Switches: when it is not there yet.

        Goes on after an exception, and after StopIteration when more has been spawned.
        """
        while not self._spawned:
            if not self._spawning:
                raise StopIteration
            self._arrivals.park("the next spawn of", self)
        green = self._spawned.popleft()
        try:
            return green.wait()
        except BaseException:
            if (
                not green._ended
            ):  # the exception was for this one, not from that one: its result is still to come
                self._spawned.appendleft(green)
            raise

    next = __next__
