"""WaitLimit: how long a call of a hijacked socket may wait by its user's word. The server's send_timeout holds too."""

from __future__ import annotations

from greenserve_hub.loop.hub import Hub


class TimedOut(Exception):
    """The time that the user has set is over. No TimeoutError, as a Stream takes that for the server's own limit."""


class WaitLimit:
    """What settimeout() has set, for both halves."""

    __slots__ = ("_hub", "seconds")

    def __init__(self, hub: Hub) -> None:
        """No limit."""
        self._hub = hub
        self.seconds: float | None = None  # 0: calls don't wait

    def until(self) -> float | None:
        """Return the moment at which a call that begins now has to end; None: it may wait for ever."""
        return None if self.seconds is None else self._hub.clock() + self.seconds

    def left(self, until: float) -> float:
        """Return the seconds until then. Raises TimedOut."""
        left = until - self._hub.clock()
        if left <= 0:
            raise TimedOut
        return left
