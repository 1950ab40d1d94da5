"""_thread and threading for a patched program: threads are green threads of the hub that starts them.

The parts that threading.py uses are replaced (starting, identifiers, locks, locals). Its classes stay, so they are
those of the installed Python. Nothing changes for an OS thread without a hub (of a pool, of a C library): it starts OS
threads. Differences between Python versions are in versions.py.

Invariant: get_ident() is the OS thread's identifier for its main green thread, and the greenlet's id() for all others.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from contextvars import Context
from types import SimpleNamespace
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

from greenserve_hub.greenthreads.greenthreads import GreenThread
from greenserve_hub.greenthreads.locals import forget_locals, local
from greenserve_hub.loop.current import find_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.osthreads.native_waits import take
from greenserve_hub.osthreads.thread_pools import threads_of_pools
from greenserve_hub.patching.locks.thread_locks import ThreadLock, ThreadRLock
from greenserve_hub.patching.locks.thread_queues import SimpleQueue
from greenserve_hub.patching.stdlib import versions
from greenserve_hub.sync.handoffs import hand_off
from greenserve_hub.sync.thread_sync import Event
from greenserve_hub.unpatched import _thread

_running = 0


class SignalBody(greenlet):
    """Runs a signal handler that interrupted another green thread. For threading it is the main thread."""


class ThreadBody(GreenThread[object]):
    """Runs as a thread. Its errors are reported like those of threads; it begins with an empty context."""

    # For tracing.py: threading.Thread itself sets the function of threading.settrace().
    begins_untraced = True

    def __init__(
        self, hub: Hub, fn: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Not scheduled yet."""
        super().__init__(hub, fn, args, kwargs)
        self.gr_context = Context()
        self.at_end: list[Callable[[], object]] = []

    @property
    def name(self) -> str:  # type: ignore[override]  # threading stores it
        """The thread's name, for dumps."""
        thread = versions.active_threads().get(id(self))
        return "" if thread is None else thread.name

    def run(self) -> None:
        """Run the thread; for the hub only."""
        if self._ended:
            return
        fn, args, kwargs = self._call
        del self._call
        try:
            fn(*args, **kwargs)
        except (SystemExit, GreenletExit):
            pass
        except BaseException as error:
            _tell_unraisable(error, fn)
        finally:
            del fn, args, kwargs  # finalizers of their objects must still run in this thread
            self._over()
        self._value = None
        self._tell()

    def _end_unstarted(self, throw_args: tuple[Any, ...]) -> None:
        super()._end_unstarted(throw_args)
        self._over()

    def _over(self) -> None:
        global _running
        _running -= 1
        forget_locals(self)
        for call in self.at_end:
            call()


def _tell_unraisable(error: BaseException, fn: Callable[..., object]) -> None:
    message, subject = versions.told_of_thread(fn)
    told = SimpleNamespace(
        exc_type=type(error),
        exc_value=error,
        exc_traceback=error.__traceback__,
        err_msg=message,
        object=subject,
    )
    if sys.unraisablehook is not sys.__unraisablehook__:
        sys.unraisablehook(told)  # Python code cannot create its argument type
    elif sys.stderr is not None:
        sys.stderr.write(f"{message}{'' if subject is None else f': {subject!r}'}\n")
        sys.__excepthook__(told.exc_type, error, told.exc_traceback)


def get_ident() -> int:
    """Like threading.get_ident. Switches: never."""
    green = getcurrent()
    return _thread.get_ident() if green.parent is None or type(green) is SignalBody else id(green)


def set_name(name: str) -> None:
    """Like _thread.set_name of Python 3.14, but a green thread does not rename its OS thread. Switches: never."""
    if get_ident() == _thread.get_ident():
        _thread.set_name(name)  # type: ignore[attr-defined]


def start_new_thread(
    function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any] | None = None, /
) -> int:
    """Like _thread.start_new_thread. Switches: never."""
    if kwargs is None:
        kwargs = {}
    hub = find_hub()
    if hub is None:
        return _thread.start_new_thread(function, args, kwargs)
    if not callable(function):
        raise TypeError("first arg must be callable")
    if not isinstance(args, tuple):
        raise TypeError("2nd arg must be a tuple")
    if not isinstance(kwargs, dict):
        raise TypeError("optional 3rd arg must be a dictionary")
    return id(start_body(hub, function, args, kwargs))


def start_body(
    hub: Hub,
    function: Callable[..., object],
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
) -> ThreadBody:
    """Start a thread in `hub`, which runs from the next turn on. Switches: never."""
    global _running
    sys.audit("_thread.start_new_thread", function, args, kwargs)
    body = ThreadBody(hub, function, args, kwargs or {})
    _running += 1
    hub.ready.append((body.switch, ()))
    return body


def count() -> int:
    """Like _thread._count: running threads of both kinds, without the main one and those of our pools."""
    return _thread._count() - threads_of_pools() + _running


class EndLock(ThreadLock):
    """Python 3.11 and 3.12: held while the main thread runs, then free for all, which threading.py asserts."""

    __slots__ = ()

    def release(self) -> None:
        """Wake all waiters. Repeatable. Switches: never."""
        if self._held.locked():
            self._held.release()
        while hand_off(self._line):
            pass


class End:
    """Python 3.11 and 3.12: a lock that is held until a thread ends, with a green wait."""

    __slots__ = ("__weakref__", "_interrupted", "_lock")

    def __init__(self, lock: Any) -> None:
        """Wrap one of our locks, or the native lock that C releases at the end of an OS thread."""
        self._lock = lock
        self._interrupted: greenlet | None = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Like Lock.acquire. Switches: when it is held."""
        lock = self._lock
        hub = find_hub()
        if lock.acquire(False):
            return True
        if isinstance(lock, ThreadLock) or hub is None or not blocking or getcurrent() is hub.greenlet:
            wait = lock.acquire
            args: tuple[Any, ...] = (blocking, timeout)
        else:
            wait, args = take, (lock, self, None if timeout == -1 else timeout)
        try:
            return bool(wait(*args))
        except BaseException:
            self._interrupted = getcurrent()
            raise

    def release(self) -> None:
        """Like Lock.release. Switches: never."""
        self._lock.release()

    def locked(self) -> bool:
        """Return True if the thread runs. Switches: never."""
        if self._interrupted is not None and self._interrupted is getcurrent():
            # Called by threading.py, which would assume that it was acquired, release it, and mark the thread as
            # stopped.
            self._interrupted = None
            return False
        return bool(self._lock.locked())

    def _at_fork_reinit(self) -> None:
        self._lock._at_fork_reinit()


class Sentinel:
    """Python 3.11 and 3.12: a lock that is released when the thread that created it ends."""

    def __new__(cls) -> Any:
        """For the current thread."""
        body = getcurrent()
        if not isinstance(body, ThreadBody):
            return End(versions.native_sentinel())
        lock = ThreadLock()

        def over() -> None:
            if lock.locked():
                lock.release()

        body.at_end.append(over)
        return End(lock)


class ThreadHandle:
    """From Python 3.13 on: the handle of threading.Thread."""

    __slots__ = ("__weakref__", "_done", "_native", "ident")

    def __init__(self) -> None:
        """For a thread that does not run yet."""
        self.ident: int | None = None
        self._done = Event()
        self._native: Any = None

    def __repr__(self) -> str:
        """Return the text for dumps."""
        return f"<{type(self).__name__} object: ident={self.ident}>"

    @classmethod
    def over(cls, native: Any) -> ThreadHandle:
        """Wrap the native handle of a running OS thread."""
        self = cls()
        self._native = native
        self.ident = native.ident
        return self

    def is_done(self) -> bool:
        """Return True if the thread has ended. Switches: never."""
        return bool(self._native.is_done()) if self._native is not None else self._done.is_set()

    def join(self, timeout: float | None = None, /) -> None:
        """Wait for its end, at most `timeout` seconds. Switches: unless it has ended."""
        if self._native is not None:
            _join_native(self, self._native, timeout)
            return
        if self.ident is None:
            raise RuntimeError("thread not started")
        if self.ident == get_ident() and not self._done.is_set():
            raise RuntimeError("Cannot join current thread")
        # fsum() converts any real number to a float.
        self._done.wait(None if timeout is None or timeout < 0 else math.fsum((timeout,)))

    def _set_done(self) -> None:
        if self.ident is None:
            raise RuntimeError("thread not started")
        self._done.set()

    def start(self, function: Callable[..., object], daemon: bool) -> None:
        """Run `function`, as a green thread if this OS thread has a hub. Switches: never."""
        if self.ident is not None:
            raise RuntimeError("thread already started")
        hub = find_hub()
        if hub is None:
            self._native = versions.start_native(function, daemon)
            self.ident = self._native.ident
            return
        body = start_body(hub, function)
        self.ident = id(body)
        _alive[self] = daemon
        body.at_end.append(self.end)

    def end(self) -> None:
        """Mark the thread as ended. Switches: never."""
        self._done.set()
        _alive.pop(self, None)


class _Join:
    """The end of an OS thread, as a lock that can be acquired from then on."""

    def __init__(self, native: Any) -> None:
        self._native = native

    def acquire(self, block: bool, timeout: float, /) -> bool:
        self._native.join(timeout)
        return bool(self._native.is_done())

    def release(self) -> None:
        pass


def _join_native(handle: ThreadHandle, native: Any, timeout: float | None) -> None:
    hub = find_hub()
    if hub is None or getcurrent() is hub.greenlet or native.ident == hub.thread_id or native.is_done():
        native.join(timeout)
    else:
        take(_Join(native), handle, None if timeout is None or timeout < 0 else timeout)


_alive: dict[ThreadHandle, bool] = {}  # True for a daemon, for which the program does not wait


def make_thread_handle(ident: int, /) -> ThreadHandle:
    """Like _thread._make_thread_handle: the handle of a running thread. Switches: never."""
    handle = ThreadHandle()
    handle.ident = ident
    return handle


def start_joinable_thread(
    function: Callable[..., object], handle: ThreadHandle | None = None, daemon: bool = True
) -> ThreadHandle:
    """Like _thread.start_joinable_thread. Switches: never."""
    if not callable(function):
        raise TypeError("thread function must be callable")
    if handle is None:
        handle = ThreadHandle()
    elif not isinstance(handle, ThreadHandle):
        raise TypeError("'handle' must be a _ThreadHandle")
    handle.start(function, daemon)
    return handle


def wait_for_threads() -> None:
    """Like _thread._shutdown. Switches: until all threads have ended, except daemons and this one."""
    # In the child of a fork, the thread that forked calls this.
    me = get_ident()
    while awaited := [handle for handle, daemon in _alive.items() if not daemon and handle.ident != me]:
        awaited[0].join()
    for thread in tuple(versions.active_threads().values()):
        if not thread.daemon and thread.ident != me and thread.is_alive():
            thread.join()  # an OS thread, which may have to wait for a green one
    versions.wait_for_native_threads()


def after_fork() -> None:
    """In the child of a fork, mark all threads except the current one as ended."""
    global _running
    body = getcurrent()
    for handle in tuple(_alive):
        if handle.ident != id(body):
            handle.end()
    _running = int(isinstance(body, ThreadBody))


__all__ = [
    "End",
    "EndLock",
    "Sentinel",
    "SimpleQueue",
    "ThreadBody",
    "ThreadHandle",
    "ThreadLock",
    "ThreadRLock",
    "after_fork",
    "count",
    "get_ident",
    "local",
    "make_thread_handle",
    "set_name",
    "start_joinable_thread",
    "start_new_thread",
    "wait_for_threads",
]
