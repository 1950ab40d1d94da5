"""The beginning of a request's body, read from hub callbacks before the request takes a slot.

A body of up to _ENOUGH bytes has come whole when the app begins, so a client that drips it costs an object and no slot;
the rest of a longer one is the app's to read. The bytes stay raw: the framing sees them when the app reads. The
invariant: nothing is waited for that the client may not send before it has heard from us.

Of a chunked body any byte is enough: how much will come is not known, and a client may send a chunk, wait for what the
app says to it, and send the next. One that expects 100 Continue (RFC 9110 §10.1.1) sends nothing before the app asks.
"""

from __future__ import annotations

from typing import Final, Protocol

from greenserve.errors import LimitExceeded, PeerGone, ProtocolError
from greenserve.http1 import BodyFraming, ChunkedFraming, LengthFraming, RequestHead
from greenserve.net.http.activity import Activity, Host, Refused
from greenserve.net.http.patience import Patience
from greenserve.net.http.services import Services
from greenserve.net.http.states import State
from greenserve.net.sockets.stream import HEAD_SIZE

_ENOUGH: Final = 16 * 1024  # bytes; a form or a call of an API is smaller, and 10,000 of them fit into memory
_BODY: Final = State.BODY  # an enum's member is looked up by Python code


class WithBody(Refused, Protocol):
    """A request whose body is due."""

    framing: BodyFraming | None

    @property
    def patience(self) -> Patience:
        """How long to wait for its client."""

    def refuse_stopping(self) -> None:
        """Answer that the server stops."""


def frame(head: RequestHead, services: Services) -> BodyFraming:
    """Return the framing of a request's body, which says where it ends. Raises LimitExceeded."""
    limit = services.limit_request_body
    if head.chunked:
        limits = services.head_limits
        return ChunkedFraming(limit, limits.field_size, limits.fields)
    assert head.content_length is not None
    if limit and head.content_length > limit:
        raise LimitExceeded(413, f"body longer than {limit} bytes (limit_request_body)")
    return LengthFraming(head.content_length)


def has_enough(head: RequestHead, ahead: bytes) -> bool:
    """Return True if the app can begin when this has come of the body."""
    length = head.content_length
    return len(ahead) >= (1 if length is None else min(length, _ENOUGH))


def prefetches(connection: Host, request: WithBody) -> bool:
    """Set the framing of a request with a body. Return True if a BodyPrefetch reads first, and submits the request.

    Raises ProtocolError for a body that is too long. Switches: never.
    """
    head, services = request.head, connection.services
    request.framing = frame(head, services)
    if not services.prefetches or head.expect_continue or has_enough(head, connection.ahead):
        return False
    BodyPrefetch(connection, request).begin()
    return True


class BodyPrefetch(Activity):
    """Reads into the connection's `ahead`."""

    __slots__ = ("_connection", "_pace", "_request")

    def __init__(self, connection: Host, request: WithBody) -> None:
        """For a request that is submitted when its body has begun to come."""
        self._connection = connection
        self._request = request
        self._pace = request.patience.body

    def __str__(self) -> str:
        """See Activity."""
        return str(self._request)

    def begin(self) -> None:
        """Wait for the body's beginning. Switches: never."""
        self._connection.enter(_BODY, self)
        self._wait()

    def _wait(self) -> None:
        connection = self._connection
        now = connection.services.hub.now
        self._pace.begin(now)
        connection.deadline.arm(now + self._pace.left)
        connection.stream.when_readable(self._on_readable)

    def _on_readable(self) -> None:
        connection = self._connection
        if connection.state is not _BODY or connection.activity is not self:
            return  # it is queued: what comes now is the app's to read
        try:
            data = connection.stream.receive_now(HEAD_SIZE)
            if data:
                self._take(data)
            else:
                connection.close()  # it will not come whole any more
        except BlockingIOError:
            connection.stream.descriptor.when_readable(self._on_readable)
        except PeerGone:
            connection.close()
        except Exception:
            connection.broke()

    def _take(self, data: bytes) -> None:
        connection = self._connection
        self._pace.end(connection.services.hub.now)
        self._pace.earn(len(data))
        connection.ahead += data
        if has_enough(self._request.head, connection.ahead):
            connection.enter(_BODY, self._request)
            connection.endpoint.submit(self._request)
        else:
            self._wait()

    def expired(self) -> None:
        """See Activity: its time is over, unless some of it lies in the socket still, since an app held the hub."""
        stream = self._connection.stream
        stream.descriptor.stop_waiting_to_read()
        try:
            data = stream.receive_now(HEAD_SIZE)
        except (BlockingIOError, PeerGone):
            data = b""
        if data:
            self._take(data)
        else:
            error = ProtocolError(
                408, "the body of the request came too slowly (body_timeout, body_min_rate)"
            )
            self._connection.refuse(error, self._request)

    def end(self) -> str | None:
        """See Activity."""
        told = repr(self._connection)
        self._request.refuse_stopping()
        return told
