"""The receiving half of a TakenSocket, and what both halves need: how long a call may wait, and who may make it.

Facts: the libraries that this is for have a selector watch the socket; what came behind the request, or was decrypted,
is not in the kernel any more. Decision: fileno() is an Alarm, and while somebody watches it the connection is read
ahead from the hub, once, until recv() has taken that. The invariants: bytes reach recv() in their order, each once; the
alarm is set exactly while recv() would not wait.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from greenserve.errors import PeerGone
from greenserve.net.hijacked.alarms import Alarm
from greenserve.net.http.activity import Carrier
from greenserve.net.sockets.stream import READ_SIZE, Side, Stream
from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.loop.hub import MAX_TURN, Hub
from greenserve_hub.unpatched import _thread


class TimedOut(Exception):
    """The time that the user has set is over: no TimeoutError, which a Stream takes for the server's own."""


class SocketReceiving:
    """A socket that can be received from. One green thread at a time."""

    def __init__(self, connection: Carrier) -> None:
        """For TakenSocket."""
        self.bytes_received = 0
        self._connection = connection
        self._hub: Hub = connection.services.hub
        self._stream: Stream = connection.stream
        self._timeout: float | None = None
        self._is_taken = False
        self._is_closed = False
        self._ahead = b""
        self._is_at_end = False  # nothing more is received, or wanted
        self._peer_has_ended = False
        self._is_receiving = False
        self._alarm: Alarm | None = None  # once somebody has asked for fileno()

    # How long to wait ------------------------------------------------------------------------------------

    def settimeout(self, value: float | None) -> None:
        """Seconds that a call may wait; None for ever, 0 not at all. The server's send_timeout holds besides."""
        if value is not None and value < 0:
            raise ValueError("Timeout value out of range")
        self._timeout = value

    def gettimeout(self) -> float | None:
        """What settimeout set."""
        return self._timeout

    def setblocking(self, flag: bool) -> None:
        """True: wait for ever. False: never."""
        self._timeout = None if flag else 0.0

    def getblocking(self) -> bool:
        """Whether a call may wait."""
        return self._timeout != 0

    def _until(self) -> float | None:
        return None if self._timeout is None else self._hub.clock() + self._timeout

    def _left(self, until: float) -> float:
        left = until - self._hub.clock()
        if left <= 0:
            raise TimedOut
        return left

    # Receiving -------------------------------------------------------------------------------------------

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """As socket.recv; b"" also when the app's call is over or the server has ended it. Switches: when empty."""
        self._use(flags)
        if bufsize < 0:
            raise ValueError("negative buffersize in recv")
        if self._ahead:
            data, self._ahead = self._ahead[:bufsize], self._ahead[bufsize:]
        elif self._is_at_end or not bufsize:
            return b""
        else:
            try:
                data = self._receive(bufsize)
            finally:
                self._watch()
            return data
        self._watch()
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As socket.recv_into. Switches: when empty."""
        view = memoryview(buffer).cast("B")
        data = self.recv(nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data)

    def _receive(self, size: int) -> bytes:
        stream = self._stream
        if stream.descriptor.reader == self._on_readable:
            stream.descriptor.stop_waiting_to_read()
        self._is_receiving = True
        try:
            waits = self._timeout != 0
            data = stream.receive(size, self._waits_to_receive()) if waits else stream.receive_now(size)
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
            self._is_at_end = self._peer_has_ended = True

    def _waits_to_receive(self) -> Callable[[Side], None]:
        until = self._until()

        def wait(side: Side) -> None:
            self._stream.wait(side, None if until is None else self._left(until))
            if self._is_at_end:
                raise PeerGone("it was closed meanwhile")

        return wait

    def _end_receiving(self) -> None:
        """Whoever receives, or will, finds the end. Switches: never."""
        self._is_at_end = True
        self._ahead = b""
        reader = self._stream.descriptor.stop_waiting_to_read()
        if reader is not None and reader != self._on_readable:
            reader()
        if self._alarm is not None:
            self._alarm.set()

    # Being watched ---------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """A descriptor that select() and its kin find readable when recv() would not wait; -1 when it is closed.

        It is not the connection's own: for anything but waiting it is of no use. Switches: never.
        """
        if self._is_closed:
            return -1
        self._must_be_here()
        if self._alarm is None:
            self._alarm = Alarm()
            self._watch()
        return self._alarm.fd

    def _watch(self) -> None:
        """Have the alarm tell what holds now."""
        alarm = self._alarm
        if alarm is None or not self._is_taken:
            return
        if self._ahead or self._is_at_end:
            alarm.set()
        elif not self._stream.descriptor.closed:
            alarm.clear()
            self._stream.when_readable(self._on_readable)

    def _on_readable(self) -> None:
        """Something has come while nobody receives, or it may have."""
        if self._ahead or self._is_at_end or self._is_receiving or self._stream.descriptor.closed:
            return
        assert self._alarm is not None
        try:
            data = self._stream.receive_now(READ_SIZE)
        except BlockingIOError:
            self._stream.descriptor.on_readable(self._on_readable)
            return
        except PeerGone:
            self._alarm.set()  # recv() meets it again
            return
        self._ahead = data
        self._came(data)
        self._alarm.set()

    # Every call --------------------------------------------------------------------------------------------

    def _use(self, flags: int) -> None:
        """Begin a call: the first one takes the connection. Raises what the call is to raise."""
        if self._is_closed:
            raise OSError(errno.EBADF, "the socket is closed")
        if flags:
            raise OSError(errno.EOPNOTSUPP, "this socket takes no flags")
        self._must_be_here()
        hub = self._hub
        if not self._is_taken:
            self._take()
        if hub.clock() - hub.now > MAX_TURN and self._timeout != 0:
            sleep(0)

    def _must_be_here(self) -> None:
        if _thread.get_ident() != self._hub.thread_id:
            raise RuntimeError(
                "environ['werkzeug.socket'] is for green threads of its server, and not for another OS thread"
            )

    def _take(self) -> None:
        """Have the connection leave HTTP. TakenSocket's."""
        raise NotImplementedError
