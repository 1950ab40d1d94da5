"""All kinds of descriptors: whether a call on one would block, and whether poll(2) can tell.

Called by greenio/transfers.py and greenio/files.py before each call that may block.

Facts: for nearly every kind poll(2) tells whether a call would block now: pipes, sockets, terminals, eventfd, inotify,
timerfd, signalfd, fanotify. For kinds that cannot be polled it reports "ready", which is true for files but not for
some devices (epoll(7) rejects these with EPERM). For a userfaultfd in blocking mode it reports an error. For kinds
whose read(2) never waits (epoll, pidfd, the status of a message queue) it reports "not ready". Consequence: the hub
waits for kinds whose reports are known to be right. A call on any other descriptor that is not clearly ready runs in an
OS thread, which it may block. The blocking mode belongs to the open file, which other processes may share (a shell's
terminal), so O_NONBLOCK is never set here. Cost: one poll(2) for a call that is ready.

Not detected: another process or OS thread that takes the data between poll(2) and the call.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Final

from greenserve_hub.greenio.green_numbers import waits_for_ever
from greenserve_hub.greenio.selecting import HAS_EPOLL, wait_any
from greenserve_hub.loop.hub import Hub
from greenserve_hub.unpatched import fcntl, os, select

_BOTH: Final = select.POLLIN | select.POLLOUT  # poll(2)'s report for kinds that cannot be polled
_OVER: Final = select.POLLHUP | select.POLLERR | select.POLLNVAL  # the call returns at once, or raises
_PATH_ONLY: Final = getattr(os, "O_PATH", 0)
_MEMORY: Final = 1  # the major number of null, zero, full, random: they never wait, and cannot be polled
# Names in /proc of kinds without a file whose poll(2) report is right.
_TOLD: Final = frozenset({"eventfd", "inotify", "timerfd", "signalfd", "fanotify"})
_cannot_be_polled: dict[int, bool] = {}  # devices, by their numbers


class State(Enum):
    """The behaviour of a call that reads or writes now."""

    READY = "return at once"  # or raise at once
    WAITS = "wait, and poll(2) reports the end"
    UNTOLD = "maybe wait, and nothing reports the end"  # so an OS thread makes the call


# As globals, because looking up an enum's member runs Python code.
READY, WAITS, UNTOLD = State


def state_of(fd: int, mask: int) -> State:
    """Return what a call that reads (POLLIN) or writes (POLLOUT) would do now. OSError. Switches: never."""
    if fd < 0:
        return READY
    poller = select.poll()
    poller.register(fd, _BOTH)
    found = poller.poll(0)
    bits = found[0][1] if found else 0
    if bits & (mask | _OVER):
        is_true = _has_file(fd) if bits == select.POLLERR else bits & _BOTH != _BOTH or _means_ready(fd)
        return READY if is_true else UNTOLD
    if not _waits(fd, mask):
        return READY
    return WAITS if _is_told(fd) else UNTOLD


def can_call(hub: Hub, fd: int, mask: int) -> bool:
    """Wait until a call would not block; False if nothing can tell. OSError. Switches: unless it is ready."""
    while (state := state_of(fd, mask)) is WAITS:
        wait_any(hub, {fd: mask}, None)
    return state is READY


_held: set[int] = set()


@contextmanager
def held(fd: int) -> Iterator[int]:
    """Yield another number for the file that a call waits for, so that it stays open if other code closes the number.

    The kernel does the same for a blocking call. (The library watchdog wakes its reader and closes the descriptor at
    once.) OSError. Switches: never.
    """
    own = os.dup(fd)
    _held.add(own)
    try:
        yield own
    finally:
        if own in _held:  # otherwise this is the child of a fork
            _held.remove(own)
            os.close(own)


def _after_fork() -> None:
    for fd in _held:
        os.close(fd)  # its waiter does not exist in the child, and nothing else knows the number
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def can_block(fd: int) -> bool:
    """Return True if its mode lets calls wait. OSError. Switches: never."""
    return os.get_blocking(fd) or waits_for_ever(fd)


def is_always_ready(mode: int, device: int) -> bool:
    """Return True for a file that waits only for a disk, or not at all, by its st_mode and st_rdev."""
    return stat.S_IFMT(mode) in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFBLK) or (
        stat.S_ISCHR(mode) and os.major(device) == _MEMORY
    )


def _waits(fd: int, mask: int) -> bool:
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    refused = os.O_WRONLY if mask == select.POLLIN else os.O_RDONLY
    if flags & _PATH_ONLY or flags & os.O_ACCMODE == refused:
        return False
    return not flags & os.O_NONBLOCK or waits_for_ever(fd)


def _is_told(fd: int) -> bool:
    """Return True if poll(2) will report when this descriptor, which is not ready, becomes ready."""
    mode = os.fstat(fd).st_mode
    if stat.S_IFMT(mode):
        return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode)
    try:
        name = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:  # no Linux, or no /proc
        return False
    return name.removeprefix("anon_inode:").strip("[]") in _TOLD


def _has_file(fd: int) -> bool:
    """Return False for a userfaultfd and similar: a call would not meet the error that poll(2) reports."""
    return stat.S_IFMT(os.fstat(fd).st_mode) != 0


def _means_ready(fd: int) -> bool:
    """Return True if the report "ready" can be trusted."""
    status = os.fstat(fd)
    device = status.st_rdev
    if not stat.S_ISCHR(status.st_mode) or not HAS_EPOLL or os.major(device) == _MEMORY:
        return True
    known = _cannot_be_polled.get(device)
    if known is None:
        with select.epoll() as epoll:
            try:
                epoll.register(fd, 0)
                known = False
            except PermissionError:
                known = True
        _cannot_be_polled[device] = known
    return not known
