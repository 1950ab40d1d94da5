"""What comes before HTTP: the PROXY header, then the TLS handshake, from hub callbacks.

A connection's first activity, where its address speaks TLS or its server expects PROXY headers. Accepting reads
nothing: a client that never finishes its handshake costs small objects, and no TLS state before its whole ClientHello
is here. The invariant: a connection whose handshake failed has seen no app, and its client learns why where TLS has a
word for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from greenserve.errors import PeerGone, ProtocolError
from greenserve.net.opening.client_hello import server_name_of
from greenserve.net.opening.endpoint import Endpoint
from greenserve.net.opening.handshake_queue import Handshakes
from greenserve.net.opening.proxy_header import ProxyHeaderReading, ProxyHeaders
from greenserve.net.sockets.counts import Counts
from greenserve.net.sockets.stream import HEAD_SIZE, Stream
from greenserve.net.tls.streams import TLSStream
from greenserve.proxies import ProxyHeader
from greenserve.wsgi import client_environ, tls_environ
from greenserve_hub.deadlines import Deadline
from greenserve_hub.loop.hub import Hub

log = logging.getLogger("greenserve.error")

# Seconds that a stopping server gives a connection which has asked nothing yet.
FIRST_REQUEST_TIME: Final = 0.5
_TLS_HANDSHAKE: Final = 22  # the content type that a client's first record has (RFC 8446 §5.1)


@dataclass(frozen=True, slots=True)
class Entrance:
    """One server, as its connections' openings see it."""

    hub: Hub
    counts: Counts
    handshakes: Handshakes
    proxy_headers: ProxyHeaders | None  # where connections begin with PROXY headers
    recount: Callable[[str, str], bool]  # see Admission.recount


class Opener(Protocol):
    """The connection, as its opening sees it. No method switches."""

    stream: Stream
    deadline: Deadline
    peer: str
    peer_port: str
    environ: dict[str, Any]

    def shake_hands(self) -> None:
        """TLS begins: arm the deadline for it."""

    def opened(self, ahead: bytes) -> None:
        """HTTP begins; `ahead` is what has come of it."""

    def refuse(self, error: ProtocolError, request: None, *extra: tuple[str, str]) -> None:
        """Answer with an error and close."""

    def linger(self) -> None:
        """Say that no more comes, and close when the client has closed too, within a bound."""

    def close(self) -> None:
        """Close now; repeatable."""

    def broke(self) -> None:
        """Log the exception being handled as the server's own error, and close."""


class Opening:
    """The beginning of one connection: see http's Activity."""

    __slots__ = ("_ahead", "_connection", "_endpoint", "_entrance", "_is_over", "_reading")

    def __init__(self, connection: Opener, entrance: Entrance, endpoint: Endpoint) -> None:
        """Begins to read: registering has the kernel tell of what is there already."""
        self._connection = connection
        self._entrance = entrance
        self._endpoint = endpoint
        self._ahead = b""  # the beginning of a ClientHello
        self._is_over = False
        self._reading: ProxyHeaderReading | None = None
        if entrance.proxy_headers is None:
            connection.stream.descriptor.on_readable(self._on_hello)
        else:
            self._reading = ProxyHeaderReading(
                connection.stream, entrance.proxy_headers.versions, self._on_proxy_header
            )

    def __str__(self) -> str:
        """Nothing to add to the connection's repr."""
        return ""

    # The activity ------------------------------------------------------------------------------------------

    @property
    def may_ask(self) -> bool:
        """See http's Activity."""
        return not self._is_over

    lasts = False
    running = None

    def expired(self) -> None:
        """Take bytes that came in time but lie in the socket still, since an app held the hub; else end."""
        if self._reading is not None:
            self._reading.read_late()
            if self._reading is not None:
                # Only logged: a proxy that sends no PROXY header may not speak HTTP.
                slow = ProtocolError(408, "PROXY header: it came too slowly (head_timeout)")
                self._fail_proxy_header(slow if self._reading.begun else None)
            return
        connection = self._connection
        # Without a reader it is queued: this server is the slow side, and too slow.
        if connection.stream.descriptor.stop_waiting_to_read() is not None:
            if isinstance(connection.stream, TLSStream):
                self.shake()
            else:
                self._on_hello()
                if isinstance(connection.stream, TLSStream):
                    connection.shake_hands()
                    return
        if not self._is_over:
            self._fail_handshake("it took too long (tls_handshake_timeout)")

    def drain(self) -> None:
        """The connection was opened for a request that may be on its way."""
        if self._is_over:
            return  # it was refused, and lingers
        deadline = self._connection.deadline
        deadline.arm(min(deadline.when, self._entrance.hub.now + FIRST_REQUEST_TIME))

    def end(self) -> str | None:
        """Nothing is lost with it."""
        self._connection.close()
        return None

    def sent(self) -> None:
        """The client was refused, and told so."""
        self._connection.linger()

    def closed(self) -> None:
        """Callbacks that are due do nothing any more."""
        self._is_over = True
        self._reading = None

    def leave_behind(self) -> None:
        """The same, in the child of a fork."""
        self.closed()

    # The PROXY header --------------------------------------------------------------------------------------

    def _on_proxy_header(self, header: ProxyHeader | ProtocolError | None, rest: bytes) -> None:
        try:
            self._take_proxy_header(header, rest)
        except Exception:
            self._connection.broke()

    def _take_proxy_header(self, header: ProxyHeader | ProtocolError | None, rest: bytes) -> None:
        """The PROXY header is there, or will never be."""
        if not isinstance(header, ProxyHeader):
            self._fail_proxy_header(header)
            return
        self._reading = None
        connection = self._connection
        proxy_headers = self._entrance.proxy_headers
        assert proxy_headers is not None
        connection.environ = proxy_headers.environ_of(
            header, connection.environ, connection.peer, connection.peer_port
        )
        if header.source is not None:
            if not self._entrance.recount(connection.peer, header.source[0]):
                self._reject()
                return
            connection.peer, connection.peer_port = header.source
        if self._endpoint.tls is None:
            self._is_over = True
            connection.opened(rest)
            return
        connection.shake_hands()
        if rest:
            self._take_hello(rest)
        else:
            connection.stream.when_readable(self._on_hello)

    def _reject(self) -> None:
        """The client behind the proxy has too many connections."""
        if self._endpoint.tls is None:
            self._is_over = True
            error = ProtocolError(503, "too many connections (limit_connections_per_ip)")
            self._connection.refuse(error, None, ("Retry-After", "1"))
        else:
            self._connection.close()

    def _fail_proxy_header(self, error: ProtocolError | None) -> None:
        """Close without a response: a peer that sends no PROXY header may not speak HTTP, nor may its client."""
        proxy_headers = self._entrance.proxy_headers
        assert proxy_headers is not None
        if error is not None:  # else it came and went, as some health checks do
            self._entrance.counts.refused += 1
            proxy_headers.complain(self._connection.peer, error)
        self._connection.close()

    # The handshake -----------------------------------------------------------------------------------------

    def _on_hello(self) -> None:
        if self._is_over:
            return
        stream = self._connection.stream
        try:
            data = stream.receive_now(HEAD_SIZE)
        except BlockingIOError:
            stream.descriptor.when_readable(self._on_hello)
        except PeerGone as error:
            self._fail_handshake(str(error))
        else:
            try:
                if data:
                    self._take_hello(self._ahead + data)
                else:
                    self._fail_handshake("closed before it began")
            except Exception:
                self._connection.broke()

    def _take_hello(self, data: bytes) -> None:
        """Look at what has come so far: whether it is TLS, and for which server name."""
        connection = self._connection
        if data[0] == _TLS_HANDSHAKE:
            name = server_name_of(data)
            if name is None:
                self._ahead = data
                connection.stream.when_readable(self._on_hello)
                return
            self._ahead = b""
            tls = self._endpoint.tls
            assert tls is not None
            connection.stream = TLSStream(connection.stream, tls.context_for(name), data, name)
            self._queue_up()
        elif data[:1].isalpha():
            self._is_over = True
            connection.refuse(
                ProtocolError(400, "this port speaks HTTPS: use https:// (RFC 9110 §4.2.2)"), None
            )
        else:
            self._fail_handshake("not TLS")

    def _queue_up(self) -> None:
        self._entrance.handshakes.put(self)

    def shake(self) -> None:
        """See Handshaking."""
        if self._is_over:
            return
        stream = self._connection.stream
        assert isinstance(stream, TLSStream)
        try:
            done = stream.shake_hands()
            if done:
                self._begin_http(stream)
        except (OSError, ValueError) as error:  # besides PeerGone: a client's certificate that can't be read
            self._fail_handshake(str(error))
            return
        if done:
            return
        if stream.has_unsent:
            stream.descriptor.on_writable(self._queue_up)
        else:
            stream.descriptor.when_readable(self._queue_up)

    def broke(self) -> None:
        """See Handshaking."""
        self._connection.broke()

    def _begin_http(self, stream: TLSStream) -> None:
        connection = self._connection
        values = tls_environ(stream.tls, stream.server_name)
        client = client_environ(stream.tls)
        connection.environ = self._endpoint.environ_over_tls(connection.environ, values, client)
        self._is_over = True
        connection.opened(b"")

    def _fail_handshake(self, reason: str) -> None:
        connection = self._connection
        self._is_over = True
        self._entrance.counts.handshake_errors += 1
        log.debug("%r: no TLS: %s", connection, reason)
        if isinstance(connection.stream, TLSStream) and not connection.stream.is_peer_gone():
            connection.linger()  # or a reset might overtake the alert that tells the client why
        else:
            connection.close()
