"""Pollers that report states, and watch a direction only while it is armed: poll and select."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from contextlib import suppress

from greenserve_hub.pollers.contract import HANGUP, READ, WRITE
from greenserve_hub.unpatched import select

_NVAL = 0x20  # POLLNVAL: closed by other code
_FOREVER = None


class PollPoller:
    """poll(2), level-triggered."""

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
            # Without a direction to watch it must leave the set: POLLHUP cannot be masked, and would come in every
            # turn.
            self._poll.unregister(fd)

    def poll(self, seconds: float | None) -> Sequence[tuple[int, int]]:
        """See Poller."""
        found = self._poll.poll(_FOREVER if seconds is None else _milliseconds(seconds))
        for number, (fd, bits) in enumerate(found):
            if bits & (HANGUP | _NVAL):
                bits |= self._armed.get(fd, 0) | HANGUP
                found[number] = (fd, bits)
            with suppress(KeyError):  # unregistered while a finalizer waited
                self._watch(fd, self._armed[fd] & ~bits)
        return found

    def close(self) -> None:
        """See Poller."""
        self._armed.clear()


class SelectPoller:
    """select(2), level-triggered, with at most FD_SETSIZE descriptors; works everywhere."""

    name = "select"
    edge = False

    def __init__(self) -> None:
        """Two empty sets."""
        self._readers: set[int] = set()
        self._writers: set[int] = set()

    def register(self, fd: int) -> None:
        """See Poller."""
        if fd >= 1024 and sys.platform != "win32":
            raise OSError(errno.EMFILE, f"descriptor {fd} is too large for select(); use another hub")

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
        # select() does not say which descriptor was closed by other code, so each is tested.
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
    # Rounded up: an early wakeup would spin until the deadline.
    return -int(-seconds * 1000 // 1)
