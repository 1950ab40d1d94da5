"""Rejected: clients for whom there is no room get 503 with Retry-After, at once and for next to nothing.

No request is read, so there is no parser, no Connection and no line in the access log. RFC 9112 §9.6: to close a socket
with unread bytes, or to which more bytes come, resets the connection, and the client may lose the answer. So the
sending side is shut, what is there is read, and some sockets linger until their clients have closed too. The invariant:
at most _LINGERING descriptors, for _LINGER_TIME each; any more are closed at once, which the kernel does in order for a
client that has sent nothing yet.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Final

from greenserve.http1 import encode_error
from greenserve.net.http.draining import Discarding
from greenserve.net.sockets.stream import HEAD_SIZE, Stream, close_connection
from greenserve_hub.deadlines import Deadline
from greenserve_hub.loop.hub import Hub

_LINGERING: Final = 100  # at once; config leaves that many descriptors and more beside limit_connections
_LINGER_TIME: Final = 1.0  # seconds: a request that was on its way has come by then
_LINGER_BYTES: Final = 64 * 1024
# Without Date, which a 5xx need not have (RFC 9110 §6.6.1): so the bytes are made once.
_ANSWER: Final = b"".join(encode_error(503, "too many connections", "", "", extra=(("Retry-After", "1"),)))


class Rejected:
    """The rejected clients of one server."""

    def __init__(self, hub: Hub) -> None:
        """None yet."""
        self.count = 0  # so far
        self._hub = hub
        self._lingering: dict[Stream, Deadline] = {}

    def add(self, sock: socket.socket, speaks_http: bool) -> None:
        """Answer, if the client understands it, and close. Switches: never."""
        self.count += 1
        if not speaks_http:
            close_connection(sock)
            return
        with contextlib.suppress(OSError):
            sock.send(_ANSWER)
            sock.shutdown(socket.SHUT_WR)
            if len(self._lingering) < _LINGERING:
                self._linger(sock)
                return
            sock.recv(HEAD_SIZE)
        close_connection(sock)

    def _linger(self, sock: socket.socket) -> None:
        stream = Stream(self._hub, sock)
        self._lingering[stream] = self._hub.call_after(_LINGER_TIME, self._end, stream)
        Discarding(stream, _LINGER_BYTES, lambda _: self._end(stream)).begin()

    def _end(self, stream: Stream) -> None:
        deadline = self._lingering.pop(stream, None)
        if deadline is not None:
            deadline.cancel()
            stream.close()

    def leave_behind(self) -> None:
        """Forget them, in the child of a fork. Switches: never."""
        for stream in self._lingering:
            stream.leave_behind()
        self._lingering.clear()

    def close(self) -> None:
        """Close the sockets that linger. Switches: never."""
        for stream in list(self._lingering):
            self._end(stream)
