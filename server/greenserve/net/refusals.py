"""An answer of the server's own to a request that no app sees: bad framing, a limit, a full queue, a slow head.

Made by a connection from a hub callback. Looks to the access log like an exchange whose head may be unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greenserve.errors import ProtocolError
from greenserve.http1 import RequestHead, encode_error
from greenserve.wsgi import Service

if TYPE_CHECKING:
    from greenserve.net.closing import Closing


class Refusal:
    """One refused request."""

    __slots__ = ("_error", "_head", "began", "bytes_sent", "peer", "peer_port", "seconds")

    bytes_received = 0
    messages = None
    environ: dict[str, Any] | None = None

    def __init__(self, connection: Closing, error: ProtocolError, head: RequestHead | None) -> None:
        """`head` is None when it was the head that went wrong; then proxies are not heard."""
        self.peer, self.peer_port = peer = connection.peer, connection.peer_port
        if head is not None:
            forwarding = connection.server.forwarding
            self.peer, self.peer_port = forwarding.client_of(connection.environ, head.fields, *peer)
        self.bytes_sent = 0
        self.began = 0.0
        self.seconds = 0.0
        self._error = error
        self._head = head

    def encode(self, service: Service, extra: tuple[tuple[str, str], ...]) -> bytes:
        """The bytes of the answer."""
        head_only = self._head is not None and self._head.method == "HEAD"
        data = encode_error(
            self.status,
            self._error.reason,
            service.date_line(),
            service.server_line,
            head_only=head_only,
            extra=extra,
        )
        self.bytes_sent = len(data) - data.index(b"\r\n\r\n") - 4
        return data

    @property
    def status(self) -> int:
        """The status code answered with."""
        return self._error.status

    @property
    def method(self) -> str:
        """As sent, "" if it could not be read."""
        return self._head.method if self._head is not None else ""

    @property
    def target(self) -> str:
        """As sent, "" if it could not be read."""
        return self._head.target if self._head is not None else ""

    @property
    def version(self) -> str:
        """As sent, "" if it could not be read."""
        return "" if self._head is None else "HTTP/1.1" if self._head.http11 else "HTTP/1.0"
