"""Link, the connection as an Exchange and its Response use it, and the type of an app.

The seam between wsgi/ and net/: a request of net/http implements it (an HTTP/2 stream will), and a test fakes it in ten
lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Link(Protocol):
    """A connection, from the view of one request."""

    @property
    def peer(self) -> str:
        """The client's address, "" on a unix socket."""

    @property
    def peer_port(self) -> str:
        """The client's port."""

    def send(self, data: bytes) -> None:
        """Send a part of a response. Switches: if the peer reads slower than the app writes.

        Raises PeerGone, also after the send timeout.
        """

    def send_interim(self, data: bytes) -> None:
        """Send a 1xx response, which does not begin the final one. Otherwise like send."""

    def send_last(self, head: bytes, body: bytes) -> None:
        """Take a whole response, and send it when the exchange is over. Switches: never.

        Raises PeerGone if an earlier part was interrupted.
        """

    def send_soon(self, head: bytes, body: bytes) -> None:
        """Send a whole response, with others of this turn if there are any, while its app goes on.

        Otherwise like send_pieces.
        """

    def send_pieces(self, first: bytes, second: bytes) -> None:
        """Send two pieces together, joined only if that is cheaper. Otherwise like send."""

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """Let the kernel send part of a file. Return the number of bytes sent, fewer only at the file's end.

        Otherwise like send. Raises OSError, with nothing sent, if the kernel can't send this kind of descriptor.
        """

    def receive(self) -> bytes:
        """The next bytes of the peer, b"" at their end. Switches: if none are there.

        Raises PeerGone, TimeoutError.
        """

    def is_peer_gone(self) -> bool:
        """Return True if the peer has closed. Switches: never."""

    def set_timeout(self, seconds: float | None) -> None:
        """End the request in so many seconds from now; None or 0: never. In place of all limits before.

        Switches: never. Raises AppError if it has left HTTP or is over, ValueError, TypeError, and RuntimeError in
        another OS thread than the server's.
        """

    def offer(self, environ: dict[str, Any], to_any: bool = False) -> None:
        """Add the connection's own keys to the environ of a request that asks for a WebSocket, or `to_any`.

        Switches: never. Raises ProtocolError if no more upgraded connections are allowed.
        """

    def upgrade(self, head: bytes, make: Callable[[Any, bytes], Any]) -> Any:
        """Send `head`, the last bytes of HTTP, and hand the connection over to what `make` returns.

        `make` is called with the connection and the bytes received behind the request. Otherwise like send. Raises
        ProtocolError if no more upgraded connections are allowed.
        """
