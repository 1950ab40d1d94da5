"""Descriptors of all kinds: when a call on one would block, and whether anybody can tell.

Called by greenio/transfers.py and greenio/files.py before each call that may block.

Facts: poll(2) says at once whether a call would block now, for nearly every kind: pipes, sockets, terminals, eventfd,
inotify, timerfd, signalfd, fanotify. It says "ready" of kinds that cannot be polled, which for files is the truth and
for some devices not (epoll(7) refuses these with EPERM), and of a userfaultfd in blocking mode it tells an error. It
says "not ready" of kinds whose read(2) does not wait at all (epoll, pidfd, a message queue's status). Consequence: the
kinds that are known to mean what they say are waited for in the hub; any other that is not plainly ready is called in
an OS thread, where it may do what it likes. Whether calls may block is a property of what was opened, which other
processes may share (a shell's terminal): O_NONBLOCK is never set here. Cost: a poll(2) for a call that is ready.

Not told apart: another process, or OS thread, that takes what poll(2) has promised before the call comes.
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

_BOTH: Final = select.POLLIN | select.POLLOUT  # what poll(2) says of a kind that it knows nothing of
_OVER: Final = select.POLLHUP | select.POLLERR | select.POLLNVAL  # the call says so, and waits for nothing
_PATH_ONLY: Final = getattr(os, "O_PATH", 0)
_MEMORY: Final = 1  # the major number of null, zero, full, random: they never wait, nor can they be polled
# What /proc calls the kinds of descriptors without a file that are ready when poll(2) says so.
_TOLD: Final = frozenset({"eventfd", "inotify", "timerfd", "signalfd", "fanotify"})
_cannot_be_polled: dict[int, bool] = {}  # devices, by their numbers


class State(Enum):
    """What a call that reads or writes would do now."""

    READY = "return at once"  # also where it says why it can't be made
    WAITS = "wait, and poll(2) tells how long"
    UNTOLD = "maybe wait, and nobody tells how long"  # an OS thread's to make


# An enum's member is looked up by Python code.
READY, WAITS, UNTOLD = State


def state_of(fd: int, mask: int) -> State:
    """What a call that reads (POLLIN) or writes (POLLOUT) would do now. Switches: never. OSError."""
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
    """Wait until a call would not block; False where nobody can tell. Switches: unless it is ready. OSError."""
    while (state := state_of(fd, mask)) is WAITS:
        wait_any(hub, {fd: mask}, None)
    return state is READY


_held: set[int] = set()


@contextmanager
def held(fd: int) -> Iterator[int]:
    """Give a number of one's own for a descriptor that a call waits for, whatever others close meanwhile.

    As the kernel holds what a blocking call waits for: watchdog has a reader woken by an event, and closes at once.
    Switches: never. OSError.
    """
    own = os.dup(fd)
    _held.add(own)
    try:
        yield own
    finally:
        if own in _held:  # else in the child of a fork
            _held.remove(own)
            os.close(own)


def _after_fork() -> None:
    for fd in _held:
        os.close(fd)  # who waited has stayed behind, and nobody else here knows of it
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def can_block(fd: int) -> bool:
    """Return True if calls on it wait, as far as its mode goes. Switches: never. OSError."""
    return os.get_blocking(fd) or waits_for_ever(fd)


def is_always_ready(mode: int, device: int) -> bool:
    """Return True for a file, by its st_mode and st_rdev: reading and writing it wait for the disk at most."""
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
    """Return True if the hub will hear of it: one that is not ready."""
    mode = os.fstat(fd).st_mode
    if stat.S_IFMT(mode):
        return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode)
    try:
        name = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:  # no Linux, or no /proc
        return False
    return name.removeprefix("anon_inode:").strip("[]") in _TOLD


def _has_file(fd: int) -> bool:
    """Return False for a userfaultfd, and its like: the error that poll(2) tells of is none that a call would meet."""
    return stat.S_IFMT(os.fstat(fd).st_mode) != 0


def _means_ready(fd: int) -> bool:
    """Return True if "ready" is what its kind has to say, or the truth in any case."""
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
