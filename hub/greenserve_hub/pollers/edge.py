"""Pollers that report changes: epoll and kqueue."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from greenserve_hub.pollers.contract import HANGUP, READ, WRITE
from greenserve_hub.unpatched import os, select

# The errors of unregistering a number that is not registered any more. EPERM: it is a regular file by now, which epoll
# cannot watch.
_NOT_THERE = (errno.ENOENT, errno.EBADF, errno.EPERM)


class EpollPoller:
    """epoll(7), edge-triggered."""

    name = "epoll"
    edge = True

    def __init__(self) -> None:
        """A new epoll instance, closed on exec."""
        self._epoll = select.epoll()
        self.poll = self._epoll.poll  # directly to C: the hub's most frequent call
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
        """Return True if other code has closed our own descriptor; another file may have its number by now."""
        known, other = os.pipe()
        try:
            self._epoll.modify(known, 0)
        except OSError as error:
            return error.errno != errno.ENOENT  # the error for a number that is not registered
        finally:
            os.close(known)
            os.close(other)
        return False

    def close(self) -> None:
        """See Poller."""
        self._epoll.close()


class KqueuePoller:
    """kqueue(2) with EV_CLEAR, which epoll calls edge-triggered."""

    name = "kqueue"
    edge = True

    if TYPE_CHECKING:  # typeshed has kqueue only on platforms that have it
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
                # Both directions must look: EOF on one filter may be the only event of a broken connection.
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
