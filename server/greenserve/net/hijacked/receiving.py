"""The receiving half of a HijackedSocket, and the descriptor that others watch in its place.

Facts: the libraries that this is for have a selector watch the socket; what came behind the request, or was decrypted,
is not in the kernel any more. Decision: fileno() is an Alarm, and while there is one the connection is read ahead from
the hub, once, until recv() has taken that. Invariants: bytes reach recv() in their order, each once; the alarm is set
exactly while recv() would not wait.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from greenserve.errors import PeerGone
from greenserve.net.hijacked.alarms import Alarm
from greenserve.net.hijacked.wait_limit import TimedOut, WaitLimit
from greenserve.net.sockets.stream import READ_SIZE, Side, Stream


class SocketReceiver:
    """Receives for one green thread at a time."""

    __slots__ = (
        "_ahead",
        "_alarm",
        "_is_at_end",
        "_is_begun",
        "_is_receiving",
        "_limit",
        "_stream",
        "bytes_received",
        "peer_has_ended",
    )

    def __init__(self, stream: Stream, limit: WaitLimit) -> None:
        """Receives nothing before begin(): the connection speaks HTTP still."""
        self._stream = stream
        self._limit = limit
        self._ahead = b""
        self._alarm: Alarm | None = None  # made when fileno() is asked for
        self._is_begun = False
        self._is_at_end = False  # nothing more is received, or wanted
        self._is_receiving = False
        self.bytes_received = 0
        self.peer_has_ended = False

    def begin(self, ahead: bytes) -> None:
        """The connection has left HTTP; `ahead` is what came behind the request. Switches: never."""
        self._is_begun = True
        self._ahead = ahead
        self.bytes_received = len(ahead)
        self._watch()

    def receive(self, size: int) -> bytes:
        """Return what has come, as socket.recv; b"" at the end. Switches: when empty."""
        if self._ahead:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
            self._watch()
            return data
        if self._is_at_end or not size:
            return b""
        try:
            return self._receive(size)
        finally:
            self._watch()

    def end(self) -> None:
        """Nothing more is received: receive() finds the end, now and later. Switches: never."""
        self._is_at_end = True
        self._ahead = b""
        reader = self._stream.descriptor.stop_waiting_to_read()
        if reader is not None and reader != self._on_readable:
            reader()
        if self._alarm is not None:
            self._alarm.set()

    def leave_behind(self) -> None:
        """In the child of a fork: the end, without setting the alarm, which is the parent's."""
        self._is_at_end = True
        self._ahead = b""
        self.close_alarm()

    # Being watched ---------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """Return a descriptor that is readable while receive() would not wait. Switches: never."""
        if self._alarm is None:
            self._alarm = Alarm()
            self._watch()
        return self._alarm.fd

    def close_alarm(self) -> None:
        """Close the descriptor; repeatable. Switches: never."""
        if self._alarm is not None:
            self._alarm.close()

    def _watch(self) -> None:
        """Have the alarm tell what holds now."""
        alarm = self._alarm
        if alarm is None or not self._is_begun:
            return
        if self._ahead or self._is_at_end:
            alarm.set()
        elif not self._stream.descriptor.closed:
            alarm.clear()
            self._stream.when_readable(self._on_readable)

    def _on_readable(self) -> None:
        """Something may have come while nobody receives."""
        if self._ahead or self._is_at_end or self._is_receiving or self._stream.descriptor.closed:
            return
        assert self._alarm is not None
        try:
            data = self._stream.receive_now(READ_SIZE)
        except BlockingIOError:
            self._stream.descriptor.when_readable(self._on_readable)
            return
        except PeerGone:
            self._alarm.set()  # receive() meets it again
            return
        self._ahead = data
        self._came(data)
        self._alarm.set()

    # From the kernel -------------------------------------------------------------------------------------

    def _receive(self, size: int) -> bytes:
        stream = self._stream
        if stream.descriptor.reader == self._on_readable:
            stream.descriptor.stop_waiting_to_read()
        self._is_receiving = True
        try:
            may_wait = self._limit.seconds != 0
            data = stream.receive(size, self._waits()) if may_wait else stream.receive_now(size)
        except TimedOut:
            raise TimeoutError("timed out") from None
        except PeerGone as error:
            if not self._is_at_end:
                raise ConnectionResetError(errno.ECONNRESET, str(error)) from None
            return b""
        finally:
            self._is_receiving = False
        self._came(data)
        return data

    def _came(self, data: bytes) -> None:
        self.bytes_received += len(data)
        if not data:
            self._is_at_end = self.peer_has_ended = True

    def _waits(self) -> Callable[[Side], None]:
        limit = self._limit
        until = limit.until()

        def wait(side: Side) -> None:
            self._stream.wait(side, None if until is None else limit.left(until))
            if self._is_at_end:
                raise PeerGone("it was closed meanwhile")

        return wait
