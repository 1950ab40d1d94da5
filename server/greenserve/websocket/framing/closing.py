"""The closing handshake of a server: what it answers to a Close, and with which code a WebSocket ends (RFC 6455 §7).

Sans-IO: each step gives the next Closing, which says what is to be sent. All open WebSockets share the one that they
begin with, OPEN. Called by net/websockets, which sends the frame, and knows what time it is. Invariants: a Close is
sent once, and none after a connection that broke; behind ENDING the code and the reason stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from greenserve.websocket.framing.events import Close
from greenserve.websocket.framing.frames import encode_close

NO_CLOSE_FRAME: Final = 1006  # the connection ended without a Close (§7.1.5)


class Phase(Enum):
    """What a WebSocket is doing (RFC 6455 §7)."""

    OPEN = "messages go both ways"
    CLOSING = "our Close is out or on its way"
    ENDING = "agreed, failed or broken: what is unsent goes out if it can"
    CLOSED = "closed"


# Drawn in websocket/README.md. Not looked at while serving: tests watch every step of every WebSocket.
PHASES: Final[Mapping[Phase, frozenset[Phase]]] = {
    Phase.OPEN: frozenset({Phase.CLOSING, Phase.ENDING}),
    Phase.CLOSING: frozenset({Phase.ENDING}),
    Phase.ENDING: frozenset({Phase.CLOSED}),
    Phase.CLOSED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Closing:
    """How far it is. A step that is not possible any more gives the same one."""

    phase: Phase = Phase.OPEN
    code: int | None = None  # §7.1.5; None while it is open
    reason: str | None = None
    frame: bytes = b""  # what the step to here sends: our Close, or nothing

    def close(self, code: int, reason: str = "") -> Closing:
        """Begin to close (§7.1.2).

        Raises ValueError for a code that no frame may carry (§7.4) and a reason above 123 bytes of UTF-8 (§5.5).
        """
        frame = encode_close(code, reason)
        return Closing(Phase.CLOSING, code, reason, frame) if self.phase is Phase.OPEN else self

    def receive(self, close: Close) -> Closing:
        """The client's Close has come: answer with its code, unless it is the answer to ours (§5.5.1)."""
        return self._end(close.code, close.reason, answer=encode_close(close.code))

    def fail(self, code: int, reason: str) -> Closing:
        """The client broke the protocol or a limit: tell it the code and read no more (§7.1.7)."""
        return self._end(code, reason, answer=encode_close(code, reason))

    def lose(self, reason: str = "", code: int = NO_CLOSE_FRAME) -> Closing:
        """The connection is of no more use: nothing is sent (§7.1.5)."""
        return self._end(code, reason, answer=b"")

    def closed(self) -> Closing:
        """The connection is closed (§7.1.4)."""
        ended = self.lose()
        return ended if ended.phase is Phase.CLOSED else replace(ended, phase=Phase.CLOSED, frame=b"")

    def _end(self, code: int, reason: str, *, answer: bytes) -> Closing:
        if self.phase is Phase.OPEN:
            return Closing(Phase.ENDING, code, reason, answer)
        return Closing(Phase.ENDING, code, reason) if self.phase is Phase.CLOSING else self


OPEN: Final = Closing()
