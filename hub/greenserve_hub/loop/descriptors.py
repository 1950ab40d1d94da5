"""The hub's data on one open descriptor: its reader and writer, and the last events.

Only the hub makes these, and only the hub calls the callbacks. It never closes a socket.

Invariant of edge-triggering: `readable` is true from the edge until a call on the socket has shown the opposite, by
EAGAIN or, on a stream, by a short read (epoll(7), Q&A 9). While it is true, call first and wait afterwards; so an edge
that nothing waits for is never lost. After a hangup it stays true for ever: end of file is always readable, and no
further edge will report it. A finalizer that waits just after the call lets the hub run, which may report a new edge.
So `readable` is a different object for each edge, and code that reports the socket as drained passes the edge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from greenserve_hub.pollers.contract import READ, WRITE, Poller

if TYPE_CHECKING:
    import socket


class Watcher(Protocol):
    """The hub, as a descriptor uses it."""

    edge: bool
    poller: Poller

    def call_soon(self, fn: Callable[..., object], /, *args: Any) -> None:
        """Call `fn(*args)` in the next turn."""

    def forget_descriptor(self, descriptor: Descriptor) -> bool:
        """Stop watching it; False if other code has closed its number."""


class Descriptor:
    """One descriptor, registered with the hub from `Hub.open_descriptor` to `close`."""

    __slots__ = ("closed", "fd", "hangup", "hub", "hung_up_at", "readable", "reader", "sock", "writer")

    def __init__(self, hub: Watcher, fd: int, sock: socket.socket | None) -> None:
        """For Hub.open_descriptor only."""
        self.hub = hub
        self.fd = fd
        self.sock = sock
        self.readable: object = True  # as after an edge
        self.hangup = False
        self.hung_up_at = 0.0  # the time of the first such event, by the hub's clock
        self.closed = False
        self.reader: Callable[[], object] | None = None
        self.writer: Callable[[], object] | None = None

    def __repr__(self) -> str:
        """Return the text for dumps."""
        return f"fd {self.fd}"

    def drained(self, edge: object) -> None:
        """Note that a read has emptied the socket's buffer: the next one must wait for an edge. Switches: never.

        `edge`: the value of `readable` before that read.
        """
        if self.readable is edge and not self.hangup:
            self.readable = False

    def hung_up(self, now: float) -> None:
        """Note a hangup, for the hub; each later event tells of it again. Switches: never."""
        if not self.hangup:
            self.hangup = True
            self.hung_up_at = now

    def on_readable(self, callback: Callable[[], object]) -> None:
        """Call back once, from the hub, at the next edge: for a descriptor that no read has drained yet.

        After drained(), an edge may have come that would be lost: when_readable() sees it. Switches: never.
        """
        self.reader = callback

    def when_readable(self, callback: Callable[[], object]) -> None:
        """Call back once, from the hub: in the next turn if it may be readable, otherwise when it is.

        Switches: never.
        """
        if self.readable:
            self.hub.call_soon(callback)
        else:
            # No interruption since the test: a turn of the hub could bring an edge.
            self.reader = callback

    def stop_waiting_to_read(self) -> Callable[[], object] | None:
        """Undo on_readable() or when_readable(), and return its callback. Switches: never."""
        reader, self.reader = self.reader, None
        return reader

    def on_writable(self, callback: Callable[[], object]) -> None:
        """Call back once, from the hub, when there is room to write. Switches: never."""
        self.writer = callback
        self.hub.poller.arm(self.fd, WRITE)  # reports again if there is room already

    def guard_socket(self, sock: socket.socket) -> None:
        """Detach `sock` if its number gets a new owner: see Hub.open_descriptor. Switches: never."""
        self.sock = sock

    def unguard_socket(self) -> socket.socket | None:
        """Undo guard_socket(), and return the socket; None if there is none. Switches: never."""
        sock, self.sock = self.sock, None
        return sock

    def lose(self) -> None:
        """Mark it as closed by other code, together with the hub's poller; waiters see `closed`. Switches: never."""
        self.closed = True
        for callback in (self.reader, self.writer):
            if callback is not None:
                self.hub.call_soon(callback)
        self.reader = self.writer = None

    @contextmanager
    def given_away(self) -> Iterator[None]:
        """In this block the number gets another file (dup2). Its waiters try again. Switches: never."""
        hub = self.hub
        # The old file may be open elsewhere, and would send events for this number.
        hub.poller.unregister(self.fd)
        try:
            yield
        finally:
            self.readable = True
            self.hangup = False
            try:
                hub.poller.register(self.fd)
            except OSError:
                self.close()  # a kind that cannot be watched, such as a regular file: the caller's own call reports it
            for callback in (self.reader, self.writer):
                if callback is not None:
                    hub.call_soon(callback)
            self.reader = self.writer = None

    def close(self) -> bool:
        """Unregister it. Call this before closing the socket. Its waiters wake and see `closed`. Switches: never.

        Return False if other code has closed the number: then the caller must not close it.
        """
        if self.closed:
            return True
        self.closed = True
        was_ours = self.hub.forget_descriptor(self)
        reader, writer = self.reader, self.writer
        self.reader = self.writer = None
        if reader is not None:
            reader()
        if writer is not None:
            writer()
        return was_ours


class LevelDescriptor(Descriptor):
    """One whose poller watches it only while it is armed. Few have such a poller, and all wait to read."""

    __slots__ = ()

    def on_readable(self, callback: Callable[[], object]) -> None:
        """See Descriptor."""
        self.reader = callback
        self.hub.poller.arm(self.fd, READ)

    def when_readable(self, callback: Callable[[], object]) -> None:
        """See Descriptor."""
        if self.readable:
            self.hub.call_soon(callback)
        else:
            self.on_readable(callback)
