"""What lives on a connection after HTTP: a WebSocket, or a socket that other code has taken over.

The seam between a connection and its second life. The connection keeps the descriptor, the deadline and its place among
those that the server knows; whatever has upgraded it has the stream. The invariant: `lost` is called once, when the
connection is closed, whoever closed it, and nothing is sent or received after it.
"""

from __future__ import annotations

from typing import Any, Protocol

from greenserve.logs.record import Record


class Upgraded(Protocol):
    """A connection's second life. Every method is called from the hub or the app's green thread, and never switches."""

    path: str  # for dumps and logs

    def expired(self) -> None:
        """The connection's deadline has passed."""

    def app_left(self, error: BaseException | None) -> None:
        """The call of the app that has upgraded it is over; `error`: by this, which is logged already."""

    def drain(self, restarts: bool) -> None:
        """The server stops: end it in the way that its protocol has for that. `restarts`: another one will follow."""

    def lost(self) -> None:
        """The connection is closed: wake who waits for it."""

    def leave_behind(self) -> None:
        """In the child of a fork: the connection is the parent's, and here it is as closed. Calls nobody."""

    def record(self) -> UpgradeRecord:
        """What the access log tells of it. Asked for when it is closed."""


class UpgradeRecord:
    """What an upgraded connection has done, for the access log."""

    __slots__ = ("_bytes_received", "_bytes_sent", "_environ", "_messages")

    def __init__(
        self,
        environ: dict[str, Any],
        bytes_received: int,
        bytes_sent: int,
        messages: tuple[int, int] | None,
    ) -> None:
        """`environ` of the request that began it. `messages`: received and sent, None where nobody counts them."""
        self._environ = environ
        self._bytes_received = bytes_received
        self._bytes_sent = bytes_sent
        self._messages = messages

    def record(self, began: float, seconds: float) -> Record:
        """Return the record for the access log."""
        environ = self._environ  # the app may have removed anything from it
        peer = environ.get("greenserve.peer")
        return Record(
            environ.get("REMOTE_ADDR", "") if peer is None else peer.client,
            environ.get("REMOTE_PORT", "") if peer is None else peer.client_port,
            "GET",
            environ.get("RAW_URI", ""),
            "HTTP/1.1",
            101,
            self._bytes_sent,
            self._bytes_received,
            began,
            seconds,
            self._messages,
            environ,
        )
