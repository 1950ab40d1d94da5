"""The locks and conditions of `threading`, for green threads.

Use Semaphore and WaitQueue. First come, first served. A lock excludes the green threads of one hub from each other. It
is needed only if the code that holds it waits: between two waits no other green thread runs. Not for use between OS
threads.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from greenlet import getcurrent, greenlet

from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.parking import TIMED_OUT, Waiter, WaitQueue, waiters_of
from greenserve_hub.sync.semaphores import Semaphore, checked_timeout


class Lock(Semaphore):
    """threading.Lock for green threads. Any green thread may release it."""

    __slots__ = ()

    def __init__(self) -> None:
        """Not held."""
        super().__init__(1)

    def release(self, blocking: bool = True) -> bool:
        """Release it; RuntimeError if it is not held. Switches: never."""
        if self.counter > 0:
            raise RuntimeError("release of a lock that is not held")
        return super().release(blocking)

    def __enter__(self) -> bool:  # type: ignore[override]  # threading.Lock returns True here
        """Acquire. Switches: when held."""
        return self.acquire()

    def _at_fork_reinit(self) -> None:
        self.counter = 1
        self._waiters = None


class _Taker(Waiter):
    """A wait for an RLock."""

    __slots__ = ("taker",)

    taker: greenlet


class RLock:
    """threading.RLock for green threads: its owner may acquire it again, and must release it as often."""

    __slots__ = ("__weakref__", "_again", "_owner", "_waiters")

    def __init__(self) -> None:
        """Not held."""
        self._owner: greenlet | None = None
        self._again = 0  # further acquires by the owner
        self._waiters: WaitQueue | None = None

    def __repr__(self) -> str:
        """Return the text for dumps."""
        count = 0 if self._owner is None else self._again + 1
        return f"<RLock at {id(self):#x} owner={self._owner!r} count={count}>"

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take it, or count one more if this green thread holds it; False if not in time.

        Switches: when another holds it.
        """
        if timeout is not None:
            timeout = checked_timeout(blocking, timeout)
        current = getcurrent()
        if self._owner is current:
            self._again += 1
            return True
        if self._owner is None:
            self._owner = current
            return True
        return blocking and self._wait(current, timeout)

    def _wait(self, current: greenlet, timeout: float | None) -> bool:
        waiters, waiter = waiters_of(self), _Taker(get_hub(), "acquire", self)
        waiter.taker = current
        if self._owner is None:
            self._owner = current
            return True
        waiters.waiting[waiter] = None
        return waiters.park_in(waiter, timeout, self._hand_on) is not TIMED_OUT

    def release(self) -> None:
        """Count one less, and release it at 0; RuntimeError if this green thread does not hold it.

        Switches: never.
        """
        if self._owner is not getcurrent():
            raise RuntimeError("release of a lock that this green thread does not hold")
        if self._again:
            self._again -= 1
        else:
            self._let_go()

    def _let_go(self) -> None:
        waiters = self._waiters
        while waiters is not None and waiters.waiting:
            waiter: Any = waiters.first()
            step = (waiter and waiter.resume, ())
            if waiter in waiters.waiting and not waiter.woken:
                # New owner and wakeup in one atomic step: see loop/parking.py.
                self._owner = waiter.taker
                waiter.woken = True
                waiter.hub.ready.append(step)
                waiters.waiting.pop(waiter, None)
                return
            waiters.waiting.pop(waiter, None)
        self._owner = None

    def locked(self) -> bool:
        """Return True if it is held. Switches: never."""
        return self._owner is not None

    def __enter__(self) -> bool:
        """Acquire. Switches: when another holds it."""
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release. Switches: never."""
        self.release()

    # For Condition, ours and threading's:

    def _is_owned(self) -> bool:
        return self._owner is getcurrent()

    def _release_save(self) -> int:
        again, self._again = self._again, 0
        self._let_go()
        return again

    def _acquire_restore(self, again: int) -> None:
        self.acquire()
        self._again = again

    def _hand_on(self, _: Any) -> None:
        self._let_go()

    def _at_fork_reinit(self) -> None:
        self._owner = None
        self._again = 0
        self._waiters = None


class Condition:
    """threading.Condition for green threads: wait() releases the lock until another green thread notifies."""

    __slots__ = ("__weakref__", "_lock", "_waiters")

    def __init__(self, lock: Lock | RLock | None = None) -> None:
        """Use `lock`, or a new RLock."""
        self._lock = RLock() if lock is None else lock
        self._waiters = WaitQueue()

    def __repr__(self) -> str:
        """Return the text for dumps."""
        return f"<Condition at {id(self):#x} over {self._lock!r}, {len(self._waiters)} waiting>"

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take the lock. Switches: when another holds it."""
        return self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        """Release the lock. Switches: never."""
        self._lock.release()

    def __enter__(self) -> bool:
        """Acquire. Switches: when another holds the lock."""
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release. Switches: never."""
        self.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until notified; False after `timeout` seconds. Switches: always.

        RuntimeError if the lock is not held. The lock is held again when this returns or raises, however long that
        takes.
        """
        self._must_be_held()
        lock, waiters = self._lock, self._waiters
        waiter = Waiter(get_hub(), "a notify of", self)
        waiters.waiting[waiter] = None  # before others can take the lock
        again = lock._release_save() if isinstance(lock, RLock) else lock.release()
        try:
            return waiters.park_in(waiter, timeout, self._hand_on) is not TIMED_OUT
        finally:
            self._take_back(int(again))

    def _take_back(self, again: int) -> None:
        # An exception may arrive while this waits for the lock. The `with` block around it must still find the lock
        # held, so the exception is raised afterwards.
        late: BaseException | None = None
        while True:
            try:
                if isinstance(self._lock, RLock):
                    self._lock._acquire_restore(again)
                else:
                    self._lock.acquire()
                break
            except BaseException as error:
                late = error
        if late is not None:
            raise late

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        """Wait until `predicate()` is true, at most `timeout` seconds, and return its last value.

        Switches: unless it is true.
        """
        clock = get_hub().clock
        end = None if timeout is None else clock() + timeout
        while not (result := predicate()):
            left = None if end is None else end - clock()
            if left is not None and left <= 0:
                break
            self.wait(left)
        return result

    def notify(self, n: int = 1) -> None:
        """Wake the `n` that wait longest. RuntimeError if the lock is not held. Switches: never."""
        self._must_be_held()
        while n > 0 and self._waiters.wake_one():
            n -= 1

    def notify_all(self) -> None:
        """Wake all waiters. RuntimeError if the lock is not held. Switches: never."""
        self._must_be_held()
        self._waiters.wake_all()

    def _must_be_held(self) -> None:
        lock = self._lock
        if not (lock._is_owned() if isinstance(lock, RLock) else lock.locked()):
            raise RuntimeError("wait() and notify() of a condition need its lock to be held")

    def _hand_on(self, _: Any) -> None:
        self._waiters.wake_one()
