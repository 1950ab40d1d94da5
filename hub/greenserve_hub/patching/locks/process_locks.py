"""SemLock: the base of multiprocessing's locks, semaphores, conditions, events, barriers and queues, when patched.

Facts: a SemLock is a POSIX semaphore in shared memory, which other processes use too, patched or not. No poller can
watch it: a wait is a C call that blocks an OS thread (sem_wait(3)). Consequence: the semaphore stays the same, and an
OS thread waits instead of the green one (osthreads/native_waits.py). One OS thread per semaphore is enough: one green
thread of the process waits for the semaphore, and the others wait for their turn, first come, first served. An OS
thread without a hub waits itself, as usual.

Invariant of the recursive kind: a thread first takes a lock within the process and then the semaphore, and the level
that has taken the semaphore gives it back. So a finalizer or a signal handler may interrupt at any point.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from greenlet import getcurrent, greenlet

from greenserve_hub.loop.current import find_hub
from greenserve_hub.osthreads.native_waits import take
from greenserve_hub.patching.locks.thread_locks import ThreadLock, ThreadRLock
from greenserve_hub.unpatched import _thread, os, time

NativeSemLock: Final[Any] = import_module("_multiprocessing").SemLock  # not patched yet

_RECURSIVE, _SEMAPHORE = 0, 1  # the kinds in C


class SemLock:
    """_multiprocessing.SemLock: a semaphore between processes, or a lock that its owner may acquire again."""

    __slots__ = ("__weakref__", "_inner", "_native", "_owner", "_pid", "_taken_at", "_turn")

    SEM_VALUE_MAX: ClassVar[int] = NativeSemLock.SEM_VALUE_MAX

    _native: Any  # always of the kind semaphore
    _inner: ThreadRLock | None  # of the recursive kind: the lock within the process
    _taken_at: int  # the count of `_inner` when the semaphore was taken; 0: it is not taken
    _owner: object  # of the other kind: the green thread that acquired it last
    _turn: ThreadLock | None  # held by the green thread that waits for the semaphore
    _pid: int  # the process in which `_inner` and `_turn` are valid

    def __new__(cls, kind: int, value: int, maxvalue: int, name: str, unlink: bool) -> Self:
        """Create one with this `name`, which is removed at once if `unlink`. FileExistsError if the name exists."""
        recursive = kind == _RECURSIVE
        return cls._of(
            NativeSemLock(_SEMAPHORE if recursive else kind, value, maxvalue, name, unlink), recursive
        )

    @classmethod
    def _rebuild(cls, handle: int, kind: int, maxvalue: int, name: str | None, /) -> Self:
        return cls._of(NativeSemLock._rebuild(handle, _SEMAPHORE, maxvalue, name), kind == _RECURSIVE)

    @classmethod
    def _of(cls, native: Any, recursive: bool) -> Self:
        self = super().__new__(cls)
        self._native = native
        self._inner = ThreadRLock() if recursive else None
        self._taken_at = 0
        self._owner = None
        self._turn = None
        self._pid = os.getpid()
        return self

    @classmethod
    def over(cls, native: Any) -> Any:
        """Return ours for an existing native one; the native one itself if it is recursive and held.

        It is the same semaphore, so waits in C stay valid.
        """
        if native.kind == _RECURSIVE:
            return native if native._count() else cls._of(_as_semaphore(native), recursive=True)
        self = cls._of(native, recursive=False)
        if native._is_mine():
            self._owner = _me()
        return self

    def __repr__(self) -> str:
        """Return the text of the native one."""
        return f"<{type(self).__module__}.{type(self).__name__} object at {id(self):#x}>"

    # Attributes

    @property
    def handle(self) -> int:
        """The address of the semaphore."""
        found: int = self._native.handle
        return found

    @property
    def kind(self) -> int:
        """0: recursive; 1: a semaphore."""
        return _SEMAPHORE if self._inner is None else _RECURSIVE

    @property
    def maxvalue(self) -> int:
        """The maximum number of tokens."""
        found: int = self._native.maxvalue
        return found

    @property
    def name(self) -> str | None:
        """The name by which other processes open it; None after it was removed."""
        found: str | None = self._native.name
        return found

    def _get_value(self) -> Any:
        return self._native._get_value()

    def _is_zero(self) -> Any:
        return self._native._is_zero()

    def _count(self) -> Any:
        # Acquires minus releases in this process.
        inner = self._inner
        return (0 if inner is None else inner._recursion_count()) or self._native._count()

    def _is_mine(self) -> bool:
        if self._inner is not None:
            return self._inner._is_owned()
        return self._native._count() > 0 and self._owner is _me()

    # Acquire and release

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take a token; False if there is none and not `block`, or none within `timeout` seconds.

        Switches: when there is none.
        """
        seconds = None if timeout is None else max(0.0, float(timeout))
        if not block:
            seconds = 0.0
        if self._inner is not None:
            return self._acquire_recursive(seconds)
        if not self._take(seconds):
            return False
        self._owner = _me()
        return True

    def _acquire_recursive(self, seconds: float | None) -> bool:
        end = _end_of(seconds)
        self._come_home()
        inner = self._inner
        assert inner is not None
        if not _acquire_within(inner, seconds):
            return False
        depth = inner._recursion_count()
        # _count(), because code that we interrupt may have taken the semaphore in this moment.
        if depth > 1 and (self._taken_at or self._native._count()):
            return True
        taken = False
        try:
            taken = self._take(_left(end))
            if taken:
                self._taken_at = depth
        finally:
            if not taken:
                inner.release()
        return taken

    def release(self) -> None:
        """Give a token back. Switches: never.

        ValueError above `maxvalue`. AssertionError if another thread owns the recursive one.
        """
        inner = self._inner
        if inner is None:
            self._native.release()
            return
        if not inner._is_owned():
            raise AssertionError("attempt to release recursive lock not owned by thread")
        try:
            if inner._recursion_count() == self._taken_at:
                self._taken_at = 0
                self._native.release()
        finally:
            inner.release()

    def __enter__(self) -> bool:
        """Acquire. Switches: when there is no token."""
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
        /,
    ) -> None:
        """Release. Switches: never."""
        self.release()

    # In the child of a fork

    def _after_fork(self) -> None:
        # Called by multiprocessing in a process that it has started, which has acquired nothing.
        self._native._after_fork()
        self._inner = None if self._inner is None else ThreadRLock()
        self._taken_at = 0
        self._owner = self._turn = None

    def _come_home(self) -> None:
        # Their owners in the parent do not exist here, except the thread that forked.
        pid = os.getpid()
        if self._pid != pid:
            self._pid = pid
            self._turn = None
            if self._inner is not None and not self._inner._is_owned():
                self._inner = ThreadRLock()
                self._taken_at = 0

    # The kernel's semaphore

    def _take(self, seconds: float | None) -> bool:
        native = self._native
        if seconds == 0:
            return bool(native.acquire(False))
        # Waiters of this process come first.
        if (self._turn is None or not self._turn.locked()) and native.acquire(False):
            return True
        if find_hub() is None or _me() is None:
            return bool(native.acquire(True, seconds))
        end = _end_of(seconds)
        self._come_home()
        turn = self._turn
        if turn is None:
            turn = self._turn = ThreadLock()
        if not _acquire_within(turn, seconds):
            return False
        try:
            return bool(native.acquire(False)) or take(native, self, _left(end), in_hub=True)
        finally:
            turn.release()


def _me() -> greenlet | None:
    try:
        return getcurrent()
    except RuntimeError:
        return None  # at the end of the interpreter nothing else runs


_opened_twice: list[Any] = []


def _as_semaphore(native: Any) -> Any:
    """Return the semaphore of a recursive one, without its owner."""
    if native.name is not None:
        with suppress(FileNotFoundError):
            return NativeSemLock._rebuild(native.handle, _SEMAPHORE, native.maxvalue, native.name)
    # Both have one address, and the first that is freed would close it for the other. So both are kept.
    twin = NativeSemLock._rebuild(native.handle, _SEMAPHORE, native.maxvalue, None)
    _opened_twice.extend((native, twin))
    return twin


def _end_of(seconds: float | None) -> float | None:
    return None if seconds is None else time.monotonic() + seconds


def _left(end: float | None) -> float | None:
    return None if end is None else max(0.0, end - time.monotonic())


def _acquire_within(lock: ThreadLock | ThreadRLock, seconds: float | None) -> bool:
    return lock.acquire(True, -1 if seconds is None else min(seconds, _thread.TIMEOUT_MAX))
