"""A response of the server's own to a request that no app sees: bad framing, a limit, a full queue, a slow head.

Made by a connection from a hub callback. In the access log it has no method, target and version if its head could not
be read. A redirect to https (`redirect_bind`) is answered so too. Here it also says which requests have waited for so
long that they are refused, or shed.

An EventSource that is answered 503 never asks again (HTML, "Server-sent events": any status but 200 fails it for good).
Where the setting event_stream_retry says so, it gets an empty stream instead, which says when to come back.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Final

from greenserve.errors import ProtocolError
from greenserve.http1 import RequestHead, check_head, encode_error, response_head
from greenserve.logs.record import REQUEST_ID, Record, T
from greenserve.logs.request_ids import RequestIds
from greenserve.net.http.activity import Host, Refused
from greenserve.net.http.ending_early import has_left
from greenserve.net.http.services import Services
from greenserve.net.http.states import State
from greenserve.wsgi import Response, Service
from greenserve_hub.unpatched import time

_PORT: Final = re.compile(r":\d*\Z", re.ASCII)
_AUTHORITY: Final = re.compile(r"[^/?#]*")

_TOO_LATE: Final = "the request waited too long before it came here (X-Request-Start, queue_timeout)"
_EVENTS: Final = "text/event-stream"
_STREAM_FIELDS: Final = [("Content-Type", _EVENTS), ("Cache-Control", "no-store")]


class Refusal:
    """One refused request."""

    __slots__ = ("_error", "_head", "_id", "_id_line", "_retry", "bytes_sent", "peer", "peer_port")

    def __init__(
        self,
        peer: tuple[str, str],
        error: ProtocolError,
        head: RequestHead | None,
        event_stream_retry: float = 0.0,
    ) -> None:
        """`peer`: address and port. `head` is None when it was the head that went wrong."""
        self.peer, self.peer_port = peer
        self.bytes_sent = 0
        self._error = error
        self._head = head
        self._id = self._id_line = ""
        self._retry = 0.0  # seconds after which an EventSource is told to come back
        if error.status == 503 and head is not None and _is_an_event_source(head):
            self._retry = event_stream_retry

    def name(self, known: str, ids: RequestIds) -> None:
        """Give it an id: the `known` one of a proxy, or if that is "", a new one."""
        self._id = known or ids.make()
        if ids.in_response:
            self._id_line = f"{ids.field}: {self._id}\r\n"

    def encode(self, service: Service, extra: tuple[tuple[str, str], ...]) -> bytes:
        """The bytes of the answer."""
        server_line = service.server_line + self._id_line
        if self._retry:
            # Not all at once: the queue may be full of those that came back together.
            content = b"retry: %d\n\n" % (self._retry * 1000 * random.uniform(0.5, 1.5))
            self.bytes_sent = len(content)
            given = check_head("200 OK", _STREAM_FIELDS)
            line = service.date_line()
            return response_head(given, "GET", True, False, len(content), line, server_line).data + content
        head_only = self._head is not None and self._head.method == "HEAD"
        head, content = encode_error(
            self.status,
            self._error.reason,
            service.date_line(),
            server_line,
            head_only=head_only,
            extra=extra,
        )
        self.bytes_sent = len(content)
        return head + content

    @property
    def status(self) -> int:
        """The status code answered with."""
        return 200 if self._retry else self._error.status

    def tell(self, take: Callable[..., T], began: float, seconds: float) -> T:
        """See Finished."""
        return take(*self.record(began, seconds))

    def record(self, began: float, seconds: float) -> Record:
        """Return the record for the access log."""
        method = target = version = ""  # if the head could not be read
        if self._head is not None:
            method, target = self._head.method, self._head.target
            version = "HTTP/1.1" if self._head.http11 else "HTTP/1.0"
        sent = self.bytes_sent
        return Record(
            self.peer,
            self.peer_port,
            method,
            target,
            version,
            self.status,
            sent,
            0,
            began,
            seconds,
            None,
            {REQUEST_ID: self._id} if self._id else None,
        )


def answer(connection: Host, error: ProtocolError, request: Refused | None, *extra: tuple[str, str]) -> None:
    """Send the response of the server's own, in place of the activity's, and log it. Switches: never."""
    services = connection.services
    peer = connection.peer, connection.peer_port
    head = None
    known = ""
    ids = services.service.request_ids
    if request is not None:  # else it was the head that went wrong, and proxies are not heard
        head = request.head
        if ids is not None:
            known = services.forwarding.request_id_of(connection.environ, head.fields, peer[0])
        peer = services.forwarding.client_of(connection.environ, head.fields, *peer)
    refusal = Refusal(peer, error, head, services.event_stream_retry)
    if ids is not None:
        refusal.name(known, ids)
    service = services.service
    own = service.refusal_of(error) if service.refusal_of is not None else b""
    if own is None:
        connection.close()
        return
    data = own or refusal.encode(service, extra)
    connection.enter(State.SENDING, connection.activity if request is None else request)
    connection.flush(data, b"")
    services.tally.statuses[refusal.status] += 1
    services.tally.bytes_sent += refusal.bytes_sent
    if services.log_access is not None:
        services.log_access(refusal, services.hub.now)


def redirect_to_https(connection: Host, request: Refused, port: int) -> None:
    """Say where the same is to be had with TLS, at `port`. Switches: never."""
    try:
        location = https_location(request.head, port)
    except ProtocolError as error:
        connection.refuse(error, request)
    else:
        moved = ProtocolError(308, f"This is served at {location}")
        answer(connection, moved, request, ("Location", location))


def waited_before(connection: Host, head: RequestHead) -> float:
    """Return the seconds that a request waited at the proxy, before it came here."""
    if not head.tells_start:
        return 0.0
    return connection.services.request_starts.waited(head.fields, connection.peer, time.time())


def must_be_in_time(connection: Host, head: RequestHead, before: State) -> None:
    """Raise ProtocolError if a request has waited at the proxy for so long that its client has given up.

    `before`: its state. In the queue its deadline was made of this.
    """
    services = connection.services
    if before is not State.QUEUED and waited_before(connection, head) >= services.timeouts.queue_timeout:
        services.counts.shed_request_start += 1
        raise ProtocolError(503, _TOO_LATE, ("Retry-After", "1"))


def has_given_up(connection: Host, since: float) -> bool:
    """Return True, and close, if the client of a request that was queued `since` then has left, or most probably has.

    Nobody will read the response. Switches: never.
    """
    services = connection.services
    if has_left(connection.stream, since):
        services.counts.shed_client_left += 1
        connection.close()
        return True
    if services.tally.waited is not None:
        services.tally.waited.append(services.hub.now - since)
    return False


def why_late(services: Services, since: float) -> str:
    """Return why a request that was queued `since` then does not run, and count it."""
    if services.hub.now - since < services.timeouts.queue_timeout:
        services.counts.shed_request_start += 1
        return _TOO_LATE
    services.counts.shed_queue_timeout += 1
    return "the server is busy (queue_timeout)"


def feeds_an_event_source(response: Response, head: RequestHead) -> bool:
    """Return True if an EventSource is being answered with a stream, which has begun and not ended."""
    return response.is_event_stream and not response.is_over and _is_an_event_source(head)


def _is_an_event_source(head: RequestHead) -> bool:
    """Return True for what browsers' EventSource asks; other programs that read streams know what a 503 is."""
    return head.method == "GET" and any(
        value.strip().lower() == _EVENTS for name, value in head.fields if name.lower() == "accept"
    )


def https_location(head: RequestHead, port: int) -> str:
    """Return the URL of the same resource with TLS, at `port`. Raises ProtocolError if the request names no host."""
    host = _PORT.sub("", head.host or "")
    if not host:
        raise ProtocolError(400, "a redirect to https needs the Host field (RFC 9110 §7.2)")
    target = head.target
    if target[:1] != "/":
        # RFC 9112 §3.2.2 and §3.2.4: the path behind scheme and authority, which has none in `OPTIONS *`.
        target = _AUTHORITY.sub("", target.partition("://")[2], count=1)
        if target[:1] != "/":
            target = f"/{target}"
    return f"https://{host}{'' if port == 443 else f':{port}'}{target}"
