"""Locks on files (flock, lockf, fcntl's) for green threads: asked for again and again until they are free.

What a patched fcntl and os are made of.

Facts: nothing tells when such a lock is let go, and a call that waits for one in an OS thread can't be taken back: it
would have the lock when its green thread has long been killed. POSIX locks are the process's, so that green threads of
one don't exclude each other, as OS threads don't. Consequence: no call waits in the kernel. Cost: up to 50 ms after the
lock was let go; no first come, first served; and no EDEADLK where two processes wait for each other.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, Final, TypeVar

from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.loop.current import find_hub
from greenserve_hub.unpatched import fcntl as native
from greenserve_hub.unpatched import os

T = TypeVar("T")

_TAKEN: Final = (errno.EAGAIN, errno.EACCES)
_FIRST_PAUSE: Final = 0.001  # seconds; doubles up to the longest
_LONGEST_PAUSE: Final = 0.05
# The commands of fcntl(2) that wait, each with the one that does not.
_AT_ONCE: Final = {
    getattr(native, f"{name}W"): getattr(native, name)
    for name in ("F_SETLK", "F_OFD_SETLK")
    if hasattr(native, f"{name}W")
}


def _until_free(call: Callable[..., T], *args: Any) -> T:
    pause = _FIRST_PAUSE
    while True:
        try:
            return call(*args)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
        sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def flock(fd: Any, operation: int, /) -> None:
    """As fcntl.flock. Switches: while somebody else has it."""
    if find_hub() is None or operation & (native.LOCK_NB | native.LOCK_UN):
        native.flock(fd, operation)
    else:
        _until_free(native.flock, fd, operation | native.LOCK_NB)


def lockf(fd: Any, cmd: int, len: int = 0, start: int = 0, whence: int = 0, /) -> None:
    """As fcntl.lockf. Switches: while somebody else has it."""
    if find_hub() is None or cmd & (native.LOCK_NB | native.LOCK_UN):
        native.lockf(fd, cmd, len, start, whence)
    else:
        _until_free(native.lockf, fd, cmd | native.LOCK_NB, len, start, whence)


def fcntl(fd: Any, cmd: int, arg: Any = 0, /) -> Any:
    """As fcntl.fcntl. Switches: while somebody else has the lock that it asks for."""
    at_once = _AT_ONCE.get(cmd)
    if at_once is None or find_hub() is None:
        return native.fcntl(fd, cmd, arg)
    return _until_free(native.fcntl, fd, at_once, arg)


def os_lockf(fd: int, command: int, length: int, /) -> None:
    """As os.lockf. Switches: while somebody else has it."""
    if command != os.F_LOCK or find_hub() is None:
        os.lockf(fd, command, length)
    else:
        _until_free(os.lockf, fd, os.F_TLOCK, length)
