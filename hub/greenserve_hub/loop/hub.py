"""The hub: one greenlet per OS thread that runs what is ready, and waits when nothing is.

A turn: run what is ready → fire the deadlines that are due → poll → hand out the events. A green thread switches to the
hub to wait (only parking.py does this), and the hub switches back. It knows neither sockets nor HTTP, and does not log:
an error in a callback goes to `on_error`. Do not add code here that a green thread could run instead: every event pays
for the code in `_run`.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat, starmap
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from greenlet import GreenletExit, getcurrent, greenlet

from greenserve_hub.deadlines import NEVER, Deadline, DeadlineQueue
from greenserve_hub.errors import HubError
from greenserve_hub.forks import end_child, is_last, keep, main_here
from greenserve_hub.loop.deadlocks import deadlock_of, is_deadlocked
from greenserve_hub.loop.descriptors import Descriptor, LevelDescriptor
from greenserve_hub.loop.greenlets import HubLoop, Parked, Relieved
from greenserve_hub.loop.wakeups import Wakeup
from greenserve_hub.pollers.choosing import choose_poller, make_poller
from greenserve_hub.pollers.contract import BROKEN, HANGUP, READ, WRITE, Call, Poller
from greenserve_hub.tracing import is_traced, trace_apart
from greenserve_hub.unpatched import _thread, time

if TYPE_CHECKING:
    import socket
    from types import TracebackType

# epoll_wait(2) and poll(2) take milliseconds in an int: 24 days at most, and a daily wakeup costs nothing.
_LONGEST_WAIT = 86400.0
# Python 3.14's main thread sees a script of sys.remote_exec() (a debugger that attaches) only when it runs.
_GLANCE = 1.0 if sys.version_info >= (3, 14) and sys.is_remote_debug_enabled() else None

ErrorListener = Callable[[type[BaseException], BaseException, "TracebackType | None"], object]

# Seconds. When a turn is older than this (`clock() - now`), code that could continue lets others run, and the hub poll.
MAX_TURN: Final = 0.01
POLLING: Final[Iterator[Any]] = iter(())  # stands for the events while the hub polls
# Per OS thread: `hub` of get_hub(), `last` of the interpreter's end, and `kept`, the hubs that run.
here: Final = _thread._local()
made: Final[WeakSet[Hub]] = WeakSet()  # in all OS threads


def print_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Pass an error to the current sys.excepthook: a hub's default for errors that no green thread waits for."""
    sys.excepthook(kind, error, trace)


class Hub:
    """The loop of one OS thread. `get_hub()` returns the current one."""

    closed = True  # also if the constructor failed

    def __init__(self, poller: Poller | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """It does not run until something waits. `clock` returns seconds and never goes back."""
        self.poller = poller if poller is not None else choose_poller()
        self.edge = self.poller.edge
        self.clock = clock
        # The time of the last poll; cheaper than the clock where the age of the turn is no matter.
        self.now = clock()
        self.ready: deque[Call] = deque()
        self.deadlines = DeadlineQueue()
        self.descriptors: dict[int, Descriptor] = {}
        # Descriptors opened since the last poll: its events for these numbers belong to a previous owner.
        self._opened: set[int] = set()
        # The runtime's own descriptors, each with the function that registers it in another hub.
        self.companions: dict[Descriptor, Callable[[Hub], object]] = {}
        self.parked: dict[greenlet, Parked] = {}
        self.on_error: ErrorListener = print_error
        self.thread_id = _thread.get_ident()
        is_main = self.thread_id == threading.main_thread().ident
        # The longest wait, or None for no limit.
        self._idle = _GLANCE if is_main and clock is time.monotonic else None
        self.waiting = (
            False  # True while it waits in the kernel, where no green thread blocks it; for the watchdog
        )
        self.left = 0  # calls that this turn still has to make
        self.steps: Iterator[Any] = iter(())  # events that are still to be handed out; for the watchdog too
        self.calling: Callable[[], object] | None = None  # the reader or writer that is called now
        self.main = main_here()
        self.greenlet: greenlet = HubLoop(self._run, self.main)
        self.switch = self.greenlet.switch
        self.wakeup = Wakeup()
        self.closed = False
        self.adopt()
        made.add(self)
        if is_traced():
            trace_apart()

    # For green threads and callbacks ---------------------------------------------------------------------

    def call_soon(self, fn: Callable[..., object], /, *args: Any) -> None:
        """Call `fn(*args)` in the next turn, from the hub. Switches: never."""
        self.ready.append((fn, args))

    def call_after(self, seconds: float, fn: Callable[..., object], /, *args: Any) -> Deadline:
        """Call `fn(*args)` from the hub after `seconds`. The returned Deadline can cancel it. Switches: never."""
        deadline = Deadline(self.deadlines, fn, args)
        deadline.arm(self.clock() + seconds)
        return deadline

    def make_deadline(self, fn: Callable[..., object], /, *args: Any) -> Deadline:
        """Make a Deadline that can be armed repeatedly, at times of `now` or `clock()`. Switches: never."""
        return Deadline(self.deadlines, fn, args)

    def call_from_thread(self, fn: Callable[..., object], /, *args: Any) -> None:
        """Call `fn(*args)` from the hub soon. The only method for other OS threads and signal handlers."""
        self.wakeup.put(fn, args)

    def expect_calls(self) -> None:
        """Expect calls from other OS threads, so that a wait for nothing else is no deadlock. Switches: never.

        This lasts until stop_expecting_calls() was called as often.
        """
        self.wakeup.users += 1

    def stop_expecting_calls(self) -> None:
        """Undo one expect_calls(). Switches: never."""
        self.wakeup.users -= 1

    @contextmanager
    def expecting_calls(self) -> Iterator[None]:
        """Expect calls in this block: see expect_calls(). Switches: never."""
        self.expect_calls()
        try:
            yield
        finally:
            self.stop_expecting_calls()

    def open_descriptor(self, fd: int, sock: socket.socket | None = None) -> Descriptor:
        """Register a descriptor until it is closed. Switches: never.

        `sock`: the socket that owns `fd`. If the number comes here again without close(), the socket is detached, so
        that none of its calls reaches the number's next owner. OSError if the kernel cannot watch its kind.
        """
        stale = self.descriptors.get(fd)
        if stale is not None:
            # Other code has closed it, and the number has a new owner, which no old waiter may reach.
            if stale.sock is not None:
                stale.sock.detach()
            stale.close()
        descriptor = self.descriptors[fd] = self._kind()(self, fd, sock)
        self._opened.add(fd)
        try:
            self.poller.register(fd)
        except BaseException:
            del self.descriptors[fd]
            raise
        return descriptor

    def forget_descriptor(self, descriptor: Descriptor) -> bool:
        """Unregister it; for Descriptor.close only."""
        del self.descriptors[descriptor.fd]
        return self.poller.unregister(descriptor.fd)

    def close(self) -> None:
        """Close the poller and the wakeup of a hub that is no longer used. Not from one of its green threads."""
        if not self.closed:
            self.closed = True
            self.poller.unregister(self.wakeup.fd)
            self.wakeup.close()
            self.poller.close()
            if getattr(here, "hub", None) is self:
                del here.hub
            if self.greenlet and getcurrent() is self.main:
                self.greenlet.throw()  # otherwise it stays for ever: a waiting greenlet is not collected

    def adopt(self) -> None:
        """Start to use the poller and the wakeup. For the hub and loop/forked.py only."""
        # A poller that runs coroutines while it waits gets the hub, because they give it work and errors.
        adopted = getattr(self.poller, "adopted_by", None)
        if adopted is not None:
            adopted(self)
        self.poller.register(self.wakeup.fd)
        self.poller.arm(self.wakeup.fd, READ)

    def renew(self) -> bool:
        """Make a new poller and wakeup if other code has closed the old ones, as daemons close all descriptors.

        Return True if that was necessary. Green threads that wait for a descriptor find it closed. Switches: never.
        """
        is_lost = getattr(self.poller, "is_lost", None)
        if not self.wakeup.is_lost() and (is_lost is None or not is_lost()):
            return False
        keep(self.poller)  # otherwise it would close a number that may have a new owner
        self.poller = make_poller(self.poller.name)
        self.wakeup.renew()
        self.adopt()
        for descriptor in self.descriptors.values():
            descriptor.lose()
        self.descriptors.clear()
        self.companions.clear()
        return True

    def _kind(self) -> type[Descriptor]:
        return Descriptor if self.edge else LevelDescriptor

    def change_poller(self, name: str) -> None:
        """Use another poller from now on; all waits continue. Switches: never.

        HubError to and from asyncio, whose coroutines would be lost. ValueError for an unknown name.
        """
        poller = make_poller(name)
        if hasattr(self.poller, "adopted_by") or hasattr(poller, "adopted_by"):
            poller.close()
            raise HubError(f"the hub has work, and cannot move from {self.poller.name} to {poller.name}")
        self.poller.close()
        self.poller = poller
        self.edge = poller.edge
        self.adopt()
        for fd, descriptor in self.descriptors.items():
            poller.register(fd)
            descriptor.__class__ = self._kind()
            descriptor.readable = True  # as after an edge: the new poller knows of no earlier one
        self.tell_again()

    # The turn ------------------------------------------------------------------------------------------

    def _run(self, events: Iterable[tuple[int, int]] = ()) -> None:
        # A stand-in gets the rest of the hub's events. On Python 3.15 waiting greenlets are collected, and unwound
        # after their objects were cleared. So a hub without references is kept here until it is closed or its OS thread
        # ends, as it is on older versions anyway.
        kept: set[Hub] = vars(here).setdefault("kept", set())
        kept.add(self)
        try:
            while not self.closed:
                try:
                    self.hand_out(events)
                    self._turns()
                except BaseException:
                    # Ctrl-C between two steps of a turn. If it ended the hub, all green threads would wait for ever.
                    self.report_error()
        finally:
            kept.discard(self)

    def _turns(self) -> None:
        ready = self.ready
        heap = self.deadlines.heap
        # In C: nothing can interrupt between the queue and the call.
        taken = starmap(ready.popleft, repeat(()))
        while not self.closed:
            if ready:
                # Only the calls that are ready now: those that they add wait until the sockets had their turn.
                self.left = len(ready)
                self._call_ready(taken)
            self.now = now = self.clock()
            if heap and heap[0][0] <= now:
                self._fire_deadlines(now)
            self.steps = POLLING
            events = self.poller.poll(0) if ready else self._wait()
            if events and self.steps is POLLING:
                self.hand_out(events)
            elif events:
                self.tell_again()  # a stand-in has polled meanwhile: these events may belong to old owners

    def _call_ready(self, taken: Iterable[Call]) -> None:
        while self.left > 0:
            try:
                for fn, args in taken:
                    self.left -= 1
                    fn(*args)
                    del fn, args  # now, and not while the next call is taken: their finalizers may wait
                    if self.left <= 0:
                        return
            except BaseException:
                self.report_error()

    def _fire_deadlines(self, now: float) -> None:
        deadlines = self.deadlines
        # Only those armed until now: one that is armed again at once must not keep the hub here.
        mark = deadlines.pushed
        while True:
            try:
                while (deadline := deadlines.pop_due(now, mark)) is not None:
                    callback, args = deadline.callback, deadline.args
                    if callback is not None:  # otherwise a stand-in was first
                        callback(*args)
                    deadlines.firing = None
                return
            except BaseException:
                self.report_error()

    def _wait(self) -> Sequence[tuple[int, int]]:
        try:
            moment = self.deadlines.next_moment()
            if moment == NEVER:
                if is_deadlocked(self.wakeup, self.descriptors.values()):
                    # Raised in the main green thread, even if that has switched to another one by hand.
                    self.throw_main(deadlock_of(self.parked))
                    return ()
                seconds = self._idle
            else:
                seconds = moment - self.clock()
                longest = self._idle or _LONGEST_WAIT
                seconds = 0 if seconds < 0 else seconds if seconds < longest else longest
            self.waiting = True
            events = self.poller.poll(seconds)
            self.now = self.clock()
            self.waiting = False
            return events
        except BaseException:
            self.waiting = False
            self.report_error()
            return ()

    def hand_out(self, events: Iterable[tuple[int, int]]) -> None:
        """Call the readers and writers of the events of a poll. For the hub's greenlet only."""
        descriptors = self.descriptors
        now = self.now
        opened = self._opened
        if opened:
            opened.clear()
        self.steps = remaining = iter(events)
        while True:
            try:
                for fd, bits in remaining:
                    try:
                        descriptor = descriptors[fd]
                    except KeyError:  # it is the wakeup, or a callback of this turn has closed it
                        if fd == self.wakeup.fd:
                            self._take_calls()
                        continue
                    if opened and fd in opened:
                        continue  # the event is a previous owner's
                    if bits & HANGUP:
                        descriptor.hung_up(now)
                        # An end of sending is nothing to write for: it is told at each arm(), and writers would spin.
                        bits |= READ | WRITE if bits & BROKEN else READ
                    if bits & READ:
                        descriptor.readable = now
                        callback = descriptor.reader
                        if callback is not None:
                            descriptor.reader = None
                            self.calling = callback
                            callback()
                            callback = self.calling = None
                    if descriptor.writer is not None and bits & WRITE:
                        callback, descriptor.writer = descriptor.writer, None
                        self.calling = callback
                        callback()
                        callback = self.calling = None
                return
            except BaseException:
                self.report_error()

    def tell_again(self) -> None:
        """Make the kernel report again all that is ready, because earlier events may be lost. Switches: never."""
        for fd, descriptor in tuple(self.descriptors.items()):
            sides = (READ if descriptor.reader else 0) | (WRITE if descriptor.writer else 0)
            if sides or self.edge:
                self.poller.arm(fd, sides)
        self.poller.arm(self.wakeup.fd, READ)

    def _take_calls(self) -> None:
        self.wakeup.take(self.ready)
        if not self.edge:
            self.poller.arm(self.wakeup.fd, READ)

    def report_error(self) -> None:
        """Report the handled exception to `on_error`; KeyboardInterrupt and SystemExit go to the main green thread.

        In the hub's own greenlet, an OSError may mean that the hub must renew(). Switches: never.
        """
        error = sys.exception()
        assert error is not None
        if isinstance(error, Relieved):
            raise error
        if getcurrent() is self.greenlet:
            if self.closed:
                raise error
            if is_last():
                end_child(error)
            if isinstance(error, OSError) and self.renew():
                return
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            self.throw_main(error)
        else:
            self.tell_error(error)

    def tell_error(self, error: BaseException) -> None:
        """Report an error that no green thread waits for to `on_error`; not GreenletExit. Switches: never."""
        if not isinstance(error, GreenletExit):
            try:
                self.on_error(type(error), error, error.__traceback__)
            except Exception:
                sys.excepthook(*sys.exc_info())

    def throw_main(self, error: BaseException) -> None:
        """Raise `error` in the main greenlet of the OS thread, before all that is ready. Switches: never."""
        self.ready.appendleft((self.main.throw, (error,)))
