"""A descriptor that can be read while it is told so: what select() may wait for in place of a socket.

For what is readable without the kernel's knowing: bytes that were received ahead, or decrypted. The invariant: whoever
watches the number finds it ready from set() to clear(), as often as he looks.
"""

from __future__ import annotations

from typing import Final

from greenserve_hub.unpatched import os

_HAS_EVENTFD: Final = hasattr(os, "eventfd")


class Alarm:
    """An eventfd where there is one, a pipe elsewhere. Closed at the latest when nobody has it any more."""

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
        """It can be read from now on; repeatable. Switches: never."""
        if not self._is_set and self.fd >= 0:
            self._is_set = True
            os.write(
                self._sender, b"\1\0\0\0\0\0\0\1"
            )  # a number that is not 0, whatever the order of its bytes

    def clear(self) -> None:
        """It can't be read any more; repeatable. Switches: never."""
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
        """Closed: a number is not freed by itself."""
        self.close()
