"""What lives on a connection after HTTP: a WebSocket, or a socket that other code has taken over.

The seam between a connection and its second life. The connection keeps the descriptor, the deadline and its place among
those that the server knows; whatever has upgraded it has the stream. The invariant: `lost` is called once, when the
connection is closed, whoever closed it, and nothing is sent or received after it.
"""

from __future__ import annotations

from typing import Any, Protocol


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
    """One upgraded connection, as the access log reads it; see access_atoms.Exchange."""

    __slots__ = (
        "began",
        "bytes_received",
        "bytes_sent",
        "environ",
        "messages",
        "peer",
        "peer_port",
        "seconds",
        "target",
    )

    method = "GET"
    version = "HTTP/1.1"
    status = 101

    def __init__(
        self,
        environ: dict[str, Any],
        bytes_received: int,
        bytes_sent: int,
        messages: tuple[int, int] | None,
    ) -> None:
        """`environ` of the request that began it. `messages`: received and sent, None where nobody counts them."""
        peer = environ.get("greenserve.peer")
        # The app may have taken from it what it liked.
        self.peer: str = environ.get("REMOTE_ADDR", "") if peer is None else peer.client
        self.peer_port: str = environ.get("REMOTE_PORT", "") if peer is None else peer.client_port
        self.target: str = environ.get("RAW_URI", "")
        self.environ = environ
        self.bytes_received = bytes_received
        self.bytes_sent = bytes_sent
        self.messages = messages
        self.began = 0.0
        self.seconds = 0.0
