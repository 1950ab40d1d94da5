"""Throws away what a client still sends, from hub callbacks, within a bound.

For a connection that is to go on (the rest of a body that the app left) and for one that is to close (until the client
has closed too). The deadline is the connection's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from greenserve.errors import PeerGone, ProtocolError
from greenserve.http1 import BodyFraming
from greenserve.net.sockets.stream import READ_SIZE, Stream

log = logging.getLogger("greenserve.error")


class Discarding:
    """Reads until the end of a body, or without one until the client closes."""

    __slots__ = ("_came", "_done", "_framing", "_left", "_stream")

    def __init__(
        self,
        stream: Stream,
        limit: int,
        done: Callable[[bool], object],
        framing: BodyFraming | None = None,
        came: Callable[[int], object] | None = None,
    ) -> None:
        """`done(ended)` is called once: whether the body's end was reached, within `limit` bytes and well formed.

        `came(size)` is called for each piece before the next is waited for.
        """
        self._stream = stream
        self._left = limit
        self._done = done
        self._framing = framing
        self._came = came

    def begin(self, ahead: bytes = b"") -> None:
        """Start with what was received already. Switches: never."""
        if not ahead or not self._is_done(ahead):
            self._stream.when_readable(self._on_readable)

    def _on_readable(self) -> None:
        stream = self._stream
        if stream.descriptor.closed:
            return
        try:
            data = stream.receive_now(READ_SIZE)
            if not data:
                self._done(False)
            elif not self._is_done(data):
                if self._came is not None:
                    self._came(len(data))
                stream.when_readable(self._on_readable)
        except BlockingIOError:
            stream.descriptor.on_readable(self._on_readable)
        except PeerGone:
            self._done(False)
        except Exception:
            log.exception("an error in the server while it discarded a body; the connection is closed")
            self._done(False)

    def _is_done(self, data: bytes) -> bool:
        framing = self._framing
        try:
            self._left -= len(data if framing is None else framing.feed(data))
        except ProtocolError:
            self._left = -1
        if self._left < 0:
            self._done(False)
        elif framing is not None and framing.done:
            self._done(True)
        else:
            return False
        return True
