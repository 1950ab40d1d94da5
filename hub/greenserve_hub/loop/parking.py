"""The one place that parks a green thread and the one place that wakes it.

Every lock, event, queue, socket and sleep stands on these two classes, and each says why it waits, so that a
dump reads `waiting: read fd 12`. Knows the hub and nothing above it.

Invariants: a Waiter is woken at most once; waking never switches (the woken one runs in the hub's next turn), but for
wake_now, which only callbacks of the hub may call; a wake that was already on its way to a green thread which an
exception (Timeout, kill) reached first is handed to `undo`, so that a token or an item is never lost with it.

Facts: finalizers and signal handlers run in the midst of other code, ours too, and they may wait. While one does, all
other green threads go on, and whom it has interrupted does not. CPython lets them in where a function begins, after a
call, where a loop goes back and, where it drops an object or (3.11) makes one; so does it another OS thread, but for
objects. Consequence: what must be one step (to see that nobody has woken it, and to wake it) stands in a row without
any of these. `park` waits until its own waiter is resumed, whoever else switches here meanwhile; a wait that has
interrupted another gives that one its place back, and its wake.
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
# What a switch is called through. Patching puts something here: what a library keeps for each OS thread, and a green
# thread must find again when it goes on (asyncio's running loop).
apart: Callable[[Switch], Any] | None = None


class _TimedOut:
    def __repr__(self) -> str:
        return "TIMED_OUT"


TIMED_OUT: Final = _TimedOut()


class Waiter:
    """One wait of one green thread: made, parked, woken, and then done with."""

    __slots__ = ("green", "hub", "since", "subject", "value", "verb", "woken")

    def __init__(self, hub: Hub, verb: str, subject: object = None) -> None:
        """`verb` and `subject` say why: ("read", descriptor) is told as `read fd 12`."""
        self.hub = hub
        self.since = hub.now  # as of this turn's beginning
        self.verb = verb
        self.subject = subject
        self.woken = False
        self.value: Any = None
        self.green: greenlet | None = None  # from the beginning of its wait until it is resumed

    def __repr__(self) -> str:
        """Why it waits."""
        if self.subject is None:
            return self.verb
        try:
            return f"{self.verb} {self.subject}"
        except Exception as error:
            # Told in dumps and errors, which somebody else's __str__ must not break.
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

        `switch` gives way to another than the hub, who falls back to the hub. HubError when called from a callback
        of the hub, unless that may wait `in_hub`; what has interrupted the hub may (loop/standins.py).
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
            outer = parked[current]  # a wait in whose midst this one begins
            outer.green = None
        parked[current] = self
        self.green = current
        if switch is None:
            switch = hub.switch
        try:
            if self.woken:
                hub.ready.append((self.resume, ()))  # the one that wake() has queued may have come too early
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
        """Whether it is parked and not resumed yet, nor interrupted by a wait of its own green thread."""
        return self.green is not None

    def remind(self) -> None:
        """Resume it if it is woken, for whoever was about to and is interrupted. Switches: never."""
        if self.woken:
            self.hub.ready.append((self.resume, ()))

    def end(self) -> None:
        """Have park() return: what its `switch` did is over. Switches: never."""
        self.green = None

    def leave_behind(self) -> None:
        """Never resume it: this process is the child of a fork, and not its own. Switches: never."""
        self.woken = True
        self.green = None

    def wake(self, value: Any = None) -> bool:
        """Let it go on in the next turn, with `value`; False when another has done so. Switches: never."""
        step = (self.resume, ())
        if self.woken:
            return False
        self.woken = True
        self.value = value
        self.hub.ready.append(step)
        return True

    def wake_now(self, value: Any = None) -> bool:
        """Let it go on before this returns; False, and nothing is done, when it is on its way already.

        For callbacks of the hub, in place of a turn's delay: what ends it with an error is the hub's to tell, as after
        any other switch, and not the callback's. Switches: into the one that is woken.
        """
        if self.woken or self.green is None:
            return False
        self.woken = True
        self.value = value
        try:
            self.resume()
        except BaseException:
            self.hub.report_error()
        return True

    def resume(self) -> None:
        """Switch to it, if it still waits. For the hub only. Switches: into it."""
        green = self.green
        if green is None:
            return  # it does not wait yet, not any more (an exception got there first), or another wait is in its midst
        self.green = None
        green.switch()


class WaitQueue:
    """Green threads that wait for the same thing, first come, first served."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        """Nobody waits."""
        self.waiting: OrderedDict[Waiter, None] = OrderedDict()  # for others to look at only

    def __len__(self) -> int:
        """How many wait and are not on their way yet."""
        return len(self.waiting)

    def park(
        self,
        verb: str,
        subject: object = None,
        timeout: float | None = None,
        undo: Callable[[Any], object] | None = None,
    ) -> Any:
        """Wait until `wake_one` or `wake_all`; returns the value given there, or TIMED_OUT. Switches: always.

        `undo(value)` is called when this one was woken but an exception reached it before it could run.
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
        """As park(), for a waiter that the caller has put into `waiting` itself. Switches: always.

        Who must see that there is nothing to take, and wait for it, in one step does that: `queue.waiting[waiter] =
        None`, with nothing between the two.
        """
        try:
            value = waiter.park(timeout)
        except BaseException:
            woken, waiter.woken = waiter.woken, True  # from here on nobody can
            self.waiting.pop(waiter, None)
            if undo is not None and woken and waiter.value is not TIMED_OUT:
                undo(waiter.value)
            raise
        if value is TIMED_OUT:
            self.waiting.pop(waiter, None)
        return value

    def wake_one(self, value: Any = None) -> bool:
        """Wake the one that waits longest; False when nobody does. Switches: never."""
        return self._wake(value) is not None

    def take_one(self) -> Any:
        """Wake the one that waits longest, with None; its `subject`, or None when nobody waits. Switches: never."""
        waiter = self._wake(None)
        return None if waiter is None else waiter.subject

    def wake_all(self, value: Any = None) -> int:
        """Wake all; how many these were. Switches: never."""
        woken = 0
        while self._wake(value) is not None:
            woken += 1
        return woken

    def first(self) -> Waiter | None:
        """Who is to be woken next, if anybody is. Switches: never."""
        waiting = self.waiting
        for waiter in waiting:
            if waiter.green is not None:  # else another wait of its green thread has interrupted this one
                return waiter
        for waiter in waiting:
            return waiter
        return None

    def _wake(self, value: Any) -> Waiter | None:
        while (waiter := self.first()) is not None:
            woken = waiter.wake(value)
            self.waiting.pop(waiter, None)
            if woken:  # else its time ran out in this very turn
                return waiter
        return None


class _HasWaiters(Protocol):
    _waiters: WaitQueue | None


def waiters_of(owner: _HasWaiters) -> WaitQueue:
    """`owner._waiters`, made now if nobody has waited before; one, whoever comes in between. Switches: never."""
    if owner._waiters is None:
        waiters = WaitQueue()
        if owner._waiters is None:
            owner._waiters = waiters
    return owner._waiters
