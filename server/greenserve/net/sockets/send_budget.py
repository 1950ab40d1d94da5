"""The memory for data that clients have not taken yet, of all connections together, within a bound.

Whole HTTP responses, which hold no slot of the pool, and the frames of WebSockets: nothing else bounds how many of them
wait. Ten thousand clients that read nothing would hold ten thousand pages. An outbox is listed here when the kernel has
not taken all of its data, again when the client has taken some, and leaves when all is sent or the connection is
closed. Data that is sent at once is not counted.

Invariants: a piece that many wait with is counted once, and besides only its place with each of them. No more than
`limit` bytes are held, but for those of a single connection: beyond it the connections that have taken nothing for
longest are reset, and a client that reads is never among those while others do not.
"""

from __future__ import annotations

import logging
from typing import Final, Protocol, cast

from greenserve.logs.throttled import Throttle
from greenserve_hub.loop.hub import Hub

log = logging.getLogger("greenserve.error")

# Bytes that a piece takes besides its content: the object, and what is noted here. A WebSocket may have to wait with
# hundred thousands of messages of a byte.
PIECE: Final = 160
_PLACE: Final = 8  # the same of a piece's place in a line
_TOLD_AGAIN: Final = 60.0  # seconds between two lines in the log


class Waiting(Protocol):
    """An outbox that waits for its client."""

    def reset(self) -> None:
        """Reset the connection, and let go of all that it holds. Switches: never."""


class SendBudget:
    """The data that waits for the clients of one server."""

    def __init__(self, hub: Hub, limit: int) -> None:
        """`limit` in bytes, 0 for none."""
        self.bytes = 0
        self.resets = 0  # so far, of connections whose clients took nothing
        self._limit = limit
        self._waiting: dict[Waiting, None] = {}  # in the order in which they last moved
        # An app may give the same page to all, and a Room the same message: it is held once.
        self._holders: dict[int, int] = {}
        self._throttle = Throttle(hub.clock, _TOLD_AGAIN)

    def moved(self, outbox: Waiting) -> None:
        """List the outbox, or put it behind the others: its client has taken something. Switches: never."""
        waiting = self._waiting
        waiting.pop(outbox, None)
        waiting[outbox] = None

    def remove(self, outbox: Waiting) -> None:
        """Remove the outbox from the list. Switches: never."""
        self._waiting.pop(outbox, None)

    def hold(self, piece: bytes | memoryview) -> None:
        """Add a reference to this piece; a part of it holds all of it. May reset connections. Switches: never."""
        whole = cast(bytes, piece.obj) if isinstance(piece, memoryview) else piece
        key = id(whole)
        holders = self._holders.get(key, 0)
        self._holders[key] = holders + 1
        self.bytes += _PLACE if holders else len(whole) + PIECE
        if self.bytes > self._limit:
            self._make_room()

    def let_go(self, piece: bytes | memoryview) -> None:
        """Release one reference to this piece. Switches: never."""
        whole = cast(bytes, piece.obj) if isinstance(piece, memoryview) else piece
        key = id(whole)
        holders = self._holders[key] - 1
        if holders:
            self._holders[key] = holders
            self.bytes -= _PLACE
        else:
            del self._holders[key]
            self.bytes -= len(whole) + PIECE

    def _make_room(self) -> None:
        if not self._limit:
            return
        waiting = self._waiting
        while self.bytes > self._limit and len(waiting) > 1:
            longest = next(iter(waiting))
            self.remove(longest)
            longest.reset()
            self.resets += 1
            self._tell()

    def _tell(self) -> None:
        before = self._throttle.admit()
        if before is not None:
            log.warning(
                "data that slow clients have not taken exceeds %d MiB (limit_unsent): %d connections were reset; "
                "stream large responses, or raise --limit-unsent",
                self._limit >> 20,
                before + 1,
            )
