"""The one place where a green thread waits, and the one place that wakes it.

Every lock, event, queue, socket and sleep uses these two classes. Each wait has a reason, so that a dump shows
`waiting: read fd 12`. Knows the hub and nothing above it.

Invariants: a Waiter is woken at most once. Waking never switches (a woken green thread runs in the hub's next turn),
except wake_now, which only callbacks of the hub may call. If an exception (Timeout, kill) reaches a woken green thread
before it runs, `undo` gets the value, so that a token or an item is never lost.

Facts: finalizers and signal handlers run in the middle of other code, including ours, and they may wait. Then all other
green threads continue, but not the interrupted one. CPython runs them at the start of a function, after a call, where a
loop jumps back, and where it drops an object or (3.11) makes one. At the same points, except those of objects, it may
switch to another OS thread. Consequence: a step that must be atomic (test that a waiter is not woken, and wake it)
contains none of these points. `park` waits until its own waiter is resumed, whatever else switches here meanwhile. A
wait that has interrupted another one gives its place and its wake back to that one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

from greenlet import getcurrent, greenlet

from greenserve_hub.errors import HubError
from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.loop.standins import may_wait, stand_in

Switch = Callable[[], Any]
# Wraps each switch, if patching has set it: for data that a library stores per OS thread, and that a green thread must
# find again when it continues (asyncio's running loop).
apart: Callable[[Switch], Any] | None = None


class _TimedOut:
    def __repr__(self) -> str:
        return "TIMED_OUT"


TIMED_OUT: Final = _TimedOut()


class Waiter:
    """One wait of one green thread. It is made, parked and woken once."""

    __slots__ = ("green", "hub", "since", "subject", "value", "verb", "woken")

    def __init__(self, hub: Hub, verb: str, subject: object = None) -> None:
        """`verb` and `subject` are the reason: ("read", descriptor) is shown as `read fd 12`."""
        self.hub = hub
        self.since = hub.now  # the start of this turn
        self.verb = verb
        self.subject = subject
        self.woken = False
        self.value: Any = None
        self.green: greenlet | None = None  # from the start of the wait until it is resumed

    def __repr__(self) -> str:
        """Return the reason."""
        if self.subject is None:
            return self.verb
        try:
            return f"{self.verb} {self.subject}"
        except Exception as error:
            # Dumps and errors show it, and a foreign __str__ must not break them.
            return (
                f"{self.verb} a {type(self.subject).__name__} that cannot be printed: {type(error).__name__}"
            )

    def park(
        self,
        timeout: float | None = None,
        switch: Callable[[], Any] | None = None,
        in_hub: bool = False,
    ) -> Any:
        """Wait until woken and return the value, or TIMED_OUT after `timeout` seconds. Switches: always.

        `switch` switches to another greenlet than the hub, which then falls back to the hub. HubError in a callback of
        the hub, unless it may wait (`in_hub`); code that has interrupted the hub may always wait (loop/standins.py).
        """
        hub = self.hub
        current = getcurrent()
        if current is hub.greenlet:
            if not (in_hub or may_wait()):
                raise HubError(f"{self} would wait inside the hub: spawn a green thread for it")
            switch = partial(stand_in, self)
        deadline = None if timeout is None else hub.call_after(timeout, self.wake, TIMED_OUT)
        parked = hub.parked
        outer = None
        if current in parked:
            outer = parked[current]  # the wait that this one interrupts
            outer.green = None
        parked[current] = self
        self.green = current
        if switch is None:
            switch = hub.switch
        try:
            if self.woken:
                hub.ready.append((self.resume, ()))  # the call queued by wake() may have run too early
            switch() if apart is None else apart(switch)
            while self.green is not None:
                hub.switch() if apart is None else apart(hub.switch)
            return self.value
        finally:
            if outer is None:
                del parked[current]
            else:
                parked[current] = outer
                outer.green = current
                if outer.woken:
                    hub.ready.append((outer.resume, ()))
            self.green = None
            if deadline is not None:
                deadline.cancel()

    @property
    def waits(self) -> bool:
        """True while it is parked, not resumed, and not interrupted by another wait of its green thread."""
        return self.green is not None

    def remind(self) -> None:
        """Resume it in the next turn if it is woken: the code that would do it is interrupted. Switches: never."""
        if self.woken:
            self.hub.ready.append((self.resume, ()))

    def end(self) -> None:
        """Make park() return, because the work of its `switch` is done. Switches: never."""
        self.green = None

    def leave_behind(self) -> None:
        """Never resume it, because it belongs to the parent of this forked child. Switches: never."""
        self.woken = True
        self.green = None

    def wake(self, value: Any = None) -> bool:
        """Let it continue in the next turn, with `value`; False if it was woken before. Switches: never."""
        step = (self.resume, ())
        if self.woken:
            return False
        self.woken = True
        self.value = value
        self.hub.ready.append(step)
        return True

    def wake_now(self, value: Any = None) -> bool:
        """Let it continue before this returns; do nothing and return False if it was woken before.

        For callbacks of the hub, to save a turn. If the green thread ends with an error, the hub reports it, as after
        any other switch; it does not reach the callback. Switches: into the woken one.
        """
        green = self.green
        if self.woken or green is None:
            return False
        self.woken = True
        self.value = value
        self.green = None  # resume(), without the call
        try:
            green.switch()
        except BaseException:
            self.hub.report_error()
        return True

    def resume(self) -> None:
        """Switch to it, if it still waits. For the hub only. Switches: into it."""
        green = self.green
        if green is None:
            return  # it does not wait yet, an exception has ended the wait, or another wait interrupts it
        self.green = None
        green.switch()


class WaitQueue:
    """Green threads that wait for the same thing, first come, first served."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        """No waiter yet."""
        self.waiting: OrderedDict[Waiter, None] = OrderedDict()  # read-only for other modules

    def __len__(self) -> int:
        """Return the number of waiters that are not woken."""
        return len(self.waiting)

    def park(
        self,
        verb: str,
        subject: object = None,
        timeout: float | None = None,
        undo: Callable[[Any], object] | None = None,
    ) -> Any:
        """Wait for `wake_one` or `wake_all`, and return its value or TIMED_OUT. Switches: always.

        `undo(value)` is called if this one was woken, but an exception reached it before it could run.
        """
        waiter = Waiter(get_hub(), verb, subject)
        self.waiting[waiter] = None
        return self.park_in(waiter, timeout, undo)

    def park_in(
        self,
        waiter: Waiter,
        timeout: float | None = None,
        undo: Callable[[Any], object] | None = None,
    ) -> Any:
        """Like park(), for a waiter that the caller has put into `waiting` itself. Switches: always.

        For a caller that must test and start to wait in one atomic step: the test, then at once `queue.waiting[waiter]
        = None`.
        """
        try:
            value = waiter.park(timeout)
        except BaseException:
            woken, waiter.woken = waiter.woken, True  # from here on nothing can wake it
            self.waiting.pop(waiter, None)
            if undo is not None and woken and waiter.value is not TIMED_OUT:
                undo(waiter.value)
            raise
        if value is TIMED_OUT:
            self.waiting.pop(waiter, None)
        return value

    def wake_one(self, value: Any = None) -> bool:
        """Wake the longest waiter; False if there is none. Switches: never."""
        return self._wake(value) is not None

    def take_one(self) -> Any:
        """Wake the longest waiter with None, and return its `subject`; None if there is no waiter. Switches: never."""
        waiter = self._wake(None)
        return None if waiter is None else waiter.subject

    def wake_all(self, value: Any = None) -> int:
        """Wake all waiters, and return their number. Switches: never."""
        woken = 0
        while self._wake(value) is not None:
            woken += 1
        return woken

    def first(self) -> Waiter | None:
        """Return the waiter to wake next, or None. Switches: never."""
        waiting = self.waiting
        for waiter in waiting:
            if waiter.green is not None:  # otherwise another wait of its green thread interrupts it
                return waiter
        for waiter in waiting:
            return waiter
        return None

    def _wake(self, value: Any) -> Waiter | None:
        while (waiter := self.first()) is not None:
            woken = waiter.wake(value)
            self.waiting.pop(waiter, None)
            if woken:  # otherwise its timeout has passed in this turn
                return waiter
        return None


class _HasWaiters(Protocol):
    _waiters: WaitQueue | None


def waiters_of(owner: _HasWaiters) -> WaitQueue:
    """Return `owner._waiters`; make it if needed, only once even if this is interrupted. Switches: never."""
    if owner._waiters is None:
        waiters = WaitQueue()
        if owner._waiters is None:
            owner._waiters = waiters
    return owner._waiters
