"""File locks (flock, lockf, fcntl) for green threads: tried repeatedly until they are free.

Used by the patched fcntl and os.

Facts: no event reports the release of such a lock. A call that waits for one in an OS thread cannot be cancelled: it
would get the lock after its green thread was killed. POSIX locks belong to the process, so green threads of one process
do not exclude each other, as OS threads do not. Consequence: no call waits in the kernel. Cost: up to 50 ms after the
release; not first come, first served; and no EDEADLK if two processes wait for each other.
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
# The commands of fcntl(2) that wait, and their variants that do not.
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
    """Like fcntl.flock. Switches: while another holds it."""
    if find_hub() is None or operation & (native.LOCK_NB | native.LOCK_UN):
        native.flock(fd, operation)
    else:
        _until_free(native.flock, fd, operation | native.LOCK_NB)


def lockf(fd: Any, cmd: int, len: int = 0, start: int = 0, whence: int = 0, /) -> None:
    """Like fcntl.lockf. Switches: while another holds it."""
    if find_hub() is None or cmd & (native.LOCK_NB | native.LOCK_UN):
        native.lockf(fd, cmd, len, start, whence)
    else:
        _until_free(native.lockf, fd, cmd | native.LOCK_NB, len, start, whence)


def fcntl(fd: Any, cmd: int, arg: Any = 0, /) -> Any:
    """Like fcntl.fcntl. Switches: while another holds the lock that it asks for."""
    at_once = _AT_ONCE.get(cmd)
    if at_once is None or find_hub() is None:
        return native.fcntl(fd, cmd, arg)
    return _until_free(native.fcntl, fd, at_once, arg)


def os_lockf(fd: int, command: int, length: int, /) -> None:
    """Like os.lockf. Switches: while another holds it."""
    if command != os.F_LOCK or find_hub() is None:
        os.lockf(fd, command, length)
    else:
        _until_free(os.lockf, fd, os.F_TLOCK, length)
