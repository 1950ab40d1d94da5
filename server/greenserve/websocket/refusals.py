"""How an upgrade is refused: an error that says which answer to give instead of 101 (RFC 6455 §4.2.2, §4.4)."""

from __future__ import annotations

from greenserve.errors import ProtocolError


class HandshakeError(ProtocolError):
    """The request can't become a WebSocket: 400, 403 (its Origin), 405 (not GET) or 426 (no upgrade, another version).

    `headers` are those that the answer needs; `reason` tells whoever may change it what to do.
    """

    def __init__(self, status: int, reason: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Take the status code, the rule that was broken, and the headers of the answer."""
        super().__init__(status, reason)
        self.headers = headers
