"""A connection as its request sees it: the Link of wsgi/, on a Stream.

The green half of a connection; connection.py is the half that needs no green thread. The invariant: after an answer
was interrupted half sent, by a Timeout of the app's own say, nothing more goes out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from greenserve.errors import PeerGone
from greenserve.net.states import State
from greenserve.net.stream import JOIN_BELOW, READ_SIZE, Stream
from greenserve_hub.deadlines import Deadline
from greenserve_hub.greenthreads import sleep

if TYPE_CHECKING:
    from greenserve.net.server import Server

_TURN: Final = 0.01  # seconds that an answer may be sent without giving way to the others


class StreamLink:
    """What Link says, and what of it the connection has to know afterwards."""

    __slots__ = ("_deadline", "_is_broken", "_stream", "_unsent", "peer", "peer_port", "server", "state")

    state: State
    _deadline: Deadline

    def __init__(self, server: Server, stream: Stream, peer: str, peer_port: str) -> None:
        """For Connection."""
        self.server = server
        self.peer = peer
        self.peer_port = peer_port
        self._stream = stream
        self._is_broken = False  # an answer was interrupted half sent
        self._unsent: tuple[bytes | memoryview, bytes | memoryview] | None = None  # a whole answer

    def send(self, data: bytes) -> None:
        """See Link."""
        hub = self.server.hub
        if hub.clock() - hub.now > _TURN:
            sleep(0)
        self._deadline.disarm()  # request_timeout: the answer has begun
        self._sending(self._stream.send, data)

    def send_interim(self, data: bytes) -> None:
        """See Link."""
        self._sending(self._stream.send, data)

    def send_pieces(self, first: bytes, second: bytes) -> None:
        """See Link."""
        self._deadline.disarm()
        self._sending(self._stream.send_pieces, first, second)

    def send_last(self, head: bytes, body: bytes) -> None:
        """See Link."""
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
            result = send(*args, self.server.config.send_timeout or None)
        except OSError as error:
            self._is_broken = isinstance(error, PeerGone)  # else sendfile, which has sent nothing
            raise
        self._is_broken = False
        return result

    def receive(self) -> bytes:
        """See Link."""
        return self._stream.receive(READ_SIZE, self.server.config.body_timeout or None)

    def is_peer_gone(self) -> bool:
        """See Link; environ["greenserve.client_disconnected"]."""
        return self.state is not State.RUNNING or self._stream.is_peer_gone()
