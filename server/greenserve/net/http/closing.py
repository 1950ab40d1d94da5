"""How a connection ends: refused, lingering, closed.

Between Sending and Connection. The invariant: whoever is refused gets the error whole before the end, behind the
answers that it has not read yet; and what is closed is forgotten by the server, once.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, cast

from greenserve.errors import ProtocolError
from greenserve.http1 import HeadReader, RequestHead
from greenserve.net.http.discarding import Discarding
from greenserve.net.http.refusals import Refusal
from greenserve.net.http.sending import Sending
from greenserve.net.http.states import State

if TYPE_CHECKING:
    from greenserve.net.http.connection import Connection

log = logging.getLogger("greenserve.error")

# Seconds for the client to take an error answer and close (RFC 9112 §9.6); nginx has 5.
_LINGER_TIME: Final = 2.0
# Of its upload that are thrown away meanwhile: as much as a body may have by default, since many clients look for an
# answer when all is sent, and not before.
_LINGER_BYTES: Final = 16 << 20


class Closing(Sending):
    """A connection that can end."""

    __slots__ = ("_head", "_reader")

    environ: dict[str, Any]  # what all its requests share
    _head: RequestHead | None
    _reader: HeadReader | None

    def _arm(self, seconds: float) -> None:
        self._deadline.arm(self.services.hub.now + seconds)

    def refuse(self, error: ProtocolError, *extra: tuple[str, str]) -> None:
        """Answer with an error of the server's own, from a hub callback, and close. Switches: never."""
        self.services.counts.refused += 1
        self.answer_and_end(error, *extra)

    def answer_and_end(self, error: ProtocolError, *extra: tuple[str, str]) -> None:
        """The same, of what is no refusal."""
        services = self.services
        head = self._head
        peer = self.peer, self.peer_port
        if head is not None:  # else it was the head that went wrong, and proxies are not heard
            peer = services.forwarding.client_of(self.environ, head.fields, *peer)
        refusal = Refusal(peer, error, head, services.event_stream_retry)
        self._reader = None
        data = refusal.encode(services.service, extra)
        self.state = State.SENDING
        self.flush(data, b"")
        if services.log_access is not None:
            services.log_access(refusal, services.hub.now)

    def linger(self) -> None:
        """Say that no more will come, and read until the client has closed too, within a bound (RFC 9112 §9.6)."""
        self.state = State.LINGERING
        self._stream.shut_sending()
        self._arm(_LINGER_TIME)
        Discarding(self._stream, _LINGER_BYTES, self._lingered).begin()

    def _lingered(self, ended: bool) -> None:
        self.close()

    def broke(self) -> None:
        """An error of the server's own, in a callback of this connection: it costs this one only. Switches: never."""
        log.exception("%r: an error in the server; this connection is closed, please report it", self)
        self.close()

    def leave_behind(self) -> None:
        """For the child of a fork. `lost` would wake and call others. Switches: never."""
        self.state = State.CLOSED
        self._stream.leave_behind()
        if self._upgraded is not None:
            self._upgraded.leave_behind()

    def close(self) -> None:
        """Close now; repeatable. Switches: never."""
        if self.state is not State.CLOSED:
            connection = cast("Connection", self)  # there is no other kind
            if self.state is State.QUEUED:
                self.services.queue.unqueue(connection)
            elif self.state is State.SENDING:
                self.services.budget.take(self)
            self.state = State.CLOSED
            self._deadline.cancel()
            try:
                self._stream.close()
            finally:
                self._reader = None
                self._unsent = None
                if self._upgraded is not None:
                    self._upgraded.lost()
                self.services.members.remove(connection)
