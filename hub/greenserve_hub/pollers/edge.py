"""What the kernel says is ready: epoll, kqueue, poll and select behind the same five methods.

A poller knows descriptor numbers and nothing else: no greenlet, no callback, no timer. Only the hub calls it.
asyncio's, which waits in an event loop, has a file of its own.
Readiness comes out in epoll's bits (READ, WRITE, HANGUP), whatever the kernel's own are.

Facts: epoll and kqueue can tell of changes (edges): a descriptor is registered once and costs no system call
per wait. poll and select tell of states (levels): a descriptor that is watched while nobody reads it makes
every turn return at once. Consequence: `edge` says which kind a poller is, and a level poller watches a side
only from `arm` until it has told of it once. The hub treats both alike: it remembers an edge that nobody
waited for and arms before it waits.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from greenserve_hub.unpatched import os, select

READ = 1  # EPOLLIN
WRITE = 4  # EPOLLOUT
HANGUP = 0x2000 | 0x10 | 0x8  # EPOLLRDHUP, EPOLLHUP, EPOLLERR: the peer has closed at least its sending side

# What unregistering a number says that is not, or no longer, the registered one. EPERM: it is a regular file by now,
# which epoll cannot watch.
_NOT_THERE = (errno.ENOENT, errno.EBADF, errno.EPERM)
_NVAL = 0x20  # POLLNVAL: closed behind our back
_FOREVER = None


class Poller(Protocol):
    """What the hub asks of a poller. The contract tests run over every implementation."""

    name: str
    edge: bool

    def register(self, fd: int) -> None:
        """Begin to watch a descriptor; OSError when the kernel cannot watch its kind (EPERM)."""

    def unregister(self, fd: int) -> bool:
        """Stop watching it. Called before it is closed.

        False, and no error, when the kernel knows it no longer: it was closed behind the hub's back, and the number
        may be somebody else's by now. Level pollers cannot tell: always True.
        """

    def arm(self, fd: int, sides: int) -> None:
        """Tell of these sides (READ | WRITE) once.

        Edge pollers tell of all changes anyhow; asked, they tell of what is ready already, once more.
        """

    def poll(self, seconds: float | None) -> Sequence[tuple[int, int]]:
        """Wait at most `seconds` (None: until something happens); a list of (descriptor, bits)."""

    def close(self) -> None:
        """Give back what the poller itself holds."""


class PollablePoller(Poller, Protocol):
    """One that is itself a descriptor, readable while it has something to tell: epoll and kqueue."""

    def fileno(self) -> int:
        """The descriptor."""


class EpollPoller:
    """epoll(7), edge-triggered."""

    name = "epoll"
    edge = True

    def __init__(self) -> None:
        """A new epoll instance, closed on exec."""
        self._epoll = select.epoll()
        self.poll = self._epoll.poll  # straight to C: this is the hub's hottest call
        self._bits = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET

    def register(self, fd: int) -> None:
        """See Poller."""
        self._epoll.register(fd, self._bits)

    def unregister(self, fd: int) -> bool:
        """See Poller."""
        try:
            self._epoll.unregister(fd)
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise
            return False
        return True

    def arm(self, fd: int, sides: int) -> None:
        """See Poller."""
        try:
            self._epoll.modify(fd, self._bits)
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise

    def fileno(self) -> int:
        """See PollablePoller."""
        return self._epoll.fileno()

    def is_lost(self) -> bool:
        """Whether other code has closed our own descriptor; the number may be somebody else's by now."""
        known, other = os.pipe()
        try:
            self._epoll.modify(known, 0)
        except OSError as error:
            return error.errno != errno.ENOENT  # which it is of a number that was not registered
        finally:
            os.close(known)
            os.close(other)
        return False

    def close(self) -> None:
        """See Poller."""
        self._epoll.close()


class KqueuePoller:
    """kqueue(2) with EV_CLEAR, which is what epoll calls edge-triggered."""

    name = "kqueue"
    edge = True

    if TYPE_CHECKING:  # typeshed has kqueue on the platforms that have it only
        _kqueue: Any
        _select: Any

    def __init__(self) -> None:
        """A new kernel queue."""
        self._select = select
        self._kqueue = self._select.kqueue()

    def _change(self, fd: int, flags: int) -> None:
        s = self._select
        changes = [s.kevent(fd, side, flags) for side in (s.KQ_FILTER_READ, s.KQ_FILTER_WRITE)]
        self._kqueue.control(changes, 0, 0)

    def register(self, fd: int) -> None:
        """See Poller."""
        self._change(fd, self._select.KQ_EV_ADD | self._select.KQ_EV_CLEAR)

    def unregister(self, fd: int) -> bool:
        """See Poller."""
        try:
            self._change(fd, self._select.KQ_EV_DELETE)
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise
            return False
        return True

    def arm(self, fd: int, sides: int) -> None:
        """See Poller."""
        try:
            self.register(fd)
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise

    def poll(self, seconds: float | None) -> Sequence[tuple[int, int]]:
        """See Poller."""
        s = self._select
        found = []
        for event in self._kqueue.control(None, 1024, seconds):
            bits = READ if event.filter == s.KQ_FILTER_READ else WRITE
            if event.flags & (s.KQ_EV_EOF | s.KQ_EV_ERROR):
                # Both sides must look: EOF on one filter is the only event a broken connection may give.
                bits = READ | WRITE | HANGUP
            found.append((event.ident, bits))
        return found

    def fileno(self) -> int:
        """See PollablePoller."""
        fd: int = self._kqueue.fileno()
        return fd

    def close(self) -> None:
        """See Poller."""
        self._kqueue.close()


class PollPoller:
    """poll(2): levels, each side watched only while it is armed."""

    name = "poll"
    edge = False

    def __init__(self) -> None:
        """An empty set."""
        self._poll = select.poll()
        self._armed: dict[int, int] = {}
        self._rdhup = getattr(select, "POLLRDHUP", 0)

    def register(self, fd: int) -> None:
        """See Poller."""
        self._armed[fd] = 0

    def unregister(self, fd: int) -> bool:
        """See Poller."""
        if self._armed.pop(fd, 0):
            self._poll.unregister(fd)
        return True

    def arm(self, fd: int, sides: int) -> None:
        """See Poller."""
        armed = self._armed[fd]
        if sides & ~armed:
            self._watch(fd, armed | sides)

    def _watch(self, fd: int, sides: int) -> None:
        self._armed[fd] = sides
        if sides:
            self._poll.register(fd, sides | (self._rdhup if sides & READ else 0))
        else:
            # With no side to watch it must leave the set: POLLHUP cannot be masked and would never stop.
            self._poll.unregister(fd)

    def poll(self, seconds: float | None) -> Sequence[tuple[int, int]]:
        """See Poller."""
        found = self._poll.poll(_FOREVER if seconds is None else _milliseconds(seconds))
        for number, (fd, bits) in enumerate(found):
            if bits & (HANGUP | _NVAL):
                bits |= self._armed.get(fd, 0) | HANGUP
                found[number] = (fd, bits)
            with suppress(KeyError):  # unregistered since, while a finalizer waited
                self._watch(fd, self._armed[fd] & ~bits)
        return found

    def close(self) -> None:
        """See Poller."""
        self._armed.clear()


class SelectPoller:
    """select(2): levels, at most FD_SETSIZE descriptors, everywhere."""

    name = "select"
    edge = False

    def __init__(self) -> None:
        """Two empty sets."""
        self._readers: set[int] = set()
        self._writers: set[int] = set()

    def register(self, fd: int) -> None:
        """See Poller."""
        if fd >= 1024 and sys.platform != "win32":
            raise OSError(errno.EMFILE, f"descriptor {fd} is past what select() can watch; use another hub")

    def unregister(self, fd: int) -> bool:
        """See Poller."""
        self._readers.discard(fd)
        self._writers.discard(fd)
        return True

    def arm(self, fd: int, sides: int) -> None:
        """See Poller."""
        if sides & READ:
            self._readers.add(fd)
        if sides & WRITE:
            self._writers.add(fd)

    def poll(self, seconds: float | None) -> Sequence[tuple[int, int]]:
        """See Poller."""
        try:
            readers, writers, _ = select.select(self._readers, self._writers, (), seconds)
        except (OSError, ValueError):
            return self._broken()
        self._readers.difference_update(readers)
        self._writers.difference_update(writers)
        return [(fd, READ) for fd in readers] + [(fd, WRITE) for fd in writers]

    def _broken(self) -> Sequence[tuple[int, int]]:
        # select() does not say which descriptor was closed behind our back, so ask for each.
        found = []
        for fd in self._readers | self._writers:
            try:
                select.select((fd,), (), (), 0)
            except (OSError, ValueError):
                found.append((fd, READ | WRITE | HANGUP))
                self.unregister(fd)
        return found

    def close(self) -> None:
        """See Poller."""
        self._readers.clear()
        self._writers.clear()


def _milliseconds(seconds: float) -> int:
    # Rounded up: waking early would spin until the deadline.
    return -int(-seconds * 1000 // 1)


def _asyncio(uvloop: bool) -> Callable[[], Poller]:
    def make() -> Poller:
        # Imported at need: asyncio takes longer to import than the rest of the hub.
        from greenserve_hub.pollers.asyncio_poller import AsyncioPoller

        return AsyncioPoller(EpollPoller() if hasattr(select, "epoll") else KqueuePoller(), uvloop)

    return make


_POLLABLE = ("epoll", "kqueue")
# By name: what the select module must have any of, and how to make one.
_POLLERS: dict[str, tuple[tuple[str, ...], Callable[[], Poller]]] = {
    "epoll": (("epoll",), EpollPoller),
    "kqueue": (("kqueue",), KqueuePoller),
    "poll": (("poll",), PollPoller),
    "select": (("select",), SelectPoller),
    "asyncio": (_POLLABLE, _asyncio(True)),
    "asyncio-plain": (_POLLABLE, _asyncio(False)),
}
_EVENTLETS = {"epolls": "epoll", "selects": "select"}  # what eventlet calls them


def available_pollers() -> list[str]:
    """The names that work on this machine, the best first."""
    return [name for name, (needs, _) in _POLLERS.items() if any(hasattr(select, one) for one in needs)]


def make_poller(name: str = "auto") -> Poller:
    """A new poller by name; "auto" takes the best there is. ValueError lists the names that would work."""
    names = available_pollers()
    if name == "auto":
        name = names[0]
    name = _EVENTLETS.get(name, name)
    if name not in names:
        raise ValueError(f"no hub named {name!r} on this machine: choose one of auto, {', '.join(names)}")
    return _POLLERS[name][1]()
