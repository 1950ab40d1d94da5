"""The one place that parks a green thread and the one place that wakes it.

Every lock, event, queue, socket and sleep stands on these two classes, and each says why it waits, so that a
dump reads `waiting: read fd 12`. Knows the hub and nothing above it.

Invariants: a Waiter is woken at most once; waking never switches (the woken one runs in the hub's next turn), but for
wake_now, which only callbacks of the hub may call; a wake that was already on its way to a green thread which an
exception (Timeout, kill) reached first is handed to `undo`, so that a token or an item is never lost with it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from greenlet import getcurrent, greenlet

from greenserve_hub.errors import HubError
from greenserve_hub.loop import Hub, get_hub

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

    __slots__ = ("_greenlet", "hub", "since", "subject", "value", "verb", "woken")

    def __init__(self, hub: Hub, verb: str, subject: object = None) -> None:
        """`verb` and `subject` say why: ("read", descriptor) is told as `read fd 12`."""
        self.hub = hub
        self.since = hub.now  # as of this turn's beginning
        self.verb = verb
        self.subject = subject
        self.woken = False
        self.value: Any = None
        self._greenlet: greenlet | None = None

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

    def park(self, timeout: float | None = None, switch: Callable[[], Any] | None = None) -> Any:
        """Wait until woken and return the value, or TIMED_OUT after `timeout` seconds. Switches: always.

        `switch` gives way to another than the hub, who falls back to the hub. HubError when called from the
        hub itself: a callback has nobody to give way to.
        """
        hub = self.hub
        current = getcurrent()
        if current is hub.greenlet:
            raise HubError(f"{self} would wait inside the hub: spawn a green thread for it")
        deadline = None if timeout is None else hub.call_after(timeout, self.wake, TIMED_OUT)
        self._greenlet = current
        hub.parked[current] = self
        try:
            if apart is not None:
                return apart(hub.switch if switch is None else switch)
            return hub.switch() if switch is None else switch()
        finally:
            del hub.parked[current]
            self._greenlet = None
            if deadline is not None:
                deadline.cancel()

    def wake(self, value: Any = None) -> None:
        """Let it go on in the next turn, with `value`. A second call does nothing. Switches: never."""
        if not self.woken:
            self.woken = True
            self.value = value
            self.hub.ready.append((self._resume, ()))

    def wake_now(self, value: Any = None) -> bool:
        """Let it go on before this returns; False, and nothing is done, when it is on its way already.

        For callbacks of the hub, in place of a turn's delay: what ends it with an error is the hub's to tell, as after
        any other switch, and not the callback's. Switches: into the one that is woken.
        """
        if self.woken or self._greenlet is None:
            return False
        self.woken = True
        try:
            self._greenlet.switch(value)
        except BaseException:
            self.hub._callback_failed()
        return True

    def _resume(self) -> None:
        # None: an exception got there first, and the green thread may wait for something else by now.
        if self._greenlet is not None:
            self._greenlet.switch(self.value)


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
        try:
            value = waiter.park(timeout)
        except BaseException:
            self.waiting.pop(waiter, None)
            if undo is not None and waiter.woken and waiter.value is not TIMED_OUT:
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

    def _wake(self, value: Any) -> Waiter | None:
        waiting = self.waiting
        while waiting:
            waiter, _ = waiting.popitem(last=False)
            if not waiter.woken:  # else its time ran out in this very turn
                waiter.wake(value)
                return waiter
        return None
