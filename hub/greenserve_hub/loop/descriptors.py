"""What the hub knows of one open descriptor: who waits on which side, and what the kernel last told.

Only the hub makes these and only the hub calls the callbacks. Holds no socket and never closes one.

The invariant that edge-triggering asks for: `readable` is true from the edge until a call on
the socket has proved otherwise, by EAGAIN or, on a stream, by returning less than was asked for (epoll(7),
Q&A 9). While it is true one must call first and wait after; an edge that comes while nobody waits is so never
lost. After a hangup it stays true for ever: end of file is always ready to be read, and no further edge will
tell of it. A finalizer that waits just after the call lets the hub go on, which may tell of a new edge: so
`readable` is another object with each, and who says that the socket was drained says which edge that was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from greenserve_hub.pollers.contract import READ, WRITE, Poller

if TYPE_CHECKING:
    import socket


class Watcher(Protocol):
    """What a descriptor asks of the hub that watches it."""

    edge: bool
    poller: Poller

    def call_soon(self, fn: Callable[..., object], /, *args: Any) -> None:
        """Call `fn(*args)` in the next turn."""

    def forget_descriptor(self, descriptor: Descriptor) -> bool:
        """Watch it no longer; False when its number was closed behind the hub's back."""


class Descriptor:
    """One descriptor, registered with the hub from `Hub.open_descriptor` to `close`."""

    __slots__ = ("closed", "fd", "hangup", "hub", "hung_up_at", "readable", "reader", "sock", "writer")

    def __init__(self, hub: Watcher, fd: int, sock: socket.socket | None) -> None:
        """For Hub.open_descriptor only."""
        self.hub = hub
        self.fd = fd
        self.sock = sock
        self.readable: object = True  # as good as an edge
        self.hangup = False
        self.hung_up_at = 0.0  # when the hub was told, by its clock
        self.closed = False
        self.reader: Callable[[], object] | None = None
        self.writer: Callable[[], object] | None = None

    def __repr__(self) -> str:
        """As it stands in dumps."""
        return f"fd {self.fd}"

    def drained(self, edge: object) -> None:
        """A read has emptied the socket's buffer: the next one has to wait for an edge. Switches: never.

        `edge`: what `readable` was before that read.
        """
        if self.readable is edge and not self.hangup:
            self.readable = False

    def on_readable(self, callback: Callable[[], object]) -> None:
        """Call back once, from the hub, at the next readiness to read. Switches: never."""
        self.reader = callback
        if not self.hub.edge:
            self.hub.poller.arm(self.fd, READ)

    def when_readable(self, callback: Callable[[], object]) -> None:
        """Call back once, from the hub: in a turn of its own where something may be there, else when it comes.

        Switches: never.
        """
        if self.readable:
            self.hub.call_soon(callback)
        else:
            self.reader = (
                callback  # with nothing in between that would let in a turn of the hub, and so an edge
            )
            if not self.hub.edge:
                self.hub.poller.arm(self.fd, READ)

    def stop_waiting_to_read(self) -> Callable[[], object] | None:
        """Take back on_readable() or when_readable() before it calls; what it would have called. Switches: never."""
        reader, self.reader = self.reader, None
        return reader

    def on_writable(self, callback: Callable[[], object]) -> None:
        """Call back once, from the hub, when there is room to write. Switches: never."""
        self.writer = callback
        self.hub.poller.arm(self.fd, WRITE)  # there may be room since a moment ago

    def guard_socket(self, sock: socket.socket) -> None:
        """Detach `sock` when its number turns up again as another's: see Hub.open_descriptor. Switches: never."""
        self.sock = sock

    def unguard_socket(self) -> socket.socket | None:
        """Take back guard_socket(); the socket, or None where there is none, or none any more. Switches: never."""
        sock, self.sock = self.sock, None
        return sock

    def lose(self) -> None:
        """Closed by other code, together with the hub's poller: who waits finds `closed`. Switches: never."""
        self.closed = True
        for callback in (self.reader, self.writer):
            if callback is not None:
                self.hub.call_soon(callback)
        self.reader = self.writer = None

    @contextmanager
    def given_away(self) -> Iterator[None]:
        """While inside, its number comes to stand for something else (dup2). Who waits tries again. Switches: never."""
        hub = self.hub
        # The one of before may be open elsewhere, and tell of itself by this number.
        hub.poller.unregister(self.fd)
        try:
            yield
        finally:
            self.readable = True
            self.hangup = False
            try:
                hub.poller.register(self.fd)
            except OSError:
                self.close()  # of a kind that can't be watched, a file's: its call says what it thinks of that
            for callback in (self.reader, self.writer):
                if callback is not None:
                    hub.call_soon(callback)
            self.reader = self.writer = None

    def close(self) -> bool:
        """Unregister, to be called before the socket is closed; wakes whoever waits, who finds `closed`.

        False when the number was closed behind the hub's back: then it is not the caller's to close. Switches: never.
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
