"""Wakes a hub from another OS thread or a signal handler. The only way in.

Calls are queued, and the hub wakes by a descriptor that it polls like any other. Knows nothing of the calls.

Invariants: no lock, because a finalizer that waits would keep it from the other OS threads. Queueing a call and ringing
are one C call that nothing interrupts, and so is moving the calls to the hub's own queue. A bell is not closed while it
is being rung, so that the byte never goes to the next owner of its number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from itertools import chain, compress, repeat, starmap
from typing import Any, Final

from greenserve_hub.forks import keep
from greenserve_hub.pollers.contract import Call
from greenserve_hub.unpatched import os

Ring = Call

_ONE: Final = (1).to_bytes(8, "little")  # an eventfd counts; a pipe takes any bytes
_MANY: Final = 4096


def nothing() -> None:
    """Do nothing: replaces a queued call, or makes the hub run a turn. Switches: never."""


class _End(FileIO):
    """A descriptor that closes with its last reference."""

    def __del__(self) -> None:
        self.close()


class Wakeup:
    """A queue of calls, with a descriptor that is readable while it is not empty.

    `put` is safe in every OS thread and in signal handlers.
    """

    def __init__(self) -> None:
        """Open an eventfd; a pipe where there is none."""
        self._calls: deque[Call] = deque()
        self.users = 0  # above 0, calls from outside are expected, and a wait is no deadlock
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
        """True after close()."""
        return self._bell is None

    def put(self, fn: Callable[..., object], args: tuple[Any, ...]) -> None:
        """Queue a call and wake the hub. After close() the call is dropped."""
        ring, with_it = self.ring(fn, args)
        ring(*with_it)

    def ring(self, fn: Callable[..., object], args: tuple[Any, ...]) -> Ring:
        """Return the C call that does put(), for callers that must not be interrupted. Switches: never."""
        bell = self._bell
        if bell is None:
            return tuple, ()
        # extend() takes the call and then asks for the next one, which rings. A full bell was rung already.
        return self._calls.extend, (chain(((fn, args),), compress(map(bell.write, (_ONE,)), (False,))),)

    def take(self, into: deque[Call]) -> None:
        """Move the queued calls to `into`, and consume their wakeups."""
        reader = self._reader
        while reader is not None and len(reader.read(_MANY) or b"") == _MANY:
            pass
        calls = self._calls
        with suppress(IndexError):  # a stand-in has moved them after they were counted
            into.extend(starmap(calls.popleft, repeat((), len(calls))))

    def close(self) -> None:
        """Close the descriptor. Later calls are dropped."""
        self._reader = self._bell = None

    def is_lost(self) -> bool:
        """Return True if other code has closed the descriptor, as daemons close all descriptors."""
        try:
            os.fstat(self.fd)
        except OSError:
            return True
        return False

    def renew(self) -> None:
        """Replace a descriptor that other code has closed. The calls stay queued."""
        keep((self._reader, self._bell))  # otherwise they would close the number, which may have a new owner
        self._open()

    def leave_behind(self) -> None:
        """Close it, in the child of a fork, for a hub that does not exist there."""
        self.close()

    def reopen(self) -> None:
        """Make a new descriptor for the child of a fork. Queued and expected calls stay in the parent."""
        self._open()
        self._calls.clear()
        self.users = 0
