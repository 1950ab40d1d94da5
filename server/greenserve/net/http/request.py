"""A connection as its request sees it: the Link of wsgi/, on a Stream.

The green half of a connection; connection.py is the half that needs no green thread. The invariants: after an answer
was interrupted half sent, by a Timeout of the app's own say, nothing more goes out; while a request waits for its
client, its slot is there for others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from greenlet import getcurrent, greenlet

from greenserve.errors import PeerGone
from greenserve.net.http.activity import Upgraded
from greenserve.net.http.services import Services
from greenserve.net.http.states import State
from greenserve.net.sockets.min_rates import Pace
from greenserve.net.sockets.stream import JOIN_BELOW, READ_SIZE, SEND_STEP, Side, Stream
from greenserve_hub.deadlines import NEVER, Deadline
from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.loop.hub import MAX_TURN

_WITH_A_CLIENT: Final = (State.RUNNING, State.UPGRADED)


class StreamLink:
    """What Link says, and what of it the connection has to know afterwards."""

    __slots__ = (
        "_body_pace",
        "_deadline",
        "_is_broken",
        "_send_pace",
        "_stream",
        "_unsent",
        "_upgraded",
        "_worker",
        "peer",
        "peer_port",
        "services",
        "state",
    )

    state: State
    _deadline: Deadline

    def __init__(self, services: Services, stream: Stream, peer: str, peer_port: str) -> None:
        """For Connection."""
        self.services = services
        self.peer = peer
        self.peer_port = peer_port
        self._stream = stream
        self._is_broken = False  # an answer was interrupted half sent
        self._unsent: tuple[bytes | memoryview, bytes | memoryview] | None = None  # a whole answer
        self._upgraded: Upgraded | None = None  # the connection's life after HTTP
        self._worker: greenlet | None = None  # the green thread that the request runs on
        # How patient we are with this request's client; made when we first have to wait for it.
        self._body_pace: Pace | None = None
        self._send_pace: Pace | None = None

    def send(self, data: bytes) -> None:
        """See Link."""
        hub = self.services.hub
        if hub.clock() - hub.now > MAX_TURN:
            sleep(0)
        self._deadline.disarm()  # request_timeout: the answer has begun
        self._sending(self._stream.send, data)

    def send_interim(self, data: bytes) -> None:
        """See Link."""
        self._sending(self._stream.send, data)

    def send_pieces(self, first: bytes, second: bytes) -> None:
        """See Link."""
        if len(second) < JOIN_BELOW:
            self.send(first + second)
            return
        self._deadline.disarm()
        self._sending(self._stream.send_pieces, first, second)

    def send_last(self, head: bytes, body: bytes) -> None:
        """See Link."""
        if self._is_broken:
            raise PeerGone("an earlier part of the answer was interrupted: nothing can follow it")
        self._unsent = (head + body, b"") if len(body) < JOIN_BELOW else (head, body)

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """See Link."""
        sent: int = self._sending(self._stream.send_file, fd, offset, count)
        return sent

    def _sending(self, send: Callable[..., Any], *args: Any) -> Any:
        if self._is_broken:
            raise PeerGone("an earlier part of the answer was interrupted: nothing can follow it")
        self._is_broken = True
        try:
            result = send(*args, self._wait_to_send)
        except OSError as error:
            self._is_broken = isinstance(error, PeerGone)  # else sendfile, which has sent nothing
            raise
        self._is_broken = False
        return result

    def receive(self) -> bytes:
        """See Link."""
        data = self._stream.receive(READ_SIZE, self._wait_to_receive)
        if self._body_pace is not None:
            self._body_pace.earn(len(data))
        return data

    def is_peer_gone(self) -> bool:
        """See Link; environ["greenserve.client_disconnected"]."""
        return self.state not in _WITH_A_CLIENT or self._stream.is_peer_gone()

    # Waiting for the client ------------------------------------------------------------------------------

    def _wait_to_receive(self, side: Side) -> None:
        pace = self._body_pace
        if pace is None:
            pace = self._body_pace = self.services.timeouts.body_pace()
        # When time is over, the stream looks once more: an app may have held the hub while something came.
        self._wait(side, pace)

    def _wait_to_send(self, side: Side) -> None:
        pace = self._send_pace
        if pace is None:
            pace = self._send_pace = self.services.timeouts.send_pace()
        if self._wait(side, pace, self._stream.untaken):
            pace.earn(SEND_STEP)

    def _wait(self, side: Side, pace: Pace, level: Callable[[], int] = int) -> bool:
        """Wait for as long as the pace allows; whether the wait came to its end.

        It is asked for again after a try of the call in question: TimeoutError then, when no time is left.
        """
        if pace.is_over:
            raise TimeoutError
        hub = self.services.hub
        slots = self.services.slots
        # Another green thread of the app's has no slot to lend.
        lent = getcurrent() is self._worker and slots.lend()
        pace.begin(hub.clock(), level())
        try:
            self._stream.wait(side, None if pace.left == NEVER else pace.left)
            moved = True
        except TimeoutError:
            moved = False
        except PeerGone:
            if lent:
                slots.take_back()
            raise
        except BaseException:
            # Thrown at the request: its end, or a time limit of the app's own, which can't be kept waiting.
            if lent:
                slots.take_back_now()
            raise
        pace.end(hub.now, level())  # not clock(): what ran before us in this turn is not the client's
        if lent:
            slots.take_back()
        return moved
