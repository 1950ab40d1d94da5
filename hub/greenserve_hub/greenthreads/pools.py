"""GreenPool: runs functions in a limited number of green threads.

Uses Semaphore (the slots), GreenThread and PoolWorker; greenthreads/maps.py does starmap and imap. The server uses
`start_nowait`, which never waits. A pool belongs to the hub of the OS thread that uses it, and may move to another
thread while nothing runs in it.

Invariant: a job holds its slot from before it is scheduled until it has ended, and gives it back exactly once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, ParamSpec, TypeVar

from greenlet import getcurrent, greenlet

from greenserve_hub.errors import HubError
from greenserve_hub.greenthreads.greenthreads import GreenThread
from greenserve_hub.greenthreads.maps import GreenMap
from greenserve_hub.greenthreads.workers import PoolWorker, work
from greenserve_hub.keywords import BY_NAME, take_named
from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.loop.origins import Origin, origin
from greenserve_hub.loop.parking import Waiter, WaitQueue
from greenserve_hub.sync.semaphores import Semaphore

P = ParamSpec("P")
T = TypeVar("T")


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
    """At most `size` green threads at once. Further spawns wait, first come, first served."""

    def __init__(self, size: int = 1000, *, slots: Semaphore | None = None) -> None:
        """Make `size` slots. TypeError or ValueError if it is not a number >= 0.

        `slots`: the Semaphore that counts them, with `size` tokens; dumps show its repr for a green thread that waits.
        """
        self.size = _checked_size(size)
        self.sem = Semaphore(self.size) if slots is None else slots
        self.coroutines_running: set[greenlet] = set()
        self._idle: list[PoolWorker] = []
        self._emptied = WaitQueue()
        self._hub: Hub | None = None

    def __repr__(self) -> str:
        """Return the text for dumps."""
        return (
            f"<GreenPool at {id(self):#x} size={self.size} running={self.running()} waiting={self.waiting()}>"
        )

    # State -----------------------------------------------------------------------------------------------

    def running(self) -> int:
        """Return the number of running green threads. Switches: never."""
        return len(self.coroutines_running)

    def free(self) -> int:
        """Return the number of free slots; negative while more run than a smaller pool has slots. Switches: never."""
        return self.sem.counter

    def waiting(self) -> int:
        """Return the number of waiters for a slot. Switches: never."""
        return self.sem.waiting()

    def members(self) -> Iterator[greenlet]:
        """Iterate over the running green threads. Switches: never."""
        return iter(tuple(self.coroutines_running))

    def resize(self, new_size: int) -> None:
        """Change the number of slots. Running functions continue, so free() may become negative.

        Switches: never.
        """
        grown = _checked_size(new_size) - self.size
        self.size += grown
        if grown < 0:
            self.sem.counter += grown
        for _ in range(grown):
            self.sem.release()

    def release_idle(self) -> None:
        """Release the idle workers, in their own OS thread: after its end they would stay for ever. Switches: never."""
        self._idle.clear()

    # Running functions -----------------------------------------------------------------------------------

    def spawn(self, fn: Callable[P, T] = BY_NAME, /, *args: P.args, **kwargs: P.kwargs) -> GreenThread[T]:
        """Run `fn`, or `function=`, in a new green thread, from the next turn on. Switches: when full.

        A member of a full pool runs `fn` itself at once, because it might wait for its own slot for ever.
        """
        if fn is BY_NAME:
            fn = take_named(kwargs, "function", "fn")
        hub = self._bound_hub()
        if not self._take_slot():
            green = GreenThread(hub, fn, args, kwargs)
            green._run_here()
            return green
        member = _PoolThread(self, hub, fn, args, kwargs)
        self.coroutines_running.add(member)
        hub.ready.append((member.switch, ()))
        return member

    def spawn_n(self, fn: Callable[P, object] = BY_NAME, /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Like spawn, without a result and cheaper: workers are reused. Switches: when full.

        Errors of `fn` go to the hub's `on_error`.
        """
        if fn is BY_NAME:
            fn = take_named(kwargs, "function", "fn")
        hub = self._bound_hub()
        call: Callable[..., object] = partial(fn, **kwargs) if kwargs else fn
        if self._take_slot():
            worker = self._worker(hub, call, args, origin(hub.now, 2))
            self.coroutines_running.add(worker)
            hub.ready.append((worker.switch, ()))
            return
        try:
            call(*args)
        except Exception:
            hub.report_error()

    def start_nowait(self, fn: Callable[..., object], *args: Any) -> bool:
        """Like spawn_n if a slot is free, otherwise False. Switches: never; in the hub directly into `fn`."""
        if self.sem.counter <= 0:
            return False
        hub = self._hub
        is_in_hub = hub is not None and getcurrent() is hub.greenlet
        if hub is None or not is_in_hub:  # else it is this thread's, and need not be looked up
            hub = self._bound_hub()
            is_in_hub = getcurrent() is hub.greenlet
        self.sem.counter -= 1
        worker = self._worker(hub, fn, args, None)
        self.coroutines_running.add(worker)
        if is_in_hub:
            worker.switch()
        else:
            hub.ready.append((worker.switch, ()))
        return True

    def starmap(self, function: Callable[..., T] | None, iterable: Iterable[Iterable[Any]]) -> GreenMap[Any]:
        """Call `function(*item)` for each item, concurrently in the slots. Iterate over the results in order.

        It starts at once, and is at most `size` items ahead of the iteration. An exception of `function` is raised in
        the place of its result, and the iteration may continue after it. `function` None returns tuples. Switches:
        never; the iteration: when the next result is not ready.
        """
        return GreenMap(self, _tuple if function is None else function, iter(iterable))

    def imap(self, function: Callable[..., T] | None, *iterables: Iterable[Any]) -> GreenMap[Any]:
        """Like starmap, with several iterables, as for map(). Switches: see starmap."""
        return self.starmap(function, zip(*iterables, strict=False))

    def waitall(self) -> None:
        """Wait until nothing runs in it. Switches: unless it is empty.

        AssertionError if a member calls it: it would never return.
        """
        if getcurrent() in self.coroutines_running:
            raise AssertionError("a member of a pool cannot wait for the end of all its members")
        while self.sem.counter < self.size:
            waiter = Waiter(get_hub(), "the end of all in", self)
            if self.sem.counter < self.size:
                self._emptied.waiting[waiter] = None
                self._emptied.park_in(waiter)

    # Slots that members lend -----------------------------------------------------------------------------

    def lend(self) -> None:
        """Free the slot of the current member, which runs on without one until reclaim() or reclaim_now().

        It has to call one of them before it ends. waitall() does not wait for it meanwhile. Switches: never.
        """
        self.sem.release()

    def reclaim(self) -> None:
        """Take a slot back after lend(). Switches: when none is free.

        A member that an exception reaches here has its slot all the same: see reclaim_now().
        """
        try:
            self.sem.acquire()
        except BaseException:
            self.reclaim_now()
            raise

    def reclaim_now(self) -> None:
        """Take a slot back after lend(), also when none is free: free() is negative then. Switches: never."""
        self.sem.counter -= 1

    # Slots and workers -----------------------------------------------------------------------------------

    def _take_slot(self) -> bool:
        # Return False if the pool is full and the current green thread is a member.
        if self.sem.counter > 0:
            self.sem.counter -= 1
            return True
        if self._runs_here():
            return False
        try:
            self.sem.acquire()
        except BaseException:
            self._tell_if_empty()  # the slot may have been on its way here, and was the last one
            raise
        return True

    def _runs_here(self) -> bool:
        # True if a spawn runs inline: the pool is full, and a member might wait for its own slot for ever.
        return self.sem.counter <= 0 and getcurrent() in self.coroutines_running

    def _worker(
        self, hub: Hub, fn: Callable[..., object], args: tuple[Any, ...], origin: Origin | None
    ) -> PoolWorker:
        idle = self._idle
        worker = None
        while idle and worker is None:
            try:
                worker = idle.pop()
            except IndexError:  # interrupting code has taken the last one
                break
            if worker.dead:  # killed while it was idle
                worker = None
        if worker is None:
            worker = PoolWorker(work, hub.greenlet)
        worker.job = (self, fn, args, origin)
        return worker

    def _start_helper(self, fn: Callable[[], object], origin: Origin) -> None:
        # For GreenMap: start a worker that takes its slot itself.
        hub = self._bound_hub()
        hub.ready.append((self._worker(hub, fn, (), origin).switch, ()))

    def _join(self) -> None:
        # The second half of _start_helper: the current worker waits for its slot, and is then a member.
        self._take_slot()
        self.coroutines_running.add(getcurrent())

    def _job_ended(self, member: greenlet) -> None:
        if isinstance(member, PoolWorker):
            member.job = None
        if member in self.coroutines_running:
            self.coroutines_running.remove(member)
            self.sem.release()
            self._tell_if_empty()

    def _tell_if_empty(self) -> None:
        if self._emptied.waiting and self.sem.counter == self.size:
            self._emptied.wake_all()

    def _bound_hub(self) -> Hub:
        hub = get_hub()
        if hub is not self._hub:
            if self._hub is not None and not self._hub.closed and self.sem.counter < self.size:
                raise HubError(f"{self!r} is in use in another OS thread: a pool belongs to one OS thread")
            self._idle.clear()
            self._hub = hub
        return hub


def _checked_size(size: int) -> int:
    if not isinstance(size, int | float):
        raise TypeError(f"the size of a pool is a number, not {size!r}")
    if size < 0:
        raise ValueError(f"the size of a pool cannot be negative: {size!r}")
    return int(size)


def _tuple(*items: Any) -> tuple[Any, ...]:
    return items
