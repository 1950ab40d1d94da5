"""The sending half of a TakenSocket: whole pieces, one after another, whoever sends them.

Facts: the libraries that this is for send from several threads at once, and take no notice of how many bytes send()
says have gone. Decision: send() sends all or fails, and one waits for the other. Invariants: pieces never interleave;
after one that was interrupted nothing follows; the server adds nothing but a Close, between two frames, and nothing
follows that either.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from greenserve.errors import PeerGone
from greenserve.net.hijacked.receiving import SocketReceiving, TimedOut
from greenserve.net.http.activity import Carrier
from greenserve.net.sockets.min_rates import Pace
from greenserve.net.sockets.stream import SEND_STEP, Side, Stream
from greenserve.websocket.framing.boundary import Boundary
from greenserve_hub.deadlines import NEVER
from greenserve_hub.greenthreads.greenthreads import spawn_n
from greenserve_hub.sync.locks import Lock


class SocketSending(SocketReceiving):
    """A socket that can be sent to. Any number of green threads at a time."""

    def __init__(self, connection: Carrier, close_timeout: float) -> None:
        """For TakenSocket."""
        super().__init__(connection)
        self._close_timeout = close_timeout
        self.bytes_sent = 0
        self._sending = Lock()
        self._pace: Pace | None = None  # of a client that did not take something at once
        self._boundary = Boundary()
        self._is_shut = False  # nothing more is sent
        self._is_broken = False  # a piece was interrupted half sent
        self._is_offered = (
            False  # TLS has begun a piece, and nobody knows with how much: its user offers it again
        )
        self._goodbye = b""  # a Close that is to go out
        self._said_goodbye = False

    def send(self, data: Any, flags: int = 0) -> int:
        """As socket.send, but all of `data`, unless the timeout is 0.

        Switches: when the client reads slowly, or another green thread is sending. Of a timeout of 0 over TLS the same
        piece has to be offered again, as to an SSLSocket.
        """
        self._use(flags)
        if type(data) is not bytes:
            data = bytes(data)
        if self._timeout == 0:
            return self._send_now(data)
        until = self._until()
        if not self._sending.acquire(timeout=self._timeout):
            raise TimeoutError("timed out")
        try:
            self._send_whole(data, until)
            self._say_goodbye()
        finally:
            self._sending.release()
        return len(data)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """As socket.sendall. Switches: as send."""
        left = memoryview(data).cast("B")
        sent = self.send(left, flags)
        while sent < len(left):  # with a timeout of 0
            left = left[sent:]
            sent = self.send(left, flags)

    def _send_now(self, data: bytes) -> int:
        if self._sending.locked():
            raise BlockingIOError(errno.EAGAIN, "another green thread is sending")
        self._must_be_open()
        if self._said_goodbye:
            return len(data)
        try:
            sent = self._stream.send_now(data)
        except PeerGone as error:
            raise BrokenPipeError(errno.EPIPE, str(error)) from None
        self._is_offered = sent < len(data) and type(self._stream) is not Stream
        if data and not sent:
            raise BlockingIOError(errno.EAGAIN, "the client reads slowly")
        self._sent(data[:sent])
        if self._goodbye:
            spawn_n(self._drain)
        return sent

    def _send_whole(self, data: bytes, until: float | None) -> None:
        self._must_be_open()
        if self._said_goodbye:
            return  # nothing may follow a Close (RFC 6455 §5.5.1), and its user knows of none yet
        self._is_broken = True  # until it is out
        try:
            self._stream.send(data, self._waits_to_send(until))
        except TimedOut:
            raise TimeoutError("timed out") from None
        except PeerGone as error:
            if self._pace is not None and self._pace.is_over and self._connection.is_open:
                self._connection.close()
            raise BrokenPipeError(errno.EPIPE, str(error)) from None
        self._is_broken = self._is_offered = False
        self._sent(data)

    def _sent(self, data: bytes) -> None:
        self.bytes_sent += len(data)
        self._boundary.feed(data)

    def _must_be_open(self) -> None:
        if self._is_shut:
            raise BrokenPipeError(errno.EPIPE, "nothing more can be sent: the connection is over")
        if self._is_broken:
            raise BrokenPipeError(
                errno.EPIPE, "an earlier piece was interrupted half sent: nothing can follow it"
            )

    def _waits_to_send(self, until: float | None) -> Callable[[Side], None]:
        stream = self._stream
        hub = self._hub

        def wait(side: Side) -> None:
            pace = self._pace
            if pace is None:
                pace = self._pace = self._connection.services.timeouts.send_pace()
            if pace.is_over:
                raise TimeoutError
            left = pace.left if until is None else min(pace.left, self._left(until))
            pace.begin(hub.clock(), stream.untaken())
            step = 0
            try:
                stream.wait(side, None if left == NEVER else left)
                step = SEND_STEP
            except TimeoutError:
                pass  # the stream tries once more, and asks again
            pace.end(hub.now, stream.untaken())
            pace.earn(step)

        return wait

    # A Close of the server's -----------------------------------------------------------------------------

    def _drain(self) -> None:
        with self._sending:
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        """Send what `_goodbye` is, if this is the place for it. With `_sending` held. Switches: as send."""
        boundary = self._boundary
        if not self._goodbye or self._is_shut or self._is_offered:
            return
        if not boundary.is_between_frames or boundary.closes:
            return
        frame, self._goodbye = self._goodbye, b""
        try:
            self._send_whole(frame, None)
        except OSError:
            return  # there is nobody to tell
        self._said_goodbye = True
        connection = self._connection
        if connection.is_open:
            connection.deadline.arm(self._hub.now + self._close_timeout)
