"""What an Exchange asks of the connection it runs on, and the type of an app.

The seam between wsgi/ and net/: a connection implements it, a test fakes it in ten lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Link(Protocol):
    """A connection as seen from a request."""

    @property
    def peer(self) -> str:
        """The client's address, "" on a unix socket."""

    @property
    def peer_port(self) -> str:
        """The client's port."""

    def send(self, data: bytes) -> None:
        """Send part of an answer, whole. Switches: when the peer reads slower than we write.

        Raises PeerGone, also after the send timeout.
        """

    def send_interim(self, data: bytes) -> None:
        """Send a 1xx answer, which is not the answer's beginning. Else as send."""

    def send_last(self, head: bytes, body: bytes) -> None:
        """Take a whole answer, to be sent when the exchange is over. Switches: never.

        Raises PeerGone when an earlier part was interrupted.
        """

    def send_pieces(self, first: bytes, second: bytes) -> None:
        """Send two pieces as one, without joining them first. Else as send."""

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """Let the kernel send part of a file; how many bytes went out, fewer only at the file's end.

        Else as send.

        Raises OSError, with nothing sent, where the descriptor is of a kind that cannot be sent so.
        """

    def receive(self) -> bytes:
        """The next bytes of the peer, b"" at their end. Switches: when none are there.

        Raises PeerGone, TimeoutError.
        """

    def is_peer_gone(self) -> bool:
        """Whether the peer has closed. Switches: never."""

    def offer(self, environ: dict[str, Any]) -> None:
        """Put into the environ of a request without a body that asks for an upgrade what else there is for it.

        Switches: never. Raises ProtocolError where no more upgraded connections are allowed.
        """

    def upgrade(self, head: bytes, make: Callable[[Any, bytes], Any]) -> Any:
        """Send `head`, the last of HTTP, and give the connection to what `make` makes of it.

        `make` is called with the connection and what has come behind the request. Else as send. Raises ProtocolError
        where no more upgraded connections are allowed.
        """
