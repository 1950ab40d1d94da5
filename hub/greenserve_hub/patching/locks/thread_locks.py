"""ThreadLock and ThreadRLock: threading.Lock and RLock in a patched program.

Facts: a patched program has green threads and OS threads (the pools of osthreads/thread_pools.py, those of a C
library), and logging, queue and the import system use one lock from both. CPython's lock operations are single C calls,
so a finalizer or a signal handler may take a lock at any point. Consequence: the owner is kept in a native lock or in a
dictionary, whose operations are atomic. Waiters stand in a line (sync/handoffs.py), where a green thread lets its hub
run and an OS thread blocks. The hub's own Lock (sync/locks.py) is cheaper, and for one hub only.

Invariants: first come, first served. A lock that is released while there are waiters goes to the first of them without
becoming free, so a thread that acquires it again at once starves nobody. A thread that enters the line checks the lock
again, and a thread that frees the lock checks the line again, so neither misses the other. No state needs two steps: an
RLock is owned from the single call that takes it, and counts only further acquires. At the end of the interpreter, when
greenlet knows no current green thread any more, nothing else can run. So every lock can then be acquired, and
finalizers get through.
"""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import Any, Final

from greenlet import getcurrent, greenlet

from greenserve_hub.finalization import deadlock, has_begun
from greenserve_hub.sync.handoffs import Line, hand_off, nudge, wait_in_line
from greenserve_hub.unpatched import _thread

_MOST: float = _thread.TIMEOUT_MAX
_LAST: Any = object()  # the owner at the end of the interpreter
_WAITS: Final = threading.Condition.wait.__code__


class ThreadLock:
    """threading.Lock. Any thread may release it."""

    __slots__ = ("__weakref__", "_held", "_line")

    def __init__(self) -> None:
        """Not held."""
        self._held = _thread.allocate_lock()
        self._line: Line = []

    def __init_subclass__(cls) -> None:
        """Raise TypeError, like the native class; our own subclasses are allowed."""
        if not cls.__module__.startswith("greenserve_hub."):
            raise TypeError("type '_thread.lock' is not an acceptable base type")

    def __repr__(self) -> str:
        """Return the text of the native one."""
        state = "locked" if self._held.locked() else "unlocked"
        return f"<{state} {type(self).__module__}.{type(self).__name__} object at {id(self):#x}>"

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Like threading.Lock.acquire. Switches: when it is held."""
        if timeout != -1 or not blocking:
            seconds = _checked(blocking, timeout)
            return self._held.acquire(False) or (seconds != 0 and self._stand_in_line(seconds))
        return self._held.acquire(False) or self._stand_in_line(None)

    def _stand_in_line(self, timeout: float | None) -> bool:
        if has_begun():
            return _is_left(timeout)
        return wait_in_line(self._line, self, self._take, self.release, timeout, in_hub=True)

    def _take(self) -> bool:
        return self._held.acquire(False)

    def release(self) -> None:
        """Like threading.Lock.release. From any OS thread. Switches: never."""
        held, line = self._held, self._line
        if line:
            if not held.locked():
                raise RuntimeError("release unlocked lock")
            if hand_off(line):
                return
        held.release()  # RuntimeError if it is not held
        if line:
            nudge(line)

    def locked(self) -> bool:
        """Return True if it is held. Switches: never."""
        return self._held.locked()

    def __enter__(self) -> bool:
        """Acquire. Switches: when it is held."""
        return self._held.acquire(False) or self._stand_in_line(None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release. Switches: never."""
        if self._line:
            self.release()
        else:
            self._held.release()
            if self._line:
                nudge(self._line)

    def _at_fork_reinit(self) -> None:
        self._held = _thread.allocate_lock()
        self._line = []

    # _thread's older names, still in use
    acquire_lock = acquire
    release_lock = release
    locked_lock = locked


class ThreadRLock:
    """threading.RLock: its owner, a green thread or an OS thread, may acquire it again."""

    __slots__ = ("__weakref__", "_again", "_line", "_owner")

    def __init__(self, *ignored: object, **named: object) -> None:
        """Not held. Arguments are ignored, as in the native one; TypeError from Python 3.15 on."""
        if (ignored or named) and sys.version_info >= (3, 15):
            raise TypeError("RLock() takes no arguments")
        self._owner: dict[int, greenlet] = {}  # the owner, under the key 0
        self._again = 0  # further acquires by the owner
        self._line: Line = []

    def __repr__(self) -> str:
        """Return the text of the native one."""
        owner = self._owner.get(0)
        state = "unlocked" if owner is None else "locked"
        count = 0 if owner is None else self._again + 1
        name = f"{type(self).__module__}.{type(self).__qualname__}"
        return f"<{state} {name} object owner={0 if owner is None else id(owner)} count={count} at {id(self):#x}>"

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Like threading.RLock.acquire. Switches: when another holds it."""
        seconds = None if blocking and timeout == -1 else _checked(blocking, timeout)
        owner, current = self._owner, _me()
        if owner.get(0) is current:
            self._again += 1
            return True
        return owner.setdefault(0, current) is current or (seconds != 0 and self._stand_in_line(seconds))

    def _stand_in_line(self, timeout: float | None) -> bool:
        if has_begun():
            if _is_left(timeout):
                self._owner[0], self._again = _me(), 0
            return timeout is None
        return wait_in_line(self._line, self, self._take, self._let_go, timeout, in_hub=True)

    def _take(self) -> bool:
        owner, current = self._owner, _me()
        # The first test, because this thread may own it already.
        return 0 not in owner and owner.setdefault(0, current) is current

    def release(self) -> None:
        """Like threading.RLock.release. Switches: never."""
        owner = self._owner
        try:
            current = getcurrent()
        except RuntimeError:
            current = _LAST
        if owner.get(0) is not current:
            if current is _LAST or current is None:
                return
            raise RuntimeError("cannot release un-acquired lock")
        if self._again:
            self._again -= 1
        elif self._line:
            self._let_go()
        else:
            del owner[0]
            if self._line:
                nudge(self._line)

    def _let_go(self) -> None:
        line = self._line
        if not hand_off(line, self._owner):
            del self._owner[0]
            if line:
                nudge(line)

    def __enter__(self) -> bool:
        """Acquire. Switches: when another holds it."""
        owner = self._owner
        try:
            current = getcurrent()
        except RuntimeError:
            current = _LAST
        if owner.get(0) is current:
            self._again += 1
            return True
        return owner.setdefault(0, current) is current or self._stand_in_line(None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release. Switches: never."""
        self.release()

    def locked(self) -> bool:
        """Return True if it is held. Switches: never."""
        return bool(self._owner)

    # For threading.Condition

    def _is_owned(self) -> bool:
        return self._owner.get(0) is _me()

    def _release_save(self) -> tuple[int, greenlet]:
        owner = self._owner.get(0)
        if owner is None:
            raise RuntimeError("cannot release un-acquired lock")
        state = self._again, owner
        self._again = 0
        self._let_go()
        return state

    def _acquire_restore(self, state: tuple[int, greenlet]) -> None:
        self.acquire()
        self._again, _ = state

    def _recursion_count(self) -> int:
        return self._again + 1 if self._is_owned() else 0

    def _at_fork_reinit(self) -> None:
        self._owner = {}
        self._again = 0
        self._line = []


def _is_left(timeout: float | None) -> bool:
    """Return True if a held lock can be taken at the end of the interpreter, where its owner never runs again."""
    if timeout is None and sys._getframe(3).f_code is _WAITS:
        raise deadlock()  # Condition.wait() needs another thread to release its lock
    return timeout is None


def _me() -> Any:
    try:
        current: greenlet | None = getcurrent()
    except RuntimeError:
        return _LAST
    return _LAST if current is None else current  # None from older versions of greenlet


def _checked(blocking: bool, timeout: float) -> float | None:
    """Return the seconds to wait, None for no timeout. Raises the native lock's errors."""
    if not blocking:
        if timeout != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        return 0.0
    if timeout == -1:
        return None
    seconds = float(timeout)
    if seconds != seconds:
        raise ValueError("Invalid value NaN (not a number)")
    if seconds < 0:
        raise ValueError("timeout value must be a non-negative number")
    if seconds > _MOST:
        raise OverflowError("timeout value is too large")
    return seconds
