"""The beginning of a request's body, read from hub callbacks before the request takes a slot.

Between Opening and Connection. A body of up to _ENOUGH bytes has come whole when the app begins, so a client that drips
it costs an object and no slot; the rest of a longer one is the app's to read. The bytes stay raw: the framing sees them
when the app reads. The invariant: nothing is waited for that the client may not send before it has heard from us.

Of a chunked body any byte is enough: how much will come is not known, and a client may send a chunk, wait for what the
app says to it, and send the next. One that expects 100 Continue (RFC 9110 §10.1.1) sends nothing before the app asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from greenserve.errors import PeerGone, ProtocolError
from greenserve.http1 import RequestHead
from greenserve.net.http.states import State
from greenserve.net.opening.opening import Opening
from greenserve.net.sockets.stream import HEAD_SIZE

if TYPE_CHECKING:
    from greenserve.net.http.connection import Connection

_ENOUGH: Final = 16 * 1024  # bytes; a form or a call of an API is smaller, and 10,000 of them fit into memory
_BODY = State.BODY


class Gathering(Opening):
    """A connection that reads the beginning of a body."""

    __slots__ = ()

    def _gather(self, head: RequestHead) -> bool:
        """Whether the body's beginning has to be waited for, which has begun then. Switches: never."""
        if self._has_enough or head.expect_continue:
            return False
        self.state = _BODY
        self._body_pace = self.services.timeouts.body_pace()
        self._wait_for_body()
        return True

    def _wait_for_body(self) -> None:
        assert self._body_pace is not None
        now = self.services.hub.now
        self._body_pace.begin(now)
        self._deadline.arm(now + self._body_pace.left)
        self._stream.when_readable(self._on_body)

    @property
    def _has_enough(self) -> bool:
        """Whether the app can begin: it is in line then, and what comes now is the app's to read."""
        assert self._head is not None
        length = self._head.content_length
        return len(self._rest) >= (1 if length is None else min(length, _ENOUGH))

    def _on_body(self) -> None:
        if self.state is not _BODY or self._has_enough:
            return
        try:
            data = self._stream.receive_now(HEAD_SIZE)
            if data:
                self._gathered(data)
            else:
                self.close()  # it will not come whole any more
        except BlockingIOError:
            self._stream.descriptor.on_readable(self._on_body)
        except PeerGone:
            self.close()
        except Exception:
            self.broke()

    def _gathered(self, data: bytes) -> None:
        pace = self._body_pace
        assert pace is not None
        pace.end(self.services.hub.now)
        pace.earn(len(data))
        self._rest += data
        if self._has_enough:
            self.endpoint.submit(cast("Connection", self))  # there is no other kind
        else:
            self._wait_for_body()

    def _body_expired(self) -> None:
        """Its time is over, unless some of it lies in the socket still, since an app held the hub."""
        if self._has_enough:
            return
        self._stream.descriptor.stop_waiting_to_read()
        try:
            data = self._stream.receive_now(HEAD_SIZE)
        except (BlockingIOError, PeerGone):
            data = b""
        if data:
            self._gathered(data)
        else:
            self.refuse(
                ProtocolError(408, "the body of the request came too slowly (body_timeout, body_min_rate)")
            )
