"""What an app left unread of a body: thrown away if it is little, so that the connection can go on.

Discarding throws away, within a bound; a connection that is to close uses it too, until its client has closed, and so
do rejected clients. The invariant: what follows the body is read as a request only when the body has ended.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from greenserve.errors import PeerGone, ProtocolError
from greenserve.http1 import BodyFraming
from greenserve.net.http.activity import Activity, Host
from greenserve.net.http.states import State
from greenserve.net.sockets.min_rates import Pace
from greenserve.net.sockets.stream import READ_SIZE, Stream
from greenserve.wsgi import Response

log = logging.getLogger("greenserve.error")


class Discarding:
    """Reads until the end of a body, or without one until the client closes. The deadline is the connection's."""

    __slots__ = ("_came", "_done", "_framing", "_left", "_stream")

    def __init__(
        self,
        stream: Stream,
        limit: int,
        done: Callable[[bool], object],
        framing: BodyFraming | None = None,
        came: Callable[[int], object] | None = None,
    ) -> None:
        """`done(ended)` is called once: with True if the body's end was reached, within `limit` bytes and well formed.

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
            stream.descriptor.when_readable(self._on_readable)
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


class Draining(Activity):
    """Throws away the rest of the body of a request that was answered."""

    __slots__ = ("_connection", "_framing", "_pace", "_request")

    def __init__(self, connection: Host, request: Activity, framing: BodyFraming, pace: Pace) -> None:
        """`request` is for the repr, `pace` how patient to be."""
        self._connection = connection
        self._request = request
        self._framing = framing
        self._pace = pace

    def __str__(self) -> str:
        """See Activity."""
        return str(self._request)

    @property
    def may_ask(self) -> bool:
        """See Activity."""
        return self._connection.state is State.DISCARDING

    def begin(self, ahead: bytes) -> None:
        """Start with what was received of it already; or linger, if it is too much. Switches: never."""
        connection = self._connection
        limit = connection.services.service.discard_limit
        if self._framing.wants() > limit:
            connection.linger()
            return
        connection.enter(State.DISCARDING, self)
        discarding = Discarding(connection.stream, limit, self._done, self._framing, self._came)
        self._wait()
        discarding.begin(ahead)

    def _wait(self) -> None:
        now = self._connection.services.hub.now
        self._pace.begin(now)
        self._connection.deadline.arm(now + self._pace.left)

    def _came(self, size: int) -> None:
        self._pace.end(self._connection.services.hub.now)
        self._pace.earn(size)
        self._wait()

    def _done(self, ended: bool) -> None:
        connection = self._connection
        if connection.state is not State.DISCARDING:
            return
        if ended:
            connection.next(self._framing.rest)
        else:
            connection.linger()

    def expired(self) -> None:
        """See Activity."""
        self._connection.close()

    def end(self) -> str | None:
        """See Activity."""
        self._connection.close()
        return None


def close_after(connection: Host, framing: BodyFraming | None, response: Response, is_broken: bool) -> None:
    """Close behind a response, which `is_broken` if it was interrupted half sent. Switches: never."""
    unread = connection.ahead or (framing is not None and not framing.done)
    if is_broken or response.is_cut_off:
        connection.reset()  # or the client might take it for the whole
    elif response.status and (unread or connection.stream.has_unread()):
        connection.linger()  # closing over unread bytes would reset the connection and lose the response
    else:
        connection.close()
