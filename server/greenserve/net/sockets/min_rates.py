"""The minimum rate of a client, as the seconds that a request may still wait for it, in one direction.

Arithmetic only: the clock and the bytes are arguments. A request makes one for its body and one for its response when
it first has to wait for its client. What is sent after the app's call has one of its own.

Facts: a timeout between two pieces lets a client live for ever on a byte now and then; an average over the whole
transfer lets one that was fast for a minute be silent for an hour. Decision: a credit of seconds. It begins with
`min_rate_grace`; waiting takes from it, each byte adds what it may take at the minimum rate, and it never exceeds the
timeout of a single wait. So a drip dies soon after the grace, and one that has kept up may pause for as long as the
timeout says. Time that the app takes is not counted: it is not the client's.
"""

from __future__ import annotations

from typing import Final

from greenserve_hub.deadlines import NEVER

_SHORTEST: Final = 0.001  # seconds; what a poller can wait, and more than the clock's rounding


class Pace:
    """One direction of one request. The invariant: `left` is how long the next wait may last."""

    __slots__ = ("_before", "_limit", "_price", "_since", "left")

    def __init__(self, limit: float, price: float, grace: float) -> None:
        """`limit`: seconds of one wait; `price`: seconds that a byte may take, NEVER where no rate is asked for."""
        self._limit = limit
        self._price = price
        self.left = limit if price == NEVER else min(limit, grace)
        self._since = NEVER
        self._before = 0

    @property
    def is_over(self) -> bool:
        """Return True if no time is left."""
        return self.left < _SHORTEST

    def begin(self, now: float, level: int = 0) -> None:
        """A wait begins; `level`: bytes that wait to be taken by the client."""
        self._since = now
        self._before = level

    def end(self, now: float, level: int = 0) -> None:
        """The wait is over, if there was one; `level` as it is now."""
        if self._since == NEVER:
            return
        self.left -= max(0.0, now - self._since)
        self._since = NEVER
        self.earn(self._before - level)

    def earn(self, size: int) -> None:
        """The client has sent or taken `size` bytes."""
        if size > 0:
            self.left = min(self._limit, self.left + size * self._price)
