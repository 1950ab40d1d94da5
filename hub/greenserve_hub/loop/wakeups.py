"""The one way into a hub from another OS thread or a signal handler.

Calls are queued and the hub is woken through a descriptor that it polls like any other. Knows nothing of what
is called.

Invariants: no lock, which a finalizer that waits would keep from the other OS threads; what is queued is rung for, and
what is taken is in the hub's own queue, in one call of C that nothing interrupts. A bell that somebody rings just then
is not closed, so that the byte never goes to whoever gets its number next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from itertools import chain, compress, repeat, starmap
from typing import Any, Final

from greenserve_hub.forks import keep
from greenserve_hub.unpatched import os

Call = tuple[Callable[..., object], tuple[Any, ...]]
Ring = tuple[Callable[..., object], tuple[Any, ...]]

_ONE: Final = (1).to_bytes(8, "little")  # an eventfd counts; a pipe takes any bytes
_MANY: Final = 4096


def nothing() -> None:
    """Stand in the hub's queue for a call that there is no more, or to have a turn made. Switches: never."""


class _End(FileIO):
    """A descriptor that closes when nobody uses it any more."""

    def __del__(self) -> None:
        self.close()


class Door:
    """A queue of calls with a descriptor that becomes readable when there are any.

    `put` is safe from every thread and from signal handlers.
    """

    def __init__(self) -> None:
        """Opens an eventfd where there is one, a pipe elsewhere."""
        self._calls: deque[Call] = deque()
        self.users = 0  # who expects to be called from outside: while there are any, waiting is no deadlock
        self._open()

    def _open(self) -> None:
        self._reader: _End | None
        self._bell: _End | None
        if hasattr(os, "eventfd"):
            self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self._reader = self._bell = _End(self.fd, "r+")
        else:
            self.fd, writer = os.pipe()
            for fd in (self.fd, writer):
                os.set_blocking(fd, False)
            self._reader, self._bell = _End(self.fd), _End(writer, "w")

    @property
    def closed(self) -> bool:
        """Whether it was given back."""
        return self._bell is None

    def put(self, fn: Callable[..., object], args: tuple[Any, ...]) -> None:
        """Queue a call and wake the hub; dropped when the door is closed."""
        ring, with_it = self.ring(fn, args)
        ring(*with_it)

    def ring(self, fn: Callable[..., object], args: tuple[Any, ...]) -> Ring:
        """What to call, once, to put: in C, for those whom nothing may interrupt then. Switches: never."""
        bell = self._bell
        if bell is None:
            return tuple, ()
        # The queue takes the call, asks for the next one, and so rings. A full bell is rung already.
        return self._calls.extend, (chain(((fn, args),), compress(map(bell.write, (_ONE,)), (False,))),)

    def take(self, into: deque[Call]) -> None:
        """Move the calls queued so far, and swallow the wake-ups for them."""
        reader = self._reader
        while reader is not None and len(reader.read(_MANY) or b"") == _MANY:
            pass
        calls = self._calls
        with suppress(IndexError):  # a stand-in has moved them, just after they were counted
            into.extend(starmap(calls.popleft, repeat((), len(calls))))

    def close(self) -> None:
        """Give the descriptor back; later calls are dropped."""
        self._reader = self._bell = None

    def is_lost(self) -> bool:
        """Whether other code has closed the descriptor, as daemons close all that they find."""
        try:
            os.fstat(self.fd)
        except OSError:
            return True
        return False

    def renew(self) -> None:
        """Take another descriptor in the place of a lost one, whose number may be somebody else's. Keeps the calls."""
        keep((self._reader, self._bell))  # or they would close it
        self._open()

    def leave_behind(self) -> None:
        """Close it in the child of a fork whose hub has not come along."""
        self.close()

    def reopen(self) -> None:
        """A descriptor of its own, for the child of a fork; who called, and who expects calls, stays behind."""
        self._open()
        self._calls.clear()
        self.users = 0
