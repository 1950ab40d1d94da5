"""Semaphores for green threads: acquire() takes a token, and waits if there is none.

Uses WaitQueue and knows no pool. First come, first served: a released token goes directly to the longest waiter, so no
other green thread can take it in between. Not for use between OS threads.

Invariants: while a green thread waits, there is no token. If an exception (Timeout, kill) reaches a green thread before
its token, the token goes to the next one. Both hold also when a finalizer or signal handler interrupts and waits: see
loop/parking.py.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.parking import TIMED_OUT, Waiter, WaitQueue, waiters_of


def checked_timeout(blocking: bool, timeout: float) -> float | None:
    """Convert a timeout of threading to seconds, or None for no timeout; ValueError. Switches: never."""
    if not blocking:
        raise ValueError("a timeout needs a blocking acquire")
    if timeout == -1:  # threading's "no timeout"
        return None
    if timeout < 0:
        raise ValueError(f"a timeout cannot be negative: {timeout}")
    return timeout


class Semaphore:
    """A number of tokens. `acquire` takes one, and waits if there is none."""

    __slots__ = ("__weakref__", "_waiters", "counter")

    def __init__(self, value: int = 1) -> None:
        """Start with `value` tokens. TypeError or ValueError if it is not a number >= 0."""
        value = int(value)
        if value < 0:
            raise ValueError(f"a semaphore starts with 0 tokens or more, not {value}")
        self.counter = value
        self._waiters: WaitQueue | None = None

    def __repr__(self) -> str:
        """Return the text for dumps."""
        return f"<{type(self).__name__} at {id(self):#x} balance={self.balance}>"

    @property
    def balance(self) -> int:
        """Free tokens minus waiters."""
        return self.counter - self.waiting()

    def waiting(self) -> int:
        """Return the number of waiters. Switches: never."""
        return 0 if self._waiters is None else len(self._waiters)

    def locked(self) -> bool:
        """Return True if acquire() would wait. Switches: never."""
        return self.counter <= 0

    def bounded(self) -> bool:
        """Return True if release() would wait: never here, see CappedSemaphore. Switches: never."""
        return False

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take a token; False if there is none and not `blocking`, or none within `timeout` seconds.

        Switches: when empty.
        """
        if timeout is not None:
            timeout = checked_timeout(blocking, timeout)
        if self.counter > 0:  # so there are no waiters: see release()
            self.counter -= 1
            return True
        return blocking and self._wait(timeout)

    def _wait(self, timeout: float | None) -> bool:
        waiters, waiter = waiters_of(self), Waiter(get_hub(), "acquire", self)
        if self.counter > 0:  # released in this moment
            self.counter -= 1
            return True
        waiters.waiting[waiter] = None
        return waiters.park_in(waiter, timeout, self._hand_on) is not TIMED_OUT

    def release(self, blocking: bool = True) -> bool:
        """Give a token back, to the longest waiter if there is one. Always True; `blocking` is ignored.

        Switches: never.
        """
        waiters = self._waiters
        # The counter is negative after a pool shrank while its slots were in use: those tokens are gone.
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
    """A Semaphore that never has more tokens than at the start: one release too many is a ValueError."""

    __slots__ = ("original_counter",)

    def __init__(self, value: int = 1) -> None:
        """Start with `value` tokens, which is also the limit."""
        super().__init__(value)
        self.original_counter = self.counter

    def release(self, blocking: bool = True) -> bool:
        """Give a token back; ValueError if that exceeds the limit. Switches: never."""
        if self.counter >= self.original_counter:
            raise ValueError(f"released more often than acquired: {self!r}")
        return super().release(blocking)


class CappedSemaphore:
    """A semaphore with a limit: acquire() waits while it is empty, release() while it holds `limit` tokens.

    With a limit of 0 each release() waits for an acquire(). Both are served first come, first served.
    """

    __slots__ = ("_givers", "_takers", "counter", "limit")

    def __init__(self, count: int, limit: int) -> None:
        """Start with `count` tokens, 0 <= count <= limit."""
        if not 0 <= count <= limit:
            raise ValueError(f"a capped semaphore starts with 0 to {limit} tokens, not {count}")
        self.counter = count
        self.limit = limit
        self._takers = WaitQueue()
        self._givers = WaitQueue()

    def __repr__(self) -> str:
        """Return the text for dumps."""
        return f"<{type(self).__name__} at {id(self):#x} balance={self.balance}>"

    @property
    def balance(self) -> int:
        """Free tokens, minus those that wait to acquire, plus those that wait to release."""
        return self.counter - len(self._takers) + len(self._givers)

    def locked(self) -> bool:
        """Return True if acquire() would wait. Switches: never."""
        return self.counter <= 0 and not self._givers

    def bounded(self) -> bool:
        """Return True if release() would wait. Switches: never."""
        return self.counter >= self.limit and not self._takers

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take a token; False if there is none in time. Switches: when empty."""
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
        """Give a token; False if there is no room and not `blocking`. Switches: when full."""
        if self.counter >= 0 and self._takers.wake_one():
            return True
        if self.counter < self.limit:
            self.counter += 1
            return True
        if blocking:
            self._givers.park("release", self, undo=self._take_back)
        return blocking

    def _hand_on(self, _: Any) -> None:
        # Above the limit if necessary: the green thread that gave it has continued.
        if not self._takers.wake_one():
            self.counter += 1

    def _take_back(self, _: Any) -> None:
        # Below 0 if necessary: the green thread that took it has continued, and the next release() balances it.
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
