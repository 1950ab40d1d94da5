"""What all connections together hold of whole answers that their clients have not taken yet, within a bound.

Such an answer holds no slot of the pool, so nothing else bounds how many there are: ten thousand clients that read
nothing would hold ten thousand pages. A connection puts its answer here when the kernel did not take all of it, and
takes it away when it has moved or closed; the path of an answer that goes out at once does not come here.

Invariant: no more than `limit` bytes are held, but for a single answer that is larger: beyond it the connections that
have taken nothing for longest are reset, and a client that reads is never among those while others do not.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, cast

from greenserve_hub.loop import Hub

if TYPE_CHECKING:
    from greenserve.net.sending import Sending

log = logging.getLogger("greenserve.error")

_TOLD_AGAIN: Final = 60.0  # seconds between two lines in the log


class Unsent:
    """The answers of one server that wait for their clients."""

    def __init__(self, hub: Hub, limit: int) -> None:
        """`limit` in bytes, 0 for none."""
        self.bytes = 0
        self._hub = hub
        self._limit = limit
        # In the order in which they last moved.
        self._waiting: dict[Sending, tuple[int, int]] = {}
        # An app may give the same page to all: it is held once.
        self._sharers: dict[int, int] = {}
        self._tell_from = 0.0
        self._untold = 0

    def put(self, connection: Sending, first: bytes | memoryview, second: bytes | memoryview) -> None:
        """An answer, of two pieces, begins to wait. May reset other connections. Switches: never."""
        held = second or first
        whole = (
            cast(bytes, held.obj) if isinstance(held, memoryview) else held
        )  # a part of it holds all of it
        key, size = id(whole), len(whole)
        self._waiting[connection] = key, size
        sharers = self._sharers.get(key, 0)
        self._sharers[key] = sharers + 1
        if sharers:
            return
        self.bytes += size
        if self._limit:
            while self.bytes > self._limit and len(self._waiting) > 1:
                self._reset(next(iter(self._waiting)))

    def take(self, connection: Sending) -> None:
        """It waits no longer, or begins anew. Switches: never."""
        found = self._waiting.pop(connection, None)
        if found is None:
            return
        key, size = found
        self._sharers[key] -= 1
        if not self._sharers[key]:
            del self._sharers[key]
            self.bytes -= size

    def _reset(self, connection: Sending) -> None:
        self.take(connection)
        connection.give_up()
        now = self._hub.now
        self._untold += 1
        if now >= self._tell_from:
            log.warning(
                "answers for slow clients take more than %d MiB (limit_unsent): %d connections were reset; stream "
                "large answers, or raise --limit-unsent",
                self._limit >> 20,
                self._untold,
            )
            self._tell_from = now + _TOLD_AGAIN
            self._untold = 0
