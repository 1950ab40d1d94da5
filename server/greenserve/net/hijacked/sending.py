"""The sending half of a HijackedSocket: whole pieces one after another, however many green threads send.

Facts: the libraries that this is for send from several threads at once, and take no notice of how many bytes send()
says have gone. Decision: send() sends all or fails, and one waits for the other. Invariants: pieces never interleave;
after one that was interrupted nothing follows; the server adds nothing but a Close, between two frames, and nothing
follows that either.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from greenserve.errors import PeerGone
from greenserve.net.hijacked.wait_limit import TimedOut, WaitLimit
from greenserve.net.http.services import Carrier
from greenserve.net.sockets.min_rates import Pace
from greenserve.net.sockets.stream import SEND_STEP, Side, Stream
from greenserve.websocket.framing.boundary import Boundary
from greenserve_hub.deadlines import NEVER
from greenserve_hub.greenthreads.greenthreads import spawn_n
from greenserve_hub.sync.locks import Lock


class SocketSender:
    """Sends for any number of green threads at a time."""

    __slots__ = (
        "_boundary",
        "_carrier",
        "_close_frame",
        "_close_is_sent",
        "_close_timeout",
        "_is_offered",
        "_is_shut",
        "_limit",
        "_lock",
        "_min_rate",
        "bytes_sent",
        "is_broken",
    )

    def __init__(self, carrier: Carrier, limit: WaitLimit, close_timeout: float) -> None:
        """`close_timeout`: seconds that the client has to agree to a Close of the server's."""
        self._carrier = carrier
        self._limit = limit
        self._close_timeout = close_timeout
        self._lock = Lock()
        self._min_rate: Pace | None = None  # of a client that did not take something at once
        self._boundary = Boundary()
        self._is_shut = False  # nothing more is sent
        # TLS has begun a piece, and nobody knows with how much of it: its user offers it again.
        self._is_offered = False
        self._close_frame = b""  # that is to go out
        self._close_is_sent = False
        self.is_broken = False  # a piece was interrupted half sent
        self.bytes_sent = 0

    def send(self, data: bytes) -> int:
        """Send all of `data`, or what goes at once if the timeout is 0. Return how many bytes.

        Switches: when the client reads slowly, or another green thread is sending.
        """
        seconds = self._limit.seconds
        if seconds == 0:
            return self._send_now(data)
        until = self._limit.until()
        if not self._lock.acquire(timeout=seconds):
            raise TimeoutError("timed out")
        try:
            self._send_whole(data, until)
            self._send_close()
        finally:
            self._lock.release()
        return len(data)

    def shut(self) -> None:
        """Send nothing more. Switches: never."""
        self._is_shut = True

    def close(self, frame: bytes) -> None:
        """Send this Close between two frames of the library's, as soon as may be. Switches: never."""
        self._close_frame = frame
        spawn_n(self._send_close_in_turn)

    def _send_now(self, data: bytes) -> int:
        if self._lock.locked():
            raise BlockingIOError(errno.EAGAIN, "another green thread is sending")
        self._must_be_open()
        if self._close_is_sent:
            return len(data)
        stream = self._carrier.stream
        try:
            sent = stream.send_now(data)
        except PeerGone as error:
            raise BrokenPipeError(errno.EPIPE, str(error)) from None
        self._is_offered = sent < len(data) and type(stream) is not Stream
        if data and not sent:
            raise BlockingIOError(errno.EAGAIN, "the client reads slowly")
        self._sent(data[:sent])
        if self._close_frame:
            spawn_n(self._send_close_in_turn)
        return sent

    def _send_whole(self, data: bytes, until: float | None) -> None:
        self._must_be_open()
        if self._close_is_sent:
            return  # nothing may follow a Close (RFC 6455 §5.5.1), and its user knows of none yet
        self.is_broken = True  # until it is out
        carrier = self._carrier
        try:
            carrier.stream.send(data, self._waits(until))
        except TimedOut:
            raise TimeoutError("timed out") from None
        except PeerGone as error:
            if self._min_rate is not None and self._min_rate.is_over and carrier.is_open:
                carrier.close()
            raise BrokenPipeError(errno.EPIPE, str(error)) from None
        self.is_broken = self._is_offered = False
        self._sent(data)

    def _sent(self, data: bytes) -> None:
        self.bytes_sent += len(data)
        self._boundary.feed(data)

    def _must_be_open(self) -> None:
        if self._is_shut:
            raise BrokenPipeError(errno.EPIPE, "nothing more can be sent: the connection is over")
        if self.is_broken:
            raise BrokenPipeError(
                errno.EPIPE, "an earlier piece was interrupted half sent: nothing can follow it"
            )

    def _waits(self, until: float | None) -> Callable[[Side], None]:
        services, stream, limit = self._carrier.services, self._carrier.stream, self._limit
        hub = services.hub

        def wait(side: Side) -> None:
            rate = self._min_rate
            if rate is None:
                rate = self._min_rate = services.timeouts.send_pace()
            if rate.is_over:
                raise TimeoutError
            left = rate.left if until is None else min(rate.left, limit.left(until))
            rate.begin(hub.clock(), stream.untaken())
            step = 0
            try:
                stream.wait(side, None if left == NEVER else left)
                step = SEND_STEP
            except TimeoutError:
                pass  # the stream tries once more, and asks again
            rate.end(hub.now, stream.untaken())
            rate.earn(step)

        return wait

    # A Close of the server's -----------------------------------------------------------------------------

    def _send_close_in_turn(self) -> None:
        with self._lock:
            self._send_close()

    def _send_close(self) -> None:
        """Send the Close that is to go out, if this is the place for it. With the lock held. Switches: as send."""
        boundary = self._boundary
        if not self._close_frame or self._is_shut or self._is_offered:
            return
        if not boundary.is_between_frames or boundary.closes:
            return
        frame, self._close_frame = self._close_frame, b""
        try:
            self._send_whole(frame, None)
        except OSError:
            return  # there is nobody to tell
        self._close_is_sent = True
        carrier = self._carrier
        if carrier.is_open:
            carrier.deadline.arm(carrier.services.hub.now + self._close_timeout)
