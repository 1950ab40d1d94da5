"""Runs an asyncio loop while the hub waits, so that coroutines run while green threads wait.

Facts: an asyncio loop must run to advance its tasks, a hub must poll, and only one of them can wait in the kernel.
While a loop runs, asyncio treats all code of the OS thread as inside it: get_running_loop() finds it, asyncio.run()
raises. uvloop refuses to watch descriptors that its own transports use. Consequence: the hub waits inside the loop, and
green threads run while the loop does not run.

Decision: a kernel poller does the hub's work as usual, with its edges. It has a descriptor of its own, the only one
that the loop watches for the hub. `poll` runs the loop until that descriptor is readable, the time is over, or a
callback of the loop has given the hub work. So the loop runs in the hub's greenlet, inside `poll` and nowhere else.
Green threads never see it running. Coroutines run in the hub, and cannot wait there like green threads.

Cost: starting and stopping the loop, 3 µs for asyncio's and 14 µs for uvloop's (it makes a socket pair for signals each
time). So a busy hub lets it run only once in _SHARE seconds; an idle one pays once for each wait.

Only the hub, GreenThread.__await__ and aio/awaitables.py call this. It knows no greenlet.
"""

from __future__ import annotations

import asyncio
import ctypes
import math
import selectors
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from greenserve_hub.deadlines import Deadline, DeadlineQueue
from greenserve_hub.errors import HubError
from greenserve_hub.forks import end_child
from greenserve_hub.pollers.contract import Call, Host, PollablePoller
from greenserve_hub.pollers.running_loops import get_running_loop, put_aside, put_back, show
from greenserve_hub.unpatched import os, select, time

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

_SHARE = 0.0005  # seconds that a busy hub keeps the loop waiting


class AsyncioPoller:
    """A kernel poller inside an asyncio loop: uvloop's if it is installed and wanted, else the standard one."""

    def __init__(self, kernel: PollablePoller, uvloop: bool = True) -> None:
        """Make a new loop around `kernel`."""
        self.name = "asyncio" if uvloop else "asyncio-plain"
        self.edge = kernel.edge
        self.register = kernel.register
        self.unregister = kernel.unregister
        self.arm = kernel.arm
        self.closed = False
        self.running = False  # coroutines run, and nothing has ended that yet
        self._kernel = kernel
        self._ask_kernel = kernel.poll
        self._loop, self._backend = _make_loop(uvloop)
        self._loop.set_exception_handler(self._tell)
        self._loop.add_reader(kernel.fileno(), self.interrupt)
        self._inside = False  # the loop runs, or the hub waits inside it
        self._hub: Host | None = None
        self._used = False
        self._has_executor = False
        self._due = 0.0  # when a busy hub must let the loop run again
        self._process = os.getpid()

    def adopted_by(self, hub: Host) -> None:
        """Make the hub's queues interrupt a run of the loop that fills them. Switches: never."""
        self._hub = hub
        # In the child of a fork they exist already, and the hub's turn uses them.
        if not isinstance(hub.ready, ReadyCalls):
            hub.ready = ReadyCalls(hub.ready)
        if not isinstance(hub.deadlines, Deadlines):
            hub.deadlines = Deadlines()
        hub.ready.poller = hub.deadlines.poller = self

    # For coroutines ----------------------------------------------------------------------------------------

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop. From now on it may wake the program, so no wait is reported as a deadlock."""
        if not self._used and self._hub is not None:
            self._used = True
            self._hub.expect_calls()
        return self._loop

    def show_loop(self) -> None:
        """Make green threads of this OS thread see the loop as running: asyncio.create_task() works in them then.

        asyncio.run() does not work in them any more. Switches: never.
        """
        show(self.loop)

    def set_executor(self, make: Callable[[], ThreadPoolExecutor]) -> None:
        """Make the loop run blocking calls in the executor of `make()`, unless this was done before."""
        if not self._has_executor:
            self._has_executor = True
            self._loop.set_default_executor(make())

    def make_future(self, cancel: Callable[[], object]) -> asyncio.Future[Any]:
        """Make a future for this loop. Its cancellation calls `cancel()` instead.

        HubError outside the loop. Switches: never.
        """
        if get_running_loop() is not self._loop:
            raise HubError("a green thread can be awaited only in the asyncio loop of its own hub")
        return AskingFuture(self.loop, self, cancel)

    def interrupt(self) -> None:
        """End the current run of the loop, if there is one. Switches: never."""
        if self.running:
            self.running = False
            self._loop.stop()

    # For the hub -------------------------------------------------------------------------------------------

    def poll(self, seconds: float | None) -> Sequence[tuple[int, int]]:
        """See Poller. Coroutines run meanwhile."""
        if self._inside:
            return self._ask_kernel(seconds)  # for a stand-in, while the hub waits inside a coroutine
        if time.monotonic() < self._due:
            events = self._ask_kernel(0)
            if events or seconds == 0:
                return events
        self._run(seconds)
        if self.closed:  # by a coroutine
            if os.getpid() != self._process:
                end_child()  # a coroutine forked and now waits: nothing else runs in the child
            self._finish()
            return ()
        return self._ask_kernel(0)

    @contextmanager
    def left(self) -> Iterator[None]:
        """In this block, the hub waits in the middle of a callback, and no loop runs for other green threads."""
        loop = get_running_loop()
        aside = None if loop is None else put_aside(loop)
        try:
            yield
        finally:
            if aside is not None:
                put_back(aside)

    def _run(self, seconds: float | None) -> None:
        loop = self._loop
        end: asyncio.Handle | None = None
        if seconds == 0:
            end = loop.call_soon(self.interrupt)
        elif seconds is not None:
            # uvloop counts milliseconds. Rounded up: an early wakeup would spin until the deadline.
            end = loop.call_later(math.ceil(seconds * 1000) / 1000, self.interrupt)
        # A running asyncio.run() further up the stack, whose coroutine waits like a green thread.
        other = get_running_loop()
        others = None if other is None else put_aside(other)
        try:
            self.running = self._inside = True
            loop.run_forever()
        finally:
            self.running = self._inside = False
            if end is not None:
                end.cancel()
            if others is not None:
                put_back(others)
            self._due = time.monotonic() + _SHARE

    def _tell(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if os.getpid() != self._process:
            # A coroutine forked: the loop belongs to the parent. Here asyncio marks it as not running, and Python 3.14
            # and later report that at the end of the coroutine's step.
            return
        error = context.get("exception")
        source = context.get("task") or context.get("future") or context.get("handle")
        text = f"{context['message']}{'' if source is None else f': {source!r}'}"
        if error is None:
            error = HubError(text)
        else:
            error.add_note(text)
        if self._hub is not None:
            self._hub.tell_error(error)

    # The end -----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Cancel the tasks that are left, end async generators, and close the loop.

        In the child of a fork the loop is left alone, because it belongs to the parent.
        """
        if self.closed:
            return
        self.closed = True
        forked = os.getpid() != self._process
        if forked:
            self._leave_behind()
        if self._loop.is_running():
            self.interrupt()  # called by a coroutine: poll() finishes it
        elif not forked:
            self._finish()

    def _finish(self) -> None:
        loop = self._loop
        loop.remove_reader(self._kernel.fileno())
        try:
            _end_tasks(loop)
        finally:
            loop.close()
            self._kernel.close()
            self._hub = None

    def _leave_behind(self) -> None:
        _keep([self._loop, asyncio.all_tasks(self._loop)])
        if hasattr(select, "epoll"):
            # Both processes share the loop's epoll: later operations on the loop here must not reach it.
            with select.epoll() as empty:
                os.dup2(empty.fileno(), self._backend, inheritable=False)
        self._kernel.close()


class ReadyCalls(deque[Call]):
    """A hub's queue of calls. A new call interrupts the loop while it runs."""

    __slots__ = ("poller",)

    poller: AsyncioPoller

    def append(self, call: Call) -> None:
        """Like deque.append."""
        _append(self, call)
        if self.poller.running:
            self.poller.interrupt()

    def appendleft(self, call: Call) -> None:
        """Like deque.appendleft."""
        super().appendleft(call)
        if self.poller.running:
            self.poller.interrupt()


_append = deque.append


class Deadlines(DeadlineQueue):
    """A hub's deadlines. A new one interrupts the loop while it runs, because it may be the first."""

    __slots__ = ("poller",)

    poller: AsyncioPoller

    def push(self, when: float, deadline: Deadline) -> None:
        """See DeadlineQueue."""
        super().push(when, deadline)
        if self.poller.running:
            self.poller.interrupt()


class AskingFuture(asyncio.Future[Any]):
    """A future that is not cancelled at once: like a task, its green thread is asked to end."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, poller: AsyncioPoller, ask: Callable[[], object]
    ) -> None:
        """Call `ask()` on cancellation."""
        super().__init__(loop=loop)
        self._poller = poller
        self._ask = ask

    def cancel(self, msg: Any | None = None) -> bool:
        """Like Task.cancel: return False if it is done."""
        if self._poller.closed:
            return super().cancel(msg)  # the green thread cannot be asked any more
        if self.done():
            return False
        self._ask()
        return True

    def was_ended(self) -> None:
        """Raise CancelledError in the awaiting coroutine, because the green thread was killed."""
        super().cancel()


def _keep(left_behind: list[object]) -> None:
    """Keep them for ever: otherwise their finally clauses would run here too, and use the parent's sockets.

    This includes the time when Python exits and frees everything, so the extra reference is owned by nothing.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(left_behind))


if hasattr(select, "epoll"):

    class _NativeSelector(selectors.EpollSelector):
        """Uses the unpatched epoll. A patched one would wait in the hub, which waits for it."""

        _selector_cls = select.epoll


def _make_loop(uvloop: bool) -> tuple[asyncio.AbstractEventLoop, int]:
    """Make a loop. Return it and the descriptor that it waits with."""
    if uvloop:
        try:
            from uvloop import new_event_loop
        except ImportError:
            pass
        else:
            fast = new_event_loop()
            backend: int = fast._get_backend_id()  # type: ignore[attr-defined]  # its stubs lack it
            return fast, backend
    selector: Any = _NativeSelector() if hasattr(select, "epoll") else selectors.DefaultSelector()
    return asyncio.SelectorEventLoop(selector), selector.fileno()


def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """End the tasks like asyncio.run() does, but do not wait for OS threads, which end by themselves."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            loop.call_exception_handler(
                {"message": "a coroutine failed when the hub was closed", "exception": error, "task": task}
            )
    loop.run_until_complete(loop.shutdown_asyncgens())
