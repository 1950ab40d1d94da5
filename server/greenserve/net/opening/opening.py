"""What comes before HTTP: the TLS handshake, from hub callbacks, under a deadline of its own.

Between Closing and Connection. Accepting reads nothing: a client that never finishes its handshake costs a small
object, and no TLS state before its whole greeting is here. The invariant: a connection whose handshake failed has seen
no app, and its client learns why where TLS has a word for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, cast

from greenserve.errors import PeerGone, ProtocolError
from greenserve.net.http.closing import Closing
from greenserve.net.http.endpoint import Endpoint
from greenserve.net.http.redirecting import https_location
from greenserve.net.http.services import Services
from greenserve.net.http.states import State
from greenserve.net.opening.client_hello import server_name_of
from greenserve.net.opening.proxy_header import Preface
from greenserve.net.sockets.stream import HEAD_SIZE, Stream
from greenserve.net.tls.streams import TLSStream
from greenserve.proxies import ProxyHeader
from greenserve.wsgi import client_environ, tls_environ

log = logging.getLogger("greenserve.error")

# Seconds that a stopping server gives a connection which has asked nothing yet.
FIRST_REQUEST_TIME: Final = 0.5
_TLS_HANDSHAKE: Final = 22  # the content type that a client's first record has (RFC 8446 §5.1)


class Opening(Closing):
    """A connection that can begin."""

    __slots__ = ("_preface", "_rest", "endpoint", "environ")

    def __init__(
        self, services: Services, endpoint: Endpoint, stream: Stream, peer: str, peer_port: str
    ) -> None:
        """For Connection."""
        super().__init__(services, stream, peer, peer_port)
        self.endpoint = endpoint
        self.environ: dict[str, Any] = endpoint.environ  # what all its requests share
        self._preface: Preface | None = None
        self._rest = b""  # what has come and is not read yet

    def _on_readable(self) -> None:
        raise NotImplementedError  # Connection's: reads heads

    def _take_ahead(self) -> None:
        raise NotImplementedError  # Connection's: reads heads

    def _open(self) -> None:
        """Begin. For Connection, when it is made. Switches: never."""
        prefaces = self.services.proxy_headers
        if prefaces is None:
            # No read is tried: registering has the kernel tell of what is there already.
            self._stream.descriptor.on_readable(self._begin_session())
        else:
            self.state = State.PREFACE
            self._arm(self.services.timeouts.head_timeout)
            self._preface = Preface(self._stream, prefaces.versions, self._on_preface)

    def _begin_session(self) -> Callable[[], None]:
        """Begin with TLS or HTTP, whichever the listener speaks; what is to be called when something has come."""
        if self.endpoint.tls is None:
            self.state = State.HEAD
            self._arm(self.services.timeouts.head_timeout)
            return self._on_readable
        self.state = State.HANDSHAKE
        self._arm(self.services.timeouts.tls_handshake_timeout)
        return self._on_greeting

    def redirect(self, port: int) -> None:
        """Answer the request with where it is to be had with TLS. From the hub. Switches: never."""
        assert self._head is not None
        try:
            location = https_location(self._head, port)
        except ProtocolError as error:
            self.refuse(error)
            return
        self.answer_and_end(ProtocolError(308, f"This is served at {location}"), ("Location", location))

    # PREFACE ------------------------------------------------------------------------------------------

    def _on_preface(self, header: ProxyHeader | ProtocolError | None, rest: bytes) -> None:
        try:
            self._take_preface(header, rest)
        except Exception:
            self.broke()

    def _take_preface(self, header: ProxyHeader | ProtocolError | None, rest: bytes) -> None:
        """The PROXY header is there, or will never be."""
        services = self.services
        prefaces = services.proxy_headers
        assert prefaces is not None
        if not isinstance(header, ProxyHeader):
            self._fail_preface(header)
            return
        self._preface = None
        self.environ = prefaces.environ_of(header, self.environ, self.peer, self.peer_port)
        if header.source is not None:
            if not services.recount(self.peer, header.source[0]):
                self._turn_away()
                return
            self.peer, self.peer_port = header.source
        read = self._begin_session()
        if not services.service.parks:
            self._arm(FIRST_REQUEST_TIME)
        if not rest:
            self._stream.when_readable(read)
        elif self.endpoint.tls is None:
            self._rest = rest  # until _take_ahead(): nothing may be read before it
            services.hub.call_soon(self._take_ahead)
        else:
            self._greet(rest)

    def _turn_away(self) -> None:
        """The client behind the proxy has too many connections."""
        if self.endpoint.tls is None:
            self.refuse(
                ProtocolError(503, "too many connections (limit_connections_per_ip)"), ("Retry-After", "1")
            )
        else:
            self.close()

    def _preface_late(self) -> None:
        """The deadline has passed."""
        preface = self._preface
        assert preface is not None
        preface.read_late()
        if self.state is State.PREFACE:
            slow = ProtocolError(408, "PROXY header: it came too slowly (head_timeout)")
            self._fail_preface(slow if preface.begun else None)

    def _fail_preface(self, error: ProtocolError | None) -> None:
        """No answer: who sent no PROXY header may not speak HTTP, and a client behind it would not understand."""
        prefaces = self.services.proxy_headers
        assert prefaces is not None
        if error is not None:  # else it came and went, as some health checks do
            self.services.counts.refused += 1
            prefaces.complain(self.peer, error)
        self._preface = None
        self.close()

    # HANDSHAKE ----------------------------------------------------------------------------------------

    def _on_greeting(self) -> None:
        if self.state is State.CLOSED:
            return
        try:
            data = self._stream.receive_now(HEAD_SIZE)
        except BlockingIOError:
            self._stream.descriptor.on_readable(self._on_greeting)
        except PeerGone as error:
            self._fail_handshake(str(error))
        else:
            try:
                if data:
                    self._greet(self._rest + data)
                else:
                    self._fail_handshake("closed before it began")
            except Exception:
                self.broke()

    def _greet(self, data: bytes) -> None:
        """What has come so far: is this TLS, and for whom?"""
        if data[0] == _TLS_HANDSHAKE:
            name = server_name_of(data)
            if name is None:
                self._rest = data
                self._stream.when_readable(self._on_greeting)
                return
            self._rest = b""
            tls = self.endpoint.tls
            assert tls is not None
            self._stream = TLSStream(self._stream, tls.context_for(name), data, name)
            self._line_up()
        elif data[:1].isalpha():
            self.refuse(ProtocolError(400, "this port speaks HTTPS: use https:// (RFC 9110 §4.2.2)"))
        else:
            self._fail_handshake("not TLS")

    def _line_up(self) -> None:
        self.services.handshakes.put(self)

    def shake(self) -> None:
        """Go one step on with the handshake; for the line of handshakes. Switches: never."""
        if self.state is not State.HANDSHAKE:
            return
        stream = cast(TLSStream, self._stream)
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
            stream.descriptor.on_writable(self._line_up)
        else:
            stream.descriptor.on_readable(self._line_up)

    def _begin_http(self, stream: TLSStream) -> None:
        services = self.services
        endpoint = self.endpoint
        values = tls_environ(stream.tls, stream.server_name)
        client = client_environ(stream.tls)
        if client or self.environ is not endpoint.environ:
            self.environ = {**self.environ, **values, **client}
        else:
            self.environ = endpoint.tls_environ(values)
        self.state = State.HEAD
        self._arm(services.timeouts.head_timeout if services.service.parks else FIRST_REQUEST_TIME)
        stream.when_readable(self._on_readable)

    def _open_late(self) -> None:
        """The deadline has passed. What has come in time may lie in the socket still, since an app held the hub."""
        # Without a reader it stands in line: we are the slow ones, and too slow.
        if self._stream.descriptor.stop_waiting_to_read() is not None:
            if isinstance(self._stream, TLSStream):
                self.shake()
            else:
                self._on_greeting()
                if isinstance(self._stream, TLSStream):
                    self._arm(self.services.timeouts.tls_handshake_timeout)
                    return
        if self.state is State.HANDSHAKE:
            self._fail_handshake("it took too long (tls_handshake_timeout)")

    def _fail_handshake(self, reason: str) -> None:
        self.services.counts.handshake_errors += 1
        log.debug("%r: no TLS: %s", self, reason)
        if isinstance(self._stream, TLSStream) and not self._stream.is_peer_gone():
            self.linger()  # or a reset might overtake the alert that tells the client why
        else:
            self.close()
