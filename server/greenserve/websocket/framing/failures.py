"""How the parts of the reader tell each other that a message can't be read: an exception, which becomes a Failure.

It leaves this package as an event only, so that no caller can forget to catch it.
"""

from __future__ import annotations

from typing import Final

from greenserve.websocket.framing.events import Failure

PROTOCOL_ERROR: Final = 1002
NO_STATUS: Final = 1005
BAD_DATA: Final = 1007
POLICY: Final = 1008
TOO_BIG: Final = 1009


class Broken(Exception):
    """What the peer sends is of no more use: `code` is what to close with (RFC 6455 §7.4.1), `reason` says why."""

    def __init__(self, code: int, reason: str) -> None:
        """Take the close code and the rule or the setting that was broken."""
        super().__init__(code, reason)
        self.failure = Failure(code, reason)


def not_utf8(what: str) -> Broken:
    """The peer sent text that is none; `what` says where, with the RFC's §."""
    return Broken(BAD_DATA, f"not UTF-8: {what}")
