"""The one way into a hub from another OS thread or a signal handler.

Calls are queued and the hub is woken through a descriptor that it polls like any other. Knows nothing of what
is called.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from greenserve_hub.natives import _thread, os, socket


class Door:
    """A queue of calls with a descriptor that becomes readable when there are any.

    `put` is safe from every thread and from signal handlers.
    """

    def __init__(self) -> None:
        """Opens an eventfd where there is one, a socket pair elsewhere."""
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self.users = 0  # who expects to be called from outside: while there are any, waiting is no deadlock
        self._open()

    def _open(self) -> None:
        # Between put and close, or put could write to a number that the kernel has given to another file by
        # then. Reentrant, since a signal handler may interrupt a put of its own thread.
        self._lock = _thread.RLock()
        self._pair: tuple[socket.socket, socket.socket] | None = None
        self.closed = False
        if hasattr(os, "eventfd"):
            self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            self._pair = socket.socketpair()
            for end in self._pair:
                end.setblocking(False)
            self.fd = self._pair[0].fileno()

    def put(self, fn: Callable[..., object], args: tuple[Any, ...]) -> None:
        """Queue a call and wake the hub; dropped when the door is closed."""
        with self._lock:
            if self.closed:
                return
            self._calls.append((fn, args))
            try:
                if self._pair is None:
                    os.eventfd_write(self.fd, 1)
                else:
                    self._pair[1].send(b"\0")
            except BlockingIOError:
                pass  # full of earlier wake-ups: it is going to wake

    def take(self) -> deque[tuple[Callable[..., object], tuple[Any, ...]]]:
        """The calls queued so far, and the wake-ups for them swallowed."""
        try:
            if self._pair is None:
                os.eventfd_read(self.fd)
            else:
                while len(self._pair[0].recv(4096)) == 4096:
                    pass
        except BlockingIOError:
            pass
        taken: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        while self._calls:
            taken.append(self._calls.popleft())
        return taken

    def close(self) -> None:
        """Give the descriptor back; later calls are dropped."""
        with self._lock:
            if not self.closed:
                self.closed = True
                self._close()

    def _close(self) -> None:
        if self._pair is None:
            os.close(self.fd)
        else:
            for end in self._pair:
                end.close()

    def is_lost(self) -> bool:
        """Whether other code has closed the descriptor, as daemons close all that they find."""
        try:
            os.fstat(self.fd)
        except OSError:
            return True
        return False

    def renew(self) -> None:
        """Take another descriptor in the place of a lost one, whose number may be somebody else's. Keeps the calls."""
        if self._pair is not None:
            for end in self._pair:
                end.detach()
        self._open()

    def leave_behind(self) -> None:
        """Close it in the child of a fork whose hub has not come along."""
        self._lock = _thread.RLock()  # the other's holder may not have come along either
        self.close()

    def reopen(self) -> None:
        """A descriptor of its own, for the child of a fork; who called, and who expects calls, stays behind."""
        self._close()  # without the lock, whose holder may not have come along into this process
        self._open()
        self._calls.clear()
        self.users = 0
