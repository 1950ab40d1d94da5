"""What an app left unread of a body: thrown away if it is little, so that the connection can go on.

Between Gathering and Upgrading. The invariant: what follows the body is read as a request only when the body has ended.
"""

from __future__ import annotations

from greenserve.http1 import BodyFraming
from greenserve.net.http.body_prefetch import Gathering
from greenserve.net.http.discarding import Discarding
from greenserve.net.http.states import State


class Leftovers(Gathering):
    """A connection that can throw away the rest of a body."""

    __slots__ = ("_framing",)

    _framing: BodyFraming | None

    def _next(self, rest: bytes) -> None:
        raise NotImplementedError  # Connection's: ready for another request

    def _discard(self, ahead: bytes, framing: BodyFraming) -> None:
        """Throw away what the app left of the body, if it is little, so that the connection can go on."""
        limit = self.services.service.discard_limit
        if framing.wants() > limit:
            self.linger()
            return
        self.state = State.DISCARDING
        if self._body_pace is None:
            self._body_pace = self.services.timeouts.body_pace()
        discarding = Discarding(self._stream, limit, self._discarded, framing, self._unread_came)
        self._wait_to_discard()
        discarding.begin(ahead)

    def _wait_to_discard(self) -> None:
        assert self._body_pace is not None
        now = self.services.hub.now
        self._body_pace.begin(now)
        self._deadline.arm(now + self._body_pace.left)

    def _unread_came(self, size: int) -> None:
        assert self._body_pace is not None
        self._body_pace.end(self.services.hub.now)
        self._body_pace.earn(size)
        self._wait_to_discard()

    def _discarded(self, ended: bool) -> None:
        if self.state is not State.DISCARDING:
            return
        assert self._framing is not None
        if ended:
            self._next(self._framing.rest)
        else:
            self.linger()
