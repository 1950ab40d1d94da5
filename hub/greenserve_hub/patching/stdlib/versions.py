"""All private names of the standard library that monkey patching needs, by Python version.

Knows nothing of the replacements: `green` below is the module green_thread.

3.11 and 3.12: a Thread has a lock that C releases when its thread ends (_set_sentinel). From 3.13 on a Thread has a
handle (_ThreadHandle), and C waits for threads that are not daemons (_shutdown). From 3.14 on a thread gives its name
to its OS thread (set_name).
"""

from __future__ import annotations

import selectors
import subprocess
import sys
import threading
from collections.abc import Collection
from typing import Any, Final

from greenlet import getcurrent

from greenserve_hub.unpatched import _thread

_HANDLES: Final = sys.version_info >= (3, 13)
_HANDLE: Final = "_os_thread_handle" if sys.version_info >= (3, 14) else "_handle"  # Thread's attribute

# Locks that must stay native: the interpreter and threading.py use them in a special way.
INTERPRETERS_LOCKS: Final = frozenset({"_tstate_lock", "_shutdown_locks_lock"})
# Where selectors keep the poll functions, from the time of their import.
SELECTORS: Final[dict[str, tuple[type, str]]] = {
    "select": (selectors.SelectSelector, "_select"),
    "poll": (selectors.PollSelector, "_selector_cls"),
}
if hasattr(selectors, "EpollSelector"):
    SELECTORS["epoll"] = (selectors.EpollSelector, "_selector_cls")
POPEN_WAIT: Final = "_wait"  # of Popen: (self, timeout) -> returncode
popen_wait: Final[Any] = getattr(subprocess.Popen, POPEN_WAIT)
# Modules of multiprocessing that open() the pipe of a new process, and write its instructions.
OPENS_PIPES_OF_CHILDREN: Final = ("multiprocessing.popen_spawn_posix", "multiprocessing.popen_forkserver")


def active_threads() -> dict[int, threading.Thread]:
    """Return the threads that threading.py knows, by identifier."""
    found: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined]
    return found


def condition_parts(condition: threading.Condition) -> tuple[Any, Collection[object]]:
    """Return a condition's lock and its waiters."""
    inside: Any = condition
    return inside._lock, inside._waiters


def use_in_connections(connection: Any, read: Any, write: Any) -> None:
    """Replace the os.read and os.write that multiprocessing.connection keeps as default arguments."""
    connection.Connection._recv.__defaults__ = (read,)
    connection.Connection._send.__defaults__ = (write,)


def registries_of(managers: Any) -> list[dict[str, Any]]:
    """Return the registry of each manager class: by name a callable, and more."""
    kinds = [managers.BaseManager]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return [vars(kind)["_registry"] for kind in kinds if "_registry" in vars(kind)]


def is_starting_a_process() -> bool:
    """Return True in a process that multiprocessing starts (spawn, forkserver), while it imports the program."""
    module: Any = sys.modules.get("multiprocessing.process")
    return module is not None and getattr(module.current_process(), "_inheriting", False)


def told_of_thread(fn: object) -> tuple[str, object]:
    """Return err_msg and object for sys.unraisablehook, for an error in a thread."""
    message = "Exception ignored in thread started by"
    return (f"{message} {fn!r}", None) if _HANDLES else (message, fn)


def native_sentinel() -> Any:
    """Python 3.11 and 3.12: return the lock that C releases at the end of the current OS thread."""
    return _thread._set_sentinel()  # type: ignore[attr-defined]


def start_native(function: Any, daemon: bool) -> Any:
    """From Python 3.13 on: run `function` in a new OS thread, and return its handle."""
    handle = _thread._ThreadHandle()  # type: ignore[attr-defined]
    _thread.start_joinable_thread(function, handle=handle, daemon=daemon)  # type: ignore[attr-defined]
    return handle


def wait_for_native_threads() -> None:
    """From Python 3.13 on: wait for all OS threads that are not daemons."""
    _thread._shutdown()  # type: ignore[attr-defined]


def thread_names(green: Any) -> dict[str, dict[str, Any]]:
    """Return the replacements for _thread, threading and queue."""
    both: dict[str, Any] = {"get_ident": green.get_ident}
    c_module: dict[str, Any] = {
        "LockType": green.ThreadLock,
        "RLock": green.ThreadRLock,
        "_count": green.count,
        "_local": green.local,
        "allocate": green.ThreadLock,
        "allocate_lock": green.ThreadLock,
        "start_new_thread": green.start_new_thread,  # before its older name, which then refers to the same object
        "start_new": green.start_new_thread,
    }
    module: dict[str, Any] = {
        "Lock": green.ThreadLock,
        "_CRLock": green.ThreadRLock,
        "_allocate_lock": green.ThreadLock,
        "local": green.local,
    }
    if _HANDLES:
        c_module |= {
            "_ThreadHandle": green.ThreadHandle,
            "_make_thread_handle": green.make_thread_handle,
            "_shutdown": green.wait_for_threads,
            "lock": green.ThreadLock,
            "set_name": green.set_name,
            "start_joinable_thread": green.start_joinable_thread,
        }
        module |= {
            "_LockType": green.ThreadLock,
            "_ThreadHandle": green.ThreadHandle,
            # For the Thread that is made up in the child of a fork, if a green thread without a Thread has forked.
            "_get_main_thread_ident": green.get_ident,
            "_make_thread_handle": green.make_thread_handle,
            "_set_name": green.set_name,
            "_start_joinable_thread": green.start_joinable_thread,
            "_thread_shutdown": green.wait_for_threads,
        }
    else:
        c_module["_set_sentinel"] = green.Sentinel
        module |= {"_set_sentinel": green.Sentinel, "_start_new_thread": green.start_new_thread}
    return {
        "_thread": both | c_module,
        "threading": both | module,
        "queue": {"SimpleQueue": green.SimpleQueue},
    }


def settle_threading(green: Any) -> None:
    """Replace what threading.py made at its import: the main thread, and the class for threads of others."""
    # The names by which users and pickle find them: multiprocessing's managers send Lock and RLock to other processes.
    for one, name in (
        (green.ThreadLock, "lock" if _HANDLES else "allocate_lock"),
        (green.ThreadRLock, "RLock"),
        (green.local, "_local"),
    ):
        one.__module__, one.__qualname__ = "_thread", name
    green.SimpleQueue.__module__ = "queue"
    main: Any = threading.main_thread()
    for thread in {*active_threads().values(), *threading._dangling} - {main}:  # type: ignore[attr-defined]
        _settle_end(thread, green)
    if _HANDLES:
        setattr(main, _HANDLE, green.make_thread_handle(main.ident))
    else:
        awaited = threading._shutdown_locks  # type: ignore[attr-defined]
        awaited.discard(main._tstate_lock)
        main._tstate_lock = green.End(green.EndLock())
        main._tstate_lock.acquire()
        awaited.add(main._tstate_lock)
    if hasattr(threading, "_DeleteDummyThreadOnDel"):
        threading._DeleteDummyThreadOnDel = _Forgetting
    else:
        threading._DummyThread = _DummyThread  # type: ignore[misc]


def _settle_end(thread: Any, green: Any) -> None:
    """Replace the lock or handle that join() waits for, of a thread that was made before the patch and may run."""
    if _HANDLES:
        native = getattr(thread, _HANDLE)
        handle = green.ThreadHandle.over(native) if thread._started.is_set() else green.ThreadHandle()
        setattr(thread, _HANDLE, handle)
        return
    lock = thread._tstate_lock
    if lock is not None:
        thread._tstate_lock = end = green.End(lock)
        awaited = threading._shutdown_locks  # type: ignore[attr-defined]
        if lock in awaited:
            awaited.remove(lock)
            awaited.add(end)


class _Forgetting:
    """Removes the Thread that threading.py has made up for a green thread, when that green thread ends.

    Identifiers of green threads are soon used again. Python 3.11 and the first releases of 3.12 never remove such a
    Thread; later ones have a class like this, which takes a lock in a finalizer.
    """

    def __init__(self, dummy: threading.Thread) -> None:
        self._dummy = dummy
        self._ident = dummy.ident or 0
        getcurrent().__dict__["_forgets_dummy"] = self

    def __del__(self) -> None:
        active = active_threads()
        if active.get(self._ident) is self._dummy:
            active.pop(self._ident, None)


class _DummyThread(threading._DummyThread):
    def __init__(self) -> None:
        super().__init__()
        _Forgetting(self)
