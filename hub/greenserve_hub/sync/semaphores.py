"""Semaphores for green threads: tokens to take, and to wait for when there are none.

Stands on WaitQueue and knows no pool. Waiters are served first come, first served, and a token goes straight
from who gives it to who waits longest, so that nobody can slip in between. Not for use between OS threads.

Invariants: while anybody waits there is no token; a token that was handed to a green thread which an
exception (Timeout, kill) reached first goes to the next. They hold whatever a finalizer or signal handler that comes in
between does, and lets others do while it waits: see loop/parking.py.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.parking import TIMED_OUT, Waiter, WaitQueue, waiters_of


def checked_timeout(blocking: bool, timeout: float) -> float | None:
    """A timeout as threading takes it, in seconds or None for none; ValueError. Switches: never."""
    if not blocking:
        raise ValueError("a timeout goes with a blocking acquire only")
    if timeout == -1:  # how threading spells "no timeout"
        return None
    if timeout < 0:
        raise ValueError(f"a timeout is not negative: {timeout}")
    return timeout


class Semaphore:
    """So many tokens; `acquire` takes one and waits when there is none.

    TypeError, ValueError for a `value` that is no number >= 0.
    """

    __slots__ = ("__weakref__", "_waiters", "counter")

    def __init__(self, value: int = 1) -> None:
        """`value` tokens to begin with."""
        value = int(value)
        if value < 0:
            raise ValueError(f"a semaphore begins with 0 tokens or more, not {value}")
        self.counter = value
        self._waiters: WaitQueue | None = None

    def __repr__(self) -> str:
        """As it stands in dumps."""
        return f"<{type(self).__name__} at {id(self):#x} balance={self.balance}>"

    @property
    def balance(self) -> int:
        """The tokens left, less those who wait for one."""
        return self.counter - self.waiting()

    def waiting(self) -> int:
        """How many wait for a token. Switches: never."""
        return 0 if self._waiters is None else len(self._waiters)

    def locked(self) -> bool:
        """Whether acquire() would wait. Switches: never."""
        return self.counter <= 0

    def bounded(self) -> bool:
        """Whether release() would wait: never here, see CappedSemaphore. Switches: never."""
        return False

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take a token; False when there is none and not `blocking`, or none within `timeout` seconds.

        Switches: when empty.
        """
        if timeout is not None:
            timeout = checked_timeout(blocking, timeout)
        if self.counter > 0:  # then nobody waits: see release()
            self.counter -= 1
            return True
        return blocking and self._wait(timeout)

    def _wait(self, timeout: float | None) -> bool:
        waiters, waiter = waiters_of(self), Waiter(get_hub(), "acquire", self)
        if self.counter > 0:  # since a moment ago
            self.counter -= 1
            return True
        waiters.waiting[waiter] = None
        return waiters.park_in(waiter, timeout, self._hand_on) is not TIMED_OUT

    def release(self, blocking: bool = True) -> bool:
        """Give a token back, to the one that waits longest if any does. Always True; `blocking` is ignored.

        Switches: never.
        """
        waiters = self._waiters
        # A negative counter is a pool that shrank while its slots were taken: those tokens are gone.
        while waiters is not None and waiters.waiting and self.counter >= 0:
            if waiters.wake_one():
                return True
        self.counter += 1
        return True

    def _hand_on(self, _: Any) -> None:
        self.release()

    def __enter__(self) -> None:
        """Acquire. Switches: when empty."""
        self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release. Switches: never."""
        self.release()


class BoundedSemaphore(Semaphore):
    """A Semaphore that never has more tokens than it began with: releasing one too many is a ValueError."""

    __slots__ = ("original_counter",)

    def __init__(self, value: int = 1) -> None:
        """`value` tokens to begin with, and at most."""
        super().__init__(value)
        self.original_counter = self.counter

    def release(self, blocking: bool = True) -> bool:
        """Give a token back; ValueError if that is one more than there were. Switches: never."""
        if self.counter >= self.original_counter:
            raise ValueError(f"released more often than acquired: {self!r}")
        return super().release(blocking)


class CappedSemaphore:
    """A semaphore with two ends: acquire() waits when it is empty, release() when it holds `limit` tokens.

    With a limit of 0 each release() meets an acquire(). Both ends are served first come, first served.
    """

    __slots__ = ("_givers", "_takers", "counter", "limit")

    def __init__(self, count: int, limit: int) -> None:
        """`count` tokens to begin with, 0 <= count <= limit."""
        if not 0 <= count <= limit:
            raise ValueError(f"a capped semaphore begins with 0 to {limit} tokens, not {count}")
        self.counter = count
        self.limit = limit
        self._takers = WaitQueue()
        self._givers = WaitQueue()

    def __repr__(self) -> str:
        """As it stands in dumps."""
        return f"<{type(self).__name__} at {id(self):#x} balance={self.balance}>"

    @property
    def balance(self) -> int:
        """The tokens left, less those who wait for one, plus those who wait to give one."""
        return self.counter - len(self._takers) + len(self._givers)

    def locked(self) -> bool:
        """Whether acquire() would wait. Switches: never."""
        return self.counter <= 0 and not self._givers

    def bounded(self) -> bool:
        """Whether release() would wait. Switches: never."""
        return self.counter >= self.limit and not self._takers

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take a token; False when there is none in time. Switches: when empty."""
        if timeout is not None:
            timeout = checked_timeout(blocking, timeout)
        if self.counter > 0:
            self.counter -= 1
            if self.counter < self.limit and self._givers.wake_one():
                self.counter += 1
            return True
        if self._givers.wake_one():
            return True
        return blocking and self._takers.park("acquire", self, timeout, self._hand_on) is not TIMED_OUT

    def release(self, blocking: bool = True) -> bool:
        """Give a token; False when there is no room and not `blocking`. Switches: when full."""
        if self.counter >= 0 and self._takers.wake_one():
            return True
        if self.counter < self.limit:
            self.counter += 1
            return True
        if blocking:
            self._givers.park("release", self, undo=self._take_back)
        return blocking

    def _hand_on(self, _: Any) -> None:
        # Past the limit, if need be: who gave it has gone on.
        if not self._takers.wake_one():
            self.counter += 1

    def _take_back(self, _: Any) -> None:
        # Below 0, if need be: who took it has gone on, and the next release() makes up for it.
        if not self._givers.wake_one():
            self.counter -= 1

    def __enter__(self) -> None:
        """Acquire. Switches: when empty."""
        self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release. Switches: when full."""
        self.release()
