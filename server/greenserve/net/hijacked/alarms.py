"""Alarm: a descriptor that is readable while it is set, to stand in for a socket in select().

For bytes that the kernel does not know of: received ahead, or decrypted. The invariant: every select() finds the
descriptor ready from set() to clear().
"""

from __future__ import annotations

from typing import Final

from greenserve_hub.unpatched import os

_HAS_EVENTFD: Final = hasattr(os, "eventfd")


class Alarm:
    """An eventfd where there is one, a pipe elsewhere. Closed at the latest when it is garbage."""

    __slots__ = ("_is_set", "_sender", "fd")

    def __init__(self, *, eventfd: bool = _HAS_EVENTFD) -> None:
        """Not set."""
        self._is_set = False
        self.fd = self._sender = -1
        if eventfd:
            self.fd = self._sender = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            self.fd, self._sender = os.pipe()

    def set(self) -> None:
        """Make it readable; repeatable. Switches: never."""
        if not self._is_set and self.fd >= 0:
            self._is_set = True
            # A number that is not 0, whatever the order of its bytes.
            os.write(self._sender, b"\1\0\0\0\0\0\0\1")

    def clear(self) -> None:
        """Make it unreadable; repeatable. Switches: never."""
        if self._is_set and self.fd >= 0:
            self._is_set = False
            os.read(self.fd, 8)

    def close(self) -> None:
        """Give the descriptor back; repeatable. Switches: never."""
        fd, sender, self.fd = self.fd, self._sender, -1
        if fd >= 0:
            os.close(fd)
            if sender != fd:
                os.close(sender)

    def __del__(self) -> None:
        """Close: the kernel does not free a number by itself."""
        self.close()
