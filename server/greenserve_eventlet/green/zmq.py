"""eventlet.green.zmq: pyzmq, whose sockets wait green.

Facts: a ZeroMQ socket has a descriptor that tells once that something has changed, and reading or writing may use that
up for both directions. Consequence: whatever waits on a socket looks again after the descriptor has told, and after
each call of another green thread. Invariant: in each direction one green thread works on a socket at a time, first come
first served, so that the parts of two messages do not mix.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from importlib import import_module
from typing import Any

from greenlet import getcurrent, greenlet

from greenserve_hub import Event as _Event
from greenserve_hub import get_hub

try:
    standard: Any = import_module("zmq")
except ImportError as error:
    raise ImportError("eventlet.green.zmq needs pyzmq: pip install pyzmq") from error

globals().update({name: value for name, value in vars(standard).items() if not name.startswith("__")})


def __getattr__(name: str) -> Any:
    return getattr(standard, name)  # for type checkers


_NEVER = float("inf")
XREQ = standard.DEALER
XREP = standard.ROUTER


class LockReleaseError(Exception):
    """A lock is released that nobody holds."""


class _QueueLock:
    """A lock that its green thread may take several times, and that others get in the order in which they came."""

    def __init__(self) -> None:
        self._holder: greenlet | None = None
        self._count = 0
        self._waiters: deque[tuple[greenlet, _Event]] = deque()

    def __bool__(self) -> bool:
        return bool(self._count)

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()

    def acquire(self) -> None:
        current = getcurrent()
        if self._count and self._holder is not current:
            turn = current, _Event()
            self._waiters.append(turn)
            try:
                turn[1].wait()  # release() makes this the holder
            except BaseException:
                if turn in self._waiters:
                    self._waiters.remove(turn)
                else:
                    self.release()
                raise
            return
        self._holder = current
        self._count += 1

    def release(self) -> None:
        if not self._count:
            raise LockReleaseError("the lock is not held: release() goes with one acquire()")
        self._count -= 1
        if self._count:
            return
        self._holder = None
        if self._waiters:
            self._holder, turn = self._waiters.popleft()
            self._count = 1
            turn.send()


class _BlockedThread:
    """A place where one green thread waits until it is woken."""

    def __init__(self) -> None:
        self._event: _Event | None = None

    def __bool__(self) -> bool:
        return self._event is not None

    def block(self, deadline: float | None = None) -> None:
        """Wait; `deadline` by the hub's clock."""
        if self._event is not None:
            raise RuntimeError("another green thread waits here already")
        self._event = event = _Event()
        try:
            event.wait(None if deadline is None else max(0, deadline - get_hub().clock()))
        finally:
            self._event = None

    def wake(self) -> bool:
        """Return True if one waited."""
        event = self._event
        if event is None or event.ready():
            return False
        event.send()
        return True


class Context(standard.Context):  # type: ignore[misc]  # pyzmq may be absent
    """A zmq.Context whose sockets wait green."""

    def socket(self, socket_type: int, *args: Any, **kwargs: Any) -> Socket:
        """Return a green socket. Switches: never."""
        if self.closed:
            raise standard.ZMQError(standard.ENOTSUP)
        return Socket(self, socket_type, *args, **kwargs)


class Socket(standard.Socket):  # type: ignore[misc]  # pyzmq may be absent
    """A zmq.Socket. Every call that can block switches when it does; RCVTIMEO and SNDTIMEO hold."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Like zmq.Socket."""
        super().__init__(*args, **kwargs)
        # Past pyzmq's own __setattr__, which takes names for options of the socket
        own = self.__dict__
        own["_senders"], own["_receivers"] = _QueueLock(), _QueueLock()
        own["_sending"], own["_receiving"] = _BlockedThread(), _BlockedThread()
        own["_descriptor"] = descriptor = get_hub().open_descriptor(super().getsockopt(standard.FD))
        descriptor.on_readable(self._changed)

    def _changed(self) -> None:
        """The descriptor has told that there is something new. From the hub."""
        descriptor = self._descriptor
        if descriptor is None or descriptor.closed or self.closed:
            return
        descriptor.on_readable(self._changed)
        self._wake()

    def _wake(self) -> None:
        """Wake what can go on. Reading EVENTS also makes the descriptor tell again."""
        if self.closed:
            self._sending.wake()
            self._receiving.wake()
            return
        events = super().getsockopt(standard.EVENTS)
        if events & standard.POLLOUT:
            self._sending.wake()
        if events & standard.POLLIN:
            self._receiving.wake()

    def close(self, linger: int | None = None) -> None:
        """Like zmq.Socket.close; what waits gets ZMQError. Switches: never."""
        descriptor = self.__dict__.get("_descriptor")
        if descriptor is not None:
            self.__dict__["_descriptor"] = None
            descriptor.close()
        super().close(linger)
        if descriptor is not None:
            self._wake()

    def getsockopt(self, option: int) -> Any:
        """Like zmq.Socket.getsockopt. Switches: never."""
        result = super().getsockopt(option)
        if option == standard.EVENTS and self.__dict__.get("_descriptor") is not None:
            self._wake()
        return result

    def send(self, data: Any, flags: int = 0, *args: Any, **kwargs: Any) -> Any:
        """Like zmq.Socket.send. Switches: when there is no room."""
        if flags & standard.NOBLOCK:
            return self._at_once(super().send, data, flags, *args, **kwargs)
        with self._senders:
            deadline: float | None = None
            while True:
                try:
                    return self._at_once(super().send, data, flags | standard.NOBLOCK, *args, **kwargs)
                except standard.ZMQError as error:
                    deadline = self._deadline(error, standard.SNDTIMEO, deadline)
                self._wait(self._sending, standard.POLLOUT, deadline)

    def recv(self, flags: int = 0, *args: Any, **kwargs: Any) -> Any:
        """Like zmq.Socket.recv. Switches: when nothing is there."""
        if flags & standard.NOBLOCK:
            return self._at_once(super().recv, flags, *args, **kwargs)
        with self._receivers:
            deadline: float | None = None
            while True:
                try:
                    return self._at_once(super().recv, flags | standard.NOBLOCK, *args, **kwargs)
                except standard.ZMQError as error:
                    deadline = self._deadline(error, standard.RCVTIMEO, deadline)
                self._wait(self._receiving, standard.POLLIN, deadline)

    def _at_once(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        try:
            return call(*args, **kwargs)
        finally:
            self._wake()

    def _deadline(self, error: Any, option: int, deadline: float | None) -> float:
        """Return until when to wait, by the hub's clock. Raises the error if it is another one, or if time is over."""
        if error.errno != standard.EAGAIN:
            raise error
        now = get_hub().clock()
        if deadline is None:
            milliseconds = super().getsockopt(option)
            return now + milliseconds / 1000 if milliseconds >= 0 else _NEVER
        if now >= deadline:
            error.is_timeout = True
            raise error
        return deadline

    def _wait(self, place: _BlockedThread, flag: int, deadline: float) -> None:
        # What has come since the call does not make the descriptor tell.
        if not super().getsockopt(standard.EVENTS) & flag:
            place.block(None if deadline == _NEVER else deadline)

    def send_multipart(self, msg_parts: Any, flags: int = 0, *args: Any, **kwargs: Any) -> Any:
        """Like zmq.Socket.send_multipart. Switches: when there is no room."""
        if flags & standard.NOBLOCK:
            return super().send_multipart(msg_parts, flags, *args, **kwargs)
        with self._senders:
            return super().send_multipart(msg_parts, flags, *args, **kwargs)

    def recv_multipart(self, flags: int = 0, *args: Any, **kwargs: Any) -> Any:
        """Like zmq.Socket.recv_multipart. Switches: when nothing is there."""
        if flags & standard.NOBLOCK:
            return super().recv_multipart(flags, *args, **kwargs)
        with self._receivers:
            return super().recv_multipart(flags, *args, **kwargs)
