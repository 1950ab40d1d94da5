"""A whole answer on its way to a client that reads slowly: sent from hub callbacks, without a slot.

Between StreamLink and Closing. Of an app's answer and of a refusal alike. The invariant: what is in `_unsent` goes out
in full or the connection is reset, so that a client never takes a part for the whole.
"""

from __future__ import annotations

import logging

from greenserve.errors import PeerGone
from greenserve.net.http.request import StreamLink
from greenserve.net.http.states import State
from greenserve.net.sockets.stream import SEND_STEP

log = logging.getLogger("greenserve.error")

_SENDING = State.SENDING  # an enum's member is looked up by Python code


class Sending(StreamLink):
    """A connection with an answer to send."""

    __slots__ = ()

    def flush(self, first: bytes | memoryview, second: bytes | memoryview) -> None:
        """Send what the kernel takes of a whole answer; the rest when it takes more. Switches: never."""
        if self.state is not _SENDING:
            return
        try:
            sent = self._stream.send_now(first, second)
        except PeerGone as error:
            log.debug("%r: client gone: %s", self, error)
            self.close()
            return
        if sent == len(first) + len(second):
            self._unsent = None
            self._answered()
            return
        if sent < len(first):
            self._unsent = memoryview(first)[sent:], second
        else:
            self._unsent = memoryview(second)[sent - len(first) :], b""
        self._wait_for_reader()

    def _flush_on(self) -> None:
        """There is room again."""
        if self.state is not _SENDING:
            return
        try:
            self.services.budget.take(self)
            assert self._send_pace is not None
            self._send_pace.end(self.services.hub.now, self._stream.untaken())
            self._send_pace.earn(SEND_STEP)
            assert self._unsent is not None
            self.flush(*self._unsent)
        except Exception:
            self.broke()

    def _wait_for_reader(self) -> None:
        # A slow reader costs what is left to send, and no slot.
        pace = self._send_pace
        if pace is None:
            pace = self._send_pace = self.services.timeouts.send_pace()
        now = self.services.hub.now
        pace.begin(now, self._stream.untaken())
        self._deadline.arm(now + pace.left)
        self._stream.when_writable(self._flush_on)
        assert self._unsent is not None
        self.services.budget.put(self, *self._unsent)

    def _send_expired(self) -> None:
        """Its time is over, unless it has taken something of which the kernel has told nothing yet."""
        pace = self._send_pace
        assert pace is not None
        pace.end(self.services.hub.now, self._stream.untaken())
        if not pace.is_over:
            self.services.budget.take(self)
            self._wait_for_reader()
            return
        log.debug("%r: reads too slowly (send_timeout, send_min_rate)", self)
        self.reset()

    def reset(self) -> None:
        """Reset: the client must not take for the whole what it has. Switches: never."""
        self._stream.reset_on_close()
        self.close()

    def _answered(self) -> None:
        """The answer is out: park, or see to what is left of this request or has come of the next. For Connection."""
        raise NotImplementedError

    def broke(self) -> None:
        """An error of the server's own. Closing's to define."""
        raise NotImplementedError

    def close(self) -> None:
        """Close now; repeatable. Switches: never."""
        raise NotImplementedError
