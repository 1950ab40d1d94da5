"""ThreadLock and ThreadRLock: what threading.Lock and RLock are in a patched program.

Facts: a patched program has green threads and OS threads (the pools of thread_pools.py, a C library's own), and
logging, queue and the import system use one lock from both. Consequence: whether a lock is held is kept in a native
one, which the C interpreter makes atomic; who waits stands in a line of Crossings, so that a green thread lets its hub
go on and an OS thread simply blocks. The hub's own Lock (locks.py) is cheaper and stays within one hub.

Invariants: first come, first served: a lock that is let go while somebody waits passes on without becoming free, so
that one who takes it again at once starves nobody. Whoever steps into the line looks at the lock once more, and whoever
sets the lock free looks at the line once more: neither can miss the other.
"""

from __future__ import annotations

import sys
from types import TracebackType

from greenlet import getcurrent, greenlet

from greenserve_hub.crossings import Crossing
from greenserve_hub.errors import HubError
from greenserve_hub.loop import find_hub
from greenserve_hub.natives import _thread

_IN_CALLBACK = 0.1  # seconds
_MOST: float = _thread.TIMEOUT_MAX


class ThreadLock:
    """threading.Lock: held or not, released by anybody."""

    __slots__ = ("__weakref__", "_held", "_line")

    def __init__(self) -> None:
        """Not held."""
        self._held = _thread.allocate_lock()
        # A list: a deque takes 600 bytes from the start, and lines are short.
        self._line: list[Crossing] = []

    def __init_subclass__(cls) -> None:
        """TypeError, as the native one's, but for ours."""
        if not cls.__module__.startswith("greenserve_hub."):
            raise TypeError("type '_thread.lock' is not an acceptable base type")

    def __repr__(self) -> str:
        """As that of the native one."""
        state = "locked" if self._held.locked() else "unlocked"
        return f"<{state} {type(self).__module__}.{type(self).__name__} object at {id(self):#x}>"

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As threading.Lock.acquire. Switches: when it is held."""
        if timeout != -1 or not blocking:
            seconds = _checked(blocking, timeout)
            return self._held.acquire(False) or (seconds != 0 and self._stand_in_line(seconds))
        return self._held.acquire(False) or self._stand_in_line(None)

    def _stand_in_line(self, timeout: float | None) -> bool:
        hub = find_hub()
        if hub is not None and getcurrent() is hub.greenlet:
            return self._wait_in_callback(timeout)
        crossing = Crossing("acquire", self)
        self._line.append(crossing)
        if self._held.acquire(False):
            # It was set free before we stood in line. Nobody else can have taken us out: only who holds it does.
            self._line.remove(crossing)
            return True
        try:
            crossing.park(timeout)
        except BaseException:
            if not self._leave(crossing):
                self.release()
            raise
        return not self._leave(crossing)

    def _wait_in_callback(self, timeout: float | None) -> bool:
        # The hub can't give way. An OS thread that holds the lock is done soon; a green thread would wait for the hub.
        if self._held.acquire(timeout=_IN_CALLBACK if timeout is None else min(timeout, _IN_CALLBACK)):
            return True
        if timeout is not None and timeout <= _IN_CALLBACK:
            return False
        raise HubError(f"a callback of the hub can't wait for {self!r}: spawn a green thread for it")

    def _leave(self, crossing: Crossing) -> bool:
        """Step out of the line; False if the lock is this one's already."""
        if crossing.granted:
            return False
        try:
            self._line.remove(crossing)
        except ValueError:
            return False
        return True

    def release(self) -> None:
        """As threading.Lock.release. From any OS thread. Switches: never."""
        held, line = self._held, self._line
        if not line:
            held.release()  # RuntimeError when it is not held
        elif not held.locked():
            raise RuntimeError("release unlocked lock")
        elif self._pass_on():
            return
        else:
            held.release()
        # Who came meanwhile may have looked at the lock just before it was free.
        while line and held.acquire(False):
            if self._pass_on():
                return
            held.release()

    def _pass_on(self) -> bool:
        # For whoever holds it.
        try:
            crossing = self._line.pop(0)
        except IndexError:
            return False
        crossing.granted = True
        crossing.wake()
        return True

    def locked(self) -> bool:
        """Whether it is held. Switches: never."""
        return self._held.locked()

    def __enter__(self) -> bool:
        """Acquire. Switches: when it is held."""
        return self._held.acquire(False) or self._stand_in_line(None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release. Switches: never."""
        self.release()

    def _at_fork_reinit(self) -> None:
        self._held = _thread.allocate_lock()
        self._line = []

    # _thread's older names, which some still use
    acquire_lock = acquire
    release_lock = release
    locked_lock = locked


class ThreadRLock:
    """threading.RLock: its owner, a green thread or an OS thread, may acquire it again."""

    __slots__ = ("__weakref__", "_block", "_count", "_owner")

    def __init__(self, *ignored: object, **named: object) -> None:
        """Not held. Arguments are ignored, as by the native one; from Python 3.15 on a TypeError."""
        if (ignored or named) and sys.version_info >= (3, 15):
            raise TypeError("RLock() takes no arguments")
        self._block = ThreadLock()
        self._owner: greenlet | None = None
        self._count = 0

    def __repr__(self) -> str:
        """As that of the native one."""
        state = "locked" if self._block.locked() else "unlocked"
        owner = 0 if self._owner is None else id(self._owner)
        name = f"{type(self).__module__}.{type(self).__qualname__}"
        return f"<{state} {name} object owner={owner} count={self._count} at {id(self):#x}>"

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As threading.RLock.acquire. Switches: when another holds it."""
        current = _me()
        if self._owner is current:
            _checked(blocking, timeout)
            self._count += 1
            return True
        if not self._block.acquire(blocking, timeout):
            return False
        self._owner = current
        self._count = 1
        return True

    def release(self) -> None:
        """As threading.RLock.release. Switches: never."""
        if self._owner is not _me():
            raise RuntimeError("cannot release un-acquired lock")
        self._count -= 1
        if not self._count:
            self._owner = None
            self._block.release()

    def __enter__(self) -> bool:
        """Acquire. Switches: when another holds it."""
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release. Switches: never."""
        self.release()

    def locked(self) -> bool:
        """Whether anybody holds it. Switches: never."""
        return self._block.locked()

    # What threading.Condition asks of a lock

    def _is_owned(self) -> bool:
        return self._owner is _me()

    def _release_save(self) -> tuple[int, greenlet | None]:
        if not self._count:
            raise RuntimeError("cannot release un-acquired lock")
        state = self._count, self._owner
        self._count, self._owner = 0, None
        self._block.release()
        return state

    def _acquire_restore(self, state: tuple[int, greenlet | None]) -> None:
        self._block.acquire()
        self._count, self._owner = state

    def _recursion_count(self) -> int:
        return self._count if self._owner is _me() else 0

    def _at_fork_reinit(self) -> None:
        self._block._at_fork_reinit()
        self._owner = None
        self._count = 0


def _me() -> greenlet | None:
    try:
        return getcurrent()
    except RuntimeError:
        return None  # the interpreter is at its end, and so is everybody else


def _checked(blocking: bool, timeout: float) -> float | None:
    """Seconds to wait, None for ever; the native lock's errors."""
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
